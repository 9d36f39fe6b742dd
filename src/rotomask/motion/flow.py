"""Optical flow: where every pixel of one frame is in another."""

from abc import ABC, abstractmethod
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.models.base import Frame, check_frame

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


SMALLEST_SIDE_PX = 16
"""Frames with a shorter side have no flow that can be measured: it is taken for none."""


def warp_back(image: npt.NDArray[np.uint8 | np.float32], flow: Flow) -> npt.NDArray[np.generic]:
    """The second frame (or its mask) seen from the first: pixel p is that at p + flow(p).

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
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    moved = cv2.remap(
        image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved)


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
    """A picture of the flow: direction as hue, length as saturation; no motion is white.

    Args:
        flow: H×W×2, px.
        longest_px: Length of full saturation; by default that of the 99th percentile.

    Returns:
        H×W×3 uint8 RGB.
    """
    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    if longest_px is None:
        longest_px = float(np.percentile(length, 99))
    saturation = np.clip(length / max(longest_px, 1e-6), 0, 1)
    hsv = np.stack([angle, saturation, np.ones_like(saturation)], axis=-1).astype(np.float32)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.asarray((rgb * 255).round(), np.uint8)


def _check_same_size(image: npt.NDArray[np.generic], flow: Flow) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2 or image.shape[:2] != flow.shape[:2]:
        raise ShapeError(
            f"a flow is H×W×2 of its frame's size, got {flow.shape} beside {image.shape}"
        )
