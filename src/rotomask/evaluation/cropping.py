"""Only the part of a frame where something is: what makes the measures quick."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

BoolMask = npt.NDArray[np.bool_]


class Cropped(NamedTuple):
    """Two masks cut to the same box, without their void pixels."""

    mask: BoolMask
    truth: BoolMask


def crop_to_objects(
    mask: BoolMask, truth: BoolMask, void: BoolMask | None, *, margin: int
) -> Cropped | None:
    """Both masks within the box around either, or None when there is nothing in both.

    Args:
        mask: H×W bool.
        truth: H×W bool.
        void: Pixels to take out of both, H×W bool.
        margin: Background to keep on every side, px; it ends at the edges of the frame.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.
    """
    check_masks(mask, truth, void)
    box = _joint_box(mask, truth, margin)
    if box is None:
        return None
    mask, truth = mask[box], truth[box]
    if void is not None and void[box].any():
        valid = ~void[box]
        mask, truth = mask & valid, truth & valid
    return Cropped(mask, truth)


def check_masks(mask: BoolMask, truth: BoolMask, void: BoolMask | None) -> None:
    """Raise unless all are H×W bool of one size."""
    for name, array in (("mask", mask), ("truth", truth), ("void", void)):
        if array is None:
            continue
        if array.ndim != 2 or array.dtype != np.bool_:
            raise ShapeError(
                f"{name} must be H×W bool, got {array.shape} {array.dtype}; use labels == object_id"
            )
        if array.shape != truth.shape:
            raise ShapeError(
                f"{name} is {array.shape[1]}x{array.shape[0]} but the truth "
                f"{truth.shape[1]}x{truth.shape[0]}; resize it to the truth's size"
            )


def _joint_box(mask: BoolMask, truth: BoolMask, margin: int) -> tuple[slice, slice] | None:
    boxes = [cv2.boundingRect(np.ascontiguousarray(m).view(np.uint8)) for m in (mask, truth)]
    boxes = [box for box in boxes if box[2]]
    if not boxes:
        return None
    height, width = truth.shape
    left = min(x for x, _, _, _ in boxes)
    top = min(y for _, y, _, _ in boxes)
    right = max(x + w for x, _, w, _ in boxes)
    bottom = max(y + h for _, y, _, h in boxes)
    return (
        slice(max(0, top - margin), min(height, bottom + margin)),
        slice(max(0, left - margin), min(width, right + margin)),
    )
