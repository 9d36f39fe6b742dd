"""Motion edges: discontinuities of the flow, and their combination with appearance edges.

The DAVIS-2017 report on OSVOS, PSPNet, edges and flow, section 4: gradient operators on flow maps,
masked by a foreground network and merged with appearance edges "in an ad-hoc manner". The report
gives no formulas; each function here states its own.
"""

import math

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.flow.camera import stabilise
from rotomask.flow.optical_flow import Flow

EdgeMap = npt.NDArray[np.float32]
"""Edge strength, H×W float32, 0..1."""

SLOWEST = 1 / 480
"""Least length by which `flow_channels` normalises, as a fraction of the frame's short side."""
WEAKEST_GRADIENT = 0.1
"""Least gradient by which `motion_edges` normalises, px per px: weaker ones are noise."""
SMOOTHING_PX = 1.0
"""Standard deviation of the Gaussian under which the flow's gradient is taken."""
REACH = 0.01
"""Distance that a motion edge may lie outside the foreground, as a fraction of the frame's
diagonal; flow is blurred across outlines by about this much."""
MOTION_WEIGHT = 0.35
"""Weight of motion edges in `merge_edges`, selected on the held-out videos."""


def flow_gradient(flow: Flow) -> npt.NDArray[np.float32]:
    """Magnitude of the flow's gradient: √(u_x² + u_y² + v_x² + v_y²).

    The derivatives are central differences of the flow smoothed by a Gaussian.

    Args:
        flow: H×W×2, px.

    Returns:
        H×W float32, px per px, 0 or more.

    Raises:
        ShapeError: If the flow is not H×W×2.
    """
    _check_flow(flow)
    smooth = cv2.GaussianBlur(flow, (0, 0), SMOOTHING_PX)
    # With ksize 1 Sobel is the difference of the two neighbours; half of it is per px. H×W×2 each.
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    gradient: npt.NDArray[np.float32] = np.sqrt(np.square(dx).sum(-1) + np.square(dy).sum(-1))
    return gradient


def motion_edges(flow: Flow, foreground: EdgeMap | None = None) -> EdgeMap:
    """Edges of regions that move differently from the camera, within the foreground.

    m = min(1, g / max(g₉₉, 0.1)) · f, where g is the gradient of the flow minus the camera's flow,
    g₉₉ its 99th percentile in the frame, and f the foreground dilated by 1 % of the diagonal. A
    frame without relative motion has no such edges.

    Args:
        flow: Flow from the frame to its neighbour, H×W×2, px.
        foreground: Probability of an object, H×W, 0..1; None: the whole frame.

    Returns:
        H×W float32, 0..1.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    _check_flow(flow)
    # A high percentile, not the maximum, which a single error of the flow would set.
    gradient = flow_gradient(stabilise(flow))
    scale = max(float(np.percentile(gradient, 99)), WEAKEST_GRADIENT)
    strength: EdgeMap = np.minimum(gradient / scale, 1).astype(np.float32)
    if foreground is None:
        return strength
    if foreground.shape != flow.shape[:2]:
        raise ShapeError(f"the foreground must have the flow's size, got {foreground.shape}")
    # Grey-scale dilation: the maximum foreground probability within the radius.
    radius = math.ceil(REACH * math.hypot(*foreground.shape))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near = cv2.dilate(foreground.astype(np.float32), disk)
    return np.asarray(strength * near, np.float32)


def merge_edges(appearance: EdgeMap, motion: EdgeMap, weight: float = MOTION_WEIGHT) -> EdgeMap:
    """The weighted mean of appearance and motion edges: (1 - w)·a + w·m.

    Edges of both kinds come out strongest; a high threshold removes edges of one kind only.

    Args:
        appearance: H×W, 0..1.
        motion: H×W, 0..1.
        weight: Weight w of the motion edges, 0..1.

    Returns:
        H×W float32, 0..1.

    Raises:
        ShapeError: If the sizes differ.
    """
    if appearance.shape != motion.shape:
        raise ShapeError(
            f"appearance and motion edges differ in size: {appearance.shape} and {motion.shape}"
        )
    merged: EdgeMap = ((1 - weight) * appearance + weight * motion).astype(np.float32)
    return merged


def flow_channels(flow: Flow) -> npt.NDArray[np.float32]:
    """The input of an edge network with flow: normalised flow and its length.

    The flow minus the camera's flow is divided by the 95th percentile of its length (at least 1 px
    at a short side of 480), so that the channels do not depend on speed, and clipped at 2.

    Args:
        flow: H×W×2, px.

    Returns:
        H×W×3 float32, -2..2: x, y and length.

    Raises:
        ShapeError: If the flow is not H×W×2.
    """
    _check_flow(flow)
    residual = stabilise(flow)
    length = np.sqrt(np.square(residual).sum(-1))
    # Flow of a still scene is noise: without the lower bound it would be scaled up to an object's.
    scale = max(float(np.percentile(length, 95)), SLOWEST * min(flow.shape[:2]))
    channels = np.concatenate([residual, length[..., None]], -1) / scale
    return np.asarray(np.clip(channels, -2, 2), np.float32)


def _check_flow(flow: Flow) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ShapeError(f"a flow must be H×W×2, got {flow.shape}")
