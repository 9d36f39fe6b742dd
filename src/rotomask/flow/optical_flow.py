"""Optical flow: the displacement of every pixel between two frames."""

from abc import ABC, abstractmethod
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, check_frame
from rotomask.errors import ShapeError

Flow = npt.NDArray[np.float32]
"""H×W×2, px: pixel (x, y) of the first frame is at (x, y) + flow[y, x] in the second."""


class OpticalFlow(ABC):
    """Base class of optical flow estimators."""

    @abstractmethod
    def estimate(self, first: Frame, second: Frame) -> Flow:
        """Flow from the first frame to the second, H×W×2 float32, px.

        Args:
            first: H×W×3 uint8 RGB.
            second: H×W×3 uint8 RGB.

        Raises:
            ShapeError: If an argument is not a frame, or the sizes differ.
        """


class DISFlow(OpticalFlow):
    """Dense inverse search (Kroeger et al. 2016) of OpenCV: fast on a plain CPU.

    Args:
        preset: OpenCV's preset; slower ones are more accurate.
    """

    def __init__(self, preset: Literal["ultrafast", "fast", "medium"] = "medium") -> None:
        presets = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        self._search = cv2.DISOpticalFlow.create(presets[preset])

    def estimate(self, first: Frame, second: Frame) -> Flow:
        """Flow from the first frame to the second; see `OpticalFlow.estimate`."""
        check_frame(first)
        check_frame(second, first.shape[:2])
        if min(first.shape[:2]) < SMALLEST_SIDE_PX:  # too small for the search's patches
            return np.zeros((*first.shape[:2], 2), np.float32)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        flow = self._search.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)


UNKNOWN = 1e9
"""Flow with a component of at least this size is unknown, as in .flo files."""
WHEEL_STEPS = (15, 6, 4, 11, 13, 6)
"""Number of hues from red to yellow, to green, cyan, blue, magenta and back to red."""
TOO_LONG_FACTOR = 0.75
"""Brightness of vectors that are longer than the one drawn with full saturation."""
SMALLEST_SIDE_PX = 16
"""Shortest side for which DIS is run; the flow of smaller frames is zero."""


