"""Prediction and truth in one array, cropped to the objects, so that J and F are fast."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.evaluation.measures.dilation import Planes

BoolMask = npt.NDArray[np.bool_]

MASK, TRUTH = 1, 2
"""Bits of the predicted and the true mask in each byte of the planes."""


def crop_to_objects(mask: BoolMask, truth: BoolMask, void: BoolMask | None) -> Planes | None:
    """Both masks without void pixels, cropped to their common box; None if both are empty.

    The crop has one pixel of background on every side, except at the edges of the frame.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels to remove from both, H×W bool.

    Returns:
        h×w uint8 with the bits `MASK` and `TRUTH`.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.
    """
    _check(mask, truth, void)
    if mask.size == 0:
        return None
    # Most objects cover a small part of the frame, so counting and dilating within their box alone
    # saves most of the time. A view of bool as uint8 copies nothing.
    left, top, width, height = cv2.boundingRect((mask | truth).view(np.uint8))
    if width == 0:
        return None
    rows = slice(max(0, top - 1), top + height + 1)
    columns = slice(max(0, left - 1), left + width + 1)
    box = (rows, columns)
    planes = mask[box] * np.uint8(MASK) | truth[box] * np.uint8(TRUTH)
    if void is not None:
        planes[void[box]] = 0
    return planes


def _check(mask: BoolMask, truth: BoolMask, void: BoolMask | None) -> None:
    """Raise a ShapeError if an array is not H×W bool, or the sizes differ."""
    for name, array in (("mask", mask), ("truth", truth), ("void", void)):
        if array is None:
            continue
        if array.ndim != 2 or array.dtype != np.bool_:
            raise ShapeError(
                f"{name} must be H×W bool, got {array.shape} {array.dtype}; use labels == object_id"
            )
        if array.shape != truth.shape:
            raise ShapeError(
                f"{name} is {array.shape[1]}x{array.shape[0]} but the truth is "
                f"{truth.shape[1]}x{truth.shape[0]}; resize it to the truth's size"
            )
