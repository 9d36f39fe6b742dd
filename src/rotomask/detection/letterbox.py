"""Letterboxing: fit a frame into an image of fixed size, and map boxes back to the frame."""

from typing import NamedTuple

import cv2
import numpy as np

from rotomask.arrays import Frame
from rotomask.detection.boxes import Boxes

GREY = 114
"""Value of the border with which YOLO detectors are trained."""


class Letterboxed(NamedTuple):
    """A letterboxed frame with its scale and position."""

    image: Frame
    """The frame with its grey border, H×W×3 uint8."""
    scale: float
    """Size in the letterbox divided by the frame's own size."""
    left: int
    """Position of the frame's left edge in the letterbox, px."""
    top: int
    """Position of the frame's top edge in the letterbox, px."""


def letterbox(frame: Frame, size: tuple[int, int]) -> Letterboxed:
    """The frame resized to the largest size that fits, centred on grey.

    Args:
        frame: H×W×3 uint8.
        size: Height and width of the letterbox, px.
    """
    height, width = frame.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    # Rounding must neither exceed the letterbox nor reach 0 for very long frames.
    h, w = (max(1, min(s, round(v * scale))) for v, s in zip((height, width), size, strict=True))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    image = np.full((*size, 3), GREY, np.uint8)
    image[top : top + h, left : left + w] = cv2.resize(frame, (w, h), interpolation=method)
    return Letterboxed(image, scale, left, top)


def boxes_in_frame(boxes: Boxes, letterboxed: Letterboxed) -> Boxes:
    """Boxes in the letterbox converted to boxes in the frame: N×4 float32, px."""
    offset = np.array([letterboxed.left, letterboxed.top] * 2, np.float32)
    converted: Boxes = ((boxes - offset) / np.float32(letterboxed.scale)).astype(np.float32)
    return converted
