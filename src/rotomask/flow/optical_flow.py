"""Optical flow: where every pixel of one frame is in another."""

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
    """Estimates the flow between two frames."""

    @abstractmethod
    def estimate(self, first: Frame, second: Frame) -> Flow:
        """The flow from the first frame to the second.

        Args:
            first: H×W×3 uint8 RGB.
            second: The same.

        Raises:
            ShapeError: If one is not a frame, or their sizes differ.
        """


class DISFlow(OpticalFlow):
    """Dense inverse search (Kroeger et al. 2016), as OpenCV has it: fast on a plain CPU."""

    def __init__(self, preset: Literal["ultrafast", "fast", "medium"] = "medium") -> None:
        presets = {
            "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
            "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
            "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        }
        self._search = cv2.DISOpticalFlow.create(presets[preset])

    def estimate(self, first: Frame, second: Frame) -> Flow:
        """The flow from the first frame to the second."""
        check_frame(first)
        check_frame(second, first.shape[:2])
        if min(first.shape[:2]) < SMALLEST_SIDE_PX:  # the search needs a few patches
            return np.zeros((*first.shape[:2], 2), np.float32)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        flow = self._search.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
        return np.asarray(flow, np.float32)


UNKNOWN = 1e9
"""Components from this on say that the flow of a pixel is not known, as in .flo files."""
WHEEL_STEPS = (15, 6, 4, 11, 13, 6)
"""Colours from red to yellow, green, cyan, blue, magenta and back."""
TOO_LONG_FACTOR = 0.75
SMALLEST_SIDE_PX = 16
"""Frames with a shorter side have no flow that can be measured: it is taken for none."""


def warp_back(image: npt.NDArray[np.uint8 | np.float32], flow: Flow) -> npt.NDArray[np.generic]:
    """The second frame (or its mask) seen from the first: pixel p is that at p + flow(p).

    Bilinear in float32, where OpenCV's `remap` rounds places to 1/32 px. Unknown flow (not finite)
    is taken for none.

    Args:
        image: H×W or H×W×C, of the second frame.
        flow: From the first frame to the second, H×W×2.

    Returns:
        Of the image's shape and dtype; beyond its border it goes on with the nearest pixel.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(image, flow)
    height, width = flow.shape[:2]
    known = np.nan_to_num(flow, nan=0.0, posinf=0.0, neginf=0.0)
    x = np.clip(np.arange(width, dtype=np.float32) + known[..., 0], 0, width - 1)
    y = np.clip(np.arange(height, dtype=np.float32)[:, None] + known[..., 1], 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    # The last row and column have no next one; their own weight there is 0.
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[..., None], (y - top)[..., None]
    pixels = image.reshape(height * width, -1).astype(np.float32)
    above = _between(pixels, top * width + left, top * width + right, across)
    below = _between(pixels, bottom * width + left, bottom * width + right, across)
    moved = (above + (below - above) * down).reshape(image.shape)
    rounded = moved.round() if image.dtype.kind in "ui" else moved
    return np.asarray(rounded, image.dtype)


def consistent(
    forward: Flow, backward: Flow, *, share: float = 0.01, slack_px2: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Where going forward and back again ends at the start: what is not occluded or wrong.

    Sundaram et al. 2010, eq. 5: |f + b|² < share · (|f|² + |b|²) + slack, b taken at the end of f.

    Args:
        forward: From the first frame to the second, H×W×2, px.
        backward: From the second to the first.
        share: Error allowed, as a part of the squared lengths.
        slack_px2: Error allowed anyway, px².

    Returns:
        H×W.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(backward, forward)
    there = warp_back(backward, forward).astype(np.float32)
    error = np.square(forward + there).sum(-1)
    length = np.square(forward).sum(-1) + np.square(there).sum(-1)
    close: npt.NDArray[np.bool_] = error < share * length + slack_px2
    return close


def flow_colours(flow: Flow, longest_px: float | None = None) -> Frame:
    """A picture of the flow on the Middlebury colour wheel: no motion is white, unknown is black.

    Baker et al. 2011 (A Database and Evaluation Methodology for Optical Flow): direction as hue,
    in steps that look alike, length as saturation; what is longer than the longest is darker.

    Args:
        flow: H×W×2, px; not finite or beyond 1e9 px is unknown.
        longest_px: Length of full saturation; by default that of the 99th percentile.

    Returns:
        H×W×3 uint8 RGB.
    """
    known = np.asarray((np.abs(np.nan_to_num(flow, nan=np.inf)) < UNKNOWN).all(-1))
    vectors = np.where(known[..., None], flow, 0).astype(np.float32)
    length = np.linalg.norm(vectors, axis=-1)
    if longest_px is None:
        longest_px = float(np.percentile(length[known], 99)) if known.any() else 1.0
    length = length / max(longest_px, 1e-6)
    wheel = colour_wheel()
    hue = np.arctan2(-vectors[..., 1], -vectors[..., 0]) / np.pi
    place = (hue + 1) / 2 * (len(wheel) - 1)
    before = np.floor(place).astype(np.int64)
    part = (place - before)[..., None]
    full = (1 - part) * wheel[before] + part * wheel[(before + 1) % len(wheel)]
    inside = length[..., None] <= 1
    shades = np.where(inside, 1 - length[..., None] * (1 - full), TOO_LONG_FACTOR * full)
    return np.where(known[..., None], np.floor(255 * shades), 0).astype(np.uint8)


def colour_wheel() -> npt.NDArray[np.float32]:
    """The colours of the Middlebury wheel, 55×3, 0 to 1: red, yellow, green, cyan, blue, magenta.

    The steps between two of them are as many as the eye tells apart.
    """
    corners = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float32
    )
    parts = []
    for start, end, steps in zip(corners[:-1], corners[1:], WHEEL_STEPS, strict=True):
        # Rounded down to 1/255, as in their code.
        rise = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        parts.append(start + (end - start) * rise)
    return np.concatenate(parts).astype(np.float32)


def _check_same_size(image: npt.NDArray[np.generic], flow: Flow) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2 or image.shape[:2] != flow.shape[:2]:
        raise ShapeError(
            f"a flow is H×W×2 of its frame's size, got {flow.shape} beside {image.shape}"
        )


def _between(
    pixels: npt.NDArray[np.float32],
    first: npt.NDArray[np.int32],
    second: npt.NDArray[np.int32],
    part: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Pixels N×C at two places H×W each, mixed: H×W×C."""
    start = pixels[first]
    mixed: npt.NDArray[np.float32] = start + (pixels[second] - start) * part
    return mixed
