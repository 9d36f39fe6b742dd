"""A frame inside a picture of another shape, with grey around, and boxes back out of it."""

from typing import NamedTuple

import cv2
import numpy as np

from rotomask.arrays import Frame
from rotomask.detection.boxes import Boxes

GREY = 114
"""What detectors are trained to see around a frame (YOLO)."""


class Letter(NamedTuple):
    """A frame in its letterbox, and where it lies there."""

    image: Frame
    """H×W×3 uint8."""
    scale: float
    """Its size there over its own."""
    left: int
    top: int
    """Its upper left corner there, px."""


def letterbox(frame: Frame, size: tuple[int, int]) -> Letter:
    """The frame as large as fits, in the middle.

    Args:
        frame: H×W×3 uint8.
        size: Height and width of the letterbox, px.
    """
    height, width = frame.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    h, w = (max(1, min(s, round(v * scale))) for v, s in zip((height, width), size, strict=True))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    image = np.full((*size, 3), GREY, np.uint8)
    image[top : top + h, left : left + w] = cv2.resize(frame, (w, h), interpolation=method)
    return Letter(image, scale, left, top)


def out_of(letter: Letter, boxes: Boxes) -> Boxes:
    """Boxes N×4 of the letterbox as boxes of the frame, px."""
    offset = np.array([letter.left, letter.top] * 2, np.float32)
    moved: Boxes = ((boxes - offset) / np.float32(letter.scale)).astype(np.float32)
    return moved
