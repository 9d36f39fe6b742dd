"""Edges of motion: where the flow breaks, and how they join those of appearance.

The DAVIS-2017 report on OSVOS, PSPNet, edges and flow, section 4: gradient operators on flow maps,
masked by a foreground network, merged with appearance edges in an ad-hoc manner. The report has no
formulas; ours stand with each function. All functions are pure.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.flow.camera import stabilise
from rotomask.flow.optical_flow import Flow

EdgeMap = npt.NDArray[np.float32]
"""H×W, 0..1."""

SLOWEST = 1 / 480
"""Flow that counts as full motion in a frame that moves less, as a part of its short side."""
WEAKEST_PX = 0.1
"""Flow gradient, px per px, that counts as a full edge in a frame that has no stronger ones."""
SMOOTHING_PX = 1.0
"""Of the flow before its gradient is taken."""
REACH = 0.01
"""How far outside the foreground a motion edge may lie, as a part of the frame's diagonal: flow
is blurred across outlines by about so much."""
MOTION_WEIGHT = 0.35
"""Of motion edges where they are merged with those of appearance; chosen on the held-out videos."""


def flow_gradient(flow: Flow) -> npt.NDArray[np.float32]:
    """How fast the flow changes from pixel to pixel: √(u_x² + u_y² + v_x² + v_y²).

    Derivatives are central differences of the flow under a small Gaussian.

    Args:
        flow: H×W×2, px.

    Returns:
        H×W, px per px, 0 and up.

    Raises:
        ShapeError: If it is no flow.
    """
    _check_flow(flow)
    smooth = cv2.GaussianBlur(flow, (0, 0), SMOOTHING_PX)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    gradient: npt.NDArray[np.float32] = np.sqrt(np.square(across).sum(-1) + np.square(down).sum(-1))
    return gradient


def motion_edges(flow: Flow, foreground: EdgeMap | None = None) -> EdgeMap:
    """Edges of what moves unlike the camera, within the foreground.

    m = min(1, g / max(g₉₉, 0.1)) · f: the gradient g of the flow less the camera's motion, over its
    99th percentile in the frame, and the foreground f grown by 1 % of the diagonal. A frame without
    relative motion has none.

    Args:
        flow: From the frame to its neighbour, H×W×2, px.
        foreground: Probability of an object, H×W, 0..1; None: anywhere.

    Returns:
        H×W float32, 0..1.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    _check_flow(flow)
    gradient = flow_gradient(stabilise(flow))
    scale = max(float(np.percentile(gradient, 99)), WEAKEST_PX)
    strength: EdgeMap = np.minimum(gradient / scale, 1).astype(np.float32)
    if foreground is None:
        return strength
    if foreground.shape != flow.shape[:2]:
        raise ShapeError(f"the foreground must be of the flow's size, got {foreground.shape}")
    radius = math.ceil(REACH * math.hypot(*foreground.shape))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near = cv2.dilate(foreground.astype(np.float32), disk)
    return np.asarray(strength * near, np.float32)


def merge_edges(appearance: EdgeMap, motion: EdgeMap, weight: float = MOTION_WEIGHT) -> EdgeMap:
    """Both kinds of edges as one: their mean (1 - w)·a + w·m.

    The strongest are what both see; with a high threshold it is what either sees alone that goes.

    Args:
        appearance: H×W, 0..1.
        motion: The same.
        weight: Of motion, 0..1.

    Raises:
        ShapeError: If the sizes differ.
    """
    if appearance.shape != motion.shape:
        raise ShapeError(f"edges of two sizes: {appearance.shape} and {motion.shape}")
    merged: EdgeMap = ((1 - weight) * appearance + weight * motion).astype(np.float32)
    return merged


def flow_channels(flow: Flow) -> npt.NDArray[np.float32]:
    """What a network is shown of the flow: its direction, and how long it is.

    The flow less the camera's motion over its 95th percentile of length (at least 1 px at 480 px
    of short side), and its length, both cut at 2: much the same whatever the speed.

    Args:
        flow: H×W×2, px.

    Returns:
        H×W×3 float32, -2..2.

    Raises:
        ShapeError: If it is no flow.
    """
    _check_flow(flow)
    own = stabilise(flow)
    length = np.sqrt(np.square(own).sum(-1))
    scale = max(float(np.percentile(length, 95)), SLOWEST * min(flow.shape[:2]))
    channels = np.concatenate([own, length[..., None]], -1) / scale
    return np.asarray(np.clip(channels, -2, 2), np.float32)


def _check_flow(flow: Flow) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ShapeError(f"a flow is H×W×2, got {flow.shape}")
