"""Boxes as arrays: IoU, non-maximum suppression, and conversion from and to masks.

A box is x0, y0, x1, y1 in px: its left, top, right and bottom edge. The pixel in row y and column x
is the box (x, y, x + 1, y + 1).
"""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

Boxes = npt.NDArray[np.float32]
"""N×4 float32, px: x0, y0, x1, y1."""

BoolMask = npt.NDArray[np.bool_]


def box_areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    """Areas of boxes N×4: N float32, px²; 0 for a box with a negative side."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas: npt.NDArray[np.float32] = np.maximum(width, 0) * np.maximum(height, 0)
    return areas


def box_iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """Intersection over union of every pair of boxes.

    Args:
        a: N×4, px.
        b: M×4, px.

    Returns:
        N×M float32, 0 to 1; 0 where both boxes are empty.

    Raises:
        ShapeError: If an argument is not N×4.

    Example:
        >>> one = np.array([[0, 0, 10, 10]], np.float32)
        >>> other = np.array([[5, 0, 15, 10], [20, 0, 30, 10]], np.float32)
        >>> box_iou(one, other).round(3).tolist()
        [[0.3330000042915344, 0.0]]
    """
    for boxes in (a, b):
        check_boxes(boxes)
    # Corners of the N×M intersections, N×M×2 each.
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.maximum(bottom_right - top_left, 0).prod(-1)
    union = box_areas(a)[:, None] + box_areas(b)[None] - intersection
    iou: npt.NDArray[np.float32] = (intersection / np.maximum(union, 1e-9)).astype(np.float32)
    return iou


def non_maximum_suppression(
    boxes: Boxes, scores: npt.NDArray[np.float32], overlap: float
) -> npt.NDArray[np.intp]:
    """Indices of the boxes that remain after greedy non-maximum suppression, best score first.

    Args:
        boxes: N×4, px.
        scores: N.
        overlap: A box is removed if its IoU with a better one exceeds this.
    """
    order = np.argsort(-scores, kind="stable")
    # All N×N at once: N is a few hundred, and one product costs less than a loop of them.
    overlaps = box_iou(boxes, boxes)
    selected: list[int] = []
    for i in order:
        if not (overlaps[i, selected] > overlap).any():
            selected.append(int(i))
    return np.array(selected, np.intp)


def mask_box(mask: BoolMask) -> Boxes:
    """The bounding box of a mask H×W: 1×4, or 0×4 if the mask is empty."""
    if not mask.any():
        return np.zeros((0, 4), np.float32)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return np.array([[x, y, x + width, y + height]], np.float32)


def label_boxes(labels: npt.NDArray[np.integer]) -> Boxes:
    """Bounding boxes of the labels above 0 in an image H×W, in ascending order: N×4."""
    boxes = [mask_box(labels == k) for k in np.unique(labels) if k != 0]
    return np.concatenate([np.zeros((0, 4), np.float32), *boxes])


def enclosing_box(boxes: Boxes) -> Boxes:
    """The bounding box of all boxes N×4: 1×4, or 0×4 if there are none."""
    if not len(boxes):
        return boxes
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])[None]


def boxes_mask(boxes: Boxes, size: tuple[int, int], margin: float = 0.0) -> BoolMask:
    """Mask of the pixels inside any of the boxes, with edges rounded to whole pixels: H×W bool.

    Args:
        boxes: N×4, px; parts outside the frame are ignored.
        size: Height and width of the frame, px.
        margin: Fraction of its width and height by which each box is enlarged on every side.
    """
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes:
        dx, dy = margin * (x1 - x0), margin * (y1 - y0)
        # Clipped at 0: negative indices would count from the end. Slices beyond the end are safe.
        left, top = (max(0, round(float(v))) for v in (x0 - dx, y0 - dy))
        right, bottom = (max(0, round(float(v))) for v in (x1 + dx, y1 + dy))
        mask[top:bottom, left:right] = True
    return mask


def check_boxes(boxes: Boxes) -> None:
    """Raise `ShapeError` unless the array is N×4."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes must be N×4 (x0, y0, x1, y1 in px), got {boxes.shape}")
