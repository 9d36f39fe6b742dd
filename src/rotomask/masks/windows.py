"""The part of a frame around a mask, for work that would take the whole frame's time else."""

import cv2
import numpy as np
import numpy.typing as npt


def window_around(
    mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8], margin: int
) -> tuple[slice, slice]:
    """Rows and columns of the pixels of a mask that are not 0, with a margin, inside the frame.

    Args:
        mask: H×W; one without such a pixel gives the frame's first rows and columns.
        margin: Px on every side.
    """
    # bool and uint8 both take a byte: a view, where `astype` would copy the frame.
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    # Only the near ends are clipped: a slice may end beyond its array.
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )
