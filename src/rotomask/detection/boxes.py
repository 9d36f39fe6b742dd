"""Boxes as arrays: overlap, suppression, and what boxes and masks say of each other.

A box is x0, y0, x1, y1 in px: its left, top, right and bottom edge, so that the pixel in row y and
column x is the box (x, y, x + 1, y + 1).
"""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

Boxes = npt.NDArray[np.float32]
"""N×4 float32, px: x0, y0, x1, y1."""

BoolMask = npt.NDArray[np.bool_]


def box_areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    """Areas of boxes N×4 in px², 0 for those turned inside out."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas: npt.NDArray[np.float32] = np.maximum(width, 0) * np.maximum(height, 0)
    return areas


def box_iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """Intersection over union of every pair of boxes.

    Args:
        a: N×4.
        b: M×4.

    Returns:
        N×M float32, 0 to 1; 0 where both are empty.

    Raises:
        ShapeError: If these are not boxes.

    Example:
        >>> one = np.array([[0, 0, 10, 10]], np.float32)
        >>> other = np.array([[5, 0, 15, 10], [20, 0, 30, 10]], np.float32)
        >>> box_iou(one, other).round(3).tolist()
        [[0.3330000042915344, 0.0]]
    """
    for boxes in (a, b):
        check_boxes(boxes)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    union = box_areas(a)[:, None] + box_areas(b)[None] - shared
    overlap: npt.NDArray[np.float32] = (shared / np.maximum(union, 1e-9)).astype(np.float32)
    return overlap


def suppress(boxes: Boxes, scores: npt.NDArray[np.float32], overlap: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression: of boxes that overlap, the one with the best score.

    Args:
        boxes: N×4.
        scores: N.
        overlap: Boxes whose intersection over union with a better one exceeds this go.

    Returns:
        Indices of those that stay, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    overlaps = box_iou(boxes, boxes)
    kept: list[int] = []
    for i in order:
        if not (overlaps[i, kept] > overlap).any():
            kept.append(int(i))
    return np.array(kept, np.intp)


def mask_box(mask: BoolMask) -> Boxes:
    """The box around a mask H×W: 1×4, or 0×4 where the mask is empty."""
    if not mask.any():
        return np.zeros((0, 4), np.float32)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return np.array([[x, y, x + width, y + height]], np.float32)


def label_boxes(labels: npt.NDArray[np.integer]) -> Boxes:
    """The boxes of labels 1, 2, ... in an image H×W, in their order; absent ones are left out."""
    found = [mask_box(labels == k) for k in np.unique(labels) if k != 0]
    return np.concatenate([np.zeros((0, 4), np.float32), *found])


def hull(boxes: Boxes) -> Boxes:
    """The box around boxes N×4: 1×4, or 0×4 of none."""
    if not len(boxes):
        return boxes
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]


def region_of(boxes: Boxes, size: tuple[int, int], margin: float = 0.0) -> BoolMask:
    """Which pixels boxes cover, at least by half.

    Args:
        boxes: N×4.
        size: Height and width of the frame, px.
        margin: Each box is made larger by this part of its width and height on every side.

    Returns:
        H×W bool.
    """
    region = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        dx, dy = margin * (x1 - x0), margin * (y1 - y0)
        left, top = (max(0, round(float(v))) for v in (x0 - dx, y0 - dy))
        right, bottom = (max(0, round(float(v))) for v in (x1 + dx, y1 + dy))
        region[top:bottom, left:right] = True
    return region


def check_boxes(boxes: Boxes) -> None:
    """Raise unless these are N×4."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes are N×4 (x0, y0, x1, y1 in px), got {boxes.shape}")