def warp_back(image: npt.NDArray[np.uint8 | np.float32], flow: Flow) -> npt.NDArray[np.generic]:
    """The second frame, or its mask, warped to the first: pixel p is sampled at p + flow(p).

    Bilinear in float32; OpenCV's `remap` would round positions to 1/32 px. Flow that is not finite
    counts as zero.

    Args:
        image: Array of the second frame, H×W or H×W×C.
        flow: Flow from the first frame to the second, H×W×2, px.

    Returns:
        An array with the image's shape and dtype. Positions outside take the nearest border pixel.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(image, flow)
    height, width = flow.shape[:2]
    finite = np.nan_to_num(flow, nan=0.0, posinf=0.0, neginf=0.0)
    # H×W positions in the second frame, clipped so that the border continues outwards.
    x = np.clip(np.arange(width, dtype=np.float32) + finite[..., 0], 0, width - 1)
    y = np.clip(np.arange(height, dtype=np.float32)[:, None] + finite[..., 1], 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    # In the last row and column the next pixel is the same one; its weight is 0 there.
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    x_fraction, y_fraction = (x - left)[..., None], (y - top)[..., None]  # H×W×1
    # Flat pixel numbers: one index array per corner of the interpolation.
    pixels = image.reshape(height * width, -1).astype(np.float32)
    above = _interpolate(pixels, top * width + left, top * width + right, x_fraction)
    below = _interpolate(pixels, bottom * width + left, bottom * width + right, x_fraction)
    warped = (above + (below - above) * y_fraction).reshape(image.shape)
    rounded = warped.round() if image.dtype.kind in "ui" else warped
    return np.asarray(rounded, image.dtype)


def consistent(
    forward: Flow, backward: Flow, *, fraction: float = 0.01, slack_px2: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Mask of the pixels where forward and backward flow cancel: neither occluded nor wrong.

    Sundaram et al. 2010, eq. 5: |f + b|² < fraction · (|f|² + |b|²) + slack, with b sampled at the
    end of f.

    Args:
        forward: Flow from the first frame to the second, H×W×2, px.
        backward: Flow from the second frame to the first, H×W×2, px.
        fraction: Tolerance relative to the squared lengths.
        slack_px2: Absolute tolerance, px².

    Returns:
        H×W bool.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(backward, forward)
    returning = warp_back(backward, forward).astype(np.float32)  # b at the end of f
    error = np.square(forward + returning).sum(-1)
    length = np.square(forward).sum(-1) + np.square(returning).sum(-1)
    agrees: npt.NDArray[np.bool_] = error < fraction * length + slack_px2
    return agrees


def flow_colours(flow: Flow, longest_px: float | None = None) -> Frame:
    """A picture of the flow on the Middlebury colour wheel: no motion is white, unknown is black.

    Baker et al. 2011 (A Database and Evaluation Methodology for Optical Flow): direction as hue,
    in steps that look alike, length as saturation; what is longer than the longest is darker.

    Args:
        flow: H×W×2, px; values that are not finite or exceed 1e9 are unknown.
        longest_px: Length drawn with full saturation, px; None: the 99th percentile of this flow.

    Returns:
        H×W×3 uint8 RGB.
    """
    valid = np.asarray((np.abs(np.nan_to_num(flow, nan=np.inf)) < UNKNOWN).all(-1))
    vectors = np.where(valid[..., None], flow, 0).astype(np.float32)
    length = np.linalg.norm(vectors, axis=-1)
    if longest_px is None:
        longest_px = float(np.percentile(length[valid], 99)) if valid.any() else 1.0
    length = length / max(longest_px, 1e-6)
    wheel = colour_wheel()
    hue = np.arctan2(-vectors[..., 1], -vectors[..., 0]) / np.pi
    # Interpolate between the two nearest of the wheel's 55 colours; the last and first are
    # adjacent.
    position = (hue + 1) / 2 * (len(wheel) - 1)
    lower = np.floor(position).astype(np.int64)
    fraction = (position - lower)[..., None]
    saturated = (1 - fraction) * wheel[lower] + fraction * wheel[(lower + 1) % len(wheel)]
    # Shorter vectors are mixed with white; longer ones than `longest_px` are darkened.
    within = length[..., None] <= 1
    shades = np.where(within, 1 - length[..., None] * (1 - saturated), TOO_LONG_FACTOR * saturated)
    return np.where(valid[..., None], np.floor(255 * shades), 0).astype(np.uint8)


def colour_wheel() -> npt.NDArray[np.float32]:
    """The colours of the Middlebury wheel, 55×3 float32, 0 to 1, starting from red.

    Between two primary colours there are as many steps as the eye distinguishes.
    """
    corners = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float32
    )
    arcs = []
    for start, end, steps in zip(corners[:-1], corners[1:], WHEEL_STEPS, strict=True):
        # Rounded down to 1/255, as in the benchmark's code.
        fraction = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        arcs.append(start + (end - start) * fraction)
    return np.concatenate(arcs).astype(np.float32)


def _check_same_size(image: npt.NDArray[np.generic], flow: Flow) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2 or image.shape[:2] != flow.shape[:2]:
        raise ShapeError(
            f"a flow must be H×W×2 of its frame's size, got {flow.shape} for {image.shape}"
        )


def _interpolate(
    pixels: npt.NDArray[np.float32],
    first: npt.NDArray[np.int32],
    second: npt.NDArray[np.int32],
    fraction: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Linear interpolation between two pixels at every position, H×W×C.

    Args:
        pixels: HW×C.
        first: Pixel numbers, H×W.
        second: Pixel numbers, H×W.
        fraction: Weight of the second, H×W×1.
    """
    start = pixels[first]
    interpolated: npt.NDArray[np.float32] = start + (pixels[second] - start) * fraction
    return interpolated
