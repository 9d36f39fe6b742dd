"""The size at which a frame is processed, from its own size and the options."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rotomask.errors import OptionError

SMALLEST_SIDE_PX = 16
"""Smallest short side to which frames are reduced: one position at the networks' stride."""

LARGEST_SIDE_PX = 8640
"""Largest short side that may be asked for: twice that of 8K video."""

Enlarge = bool | Literal["auto"]
"""True enlarges frames that are smaller than the processing size; ``auto``: only where an object is
small."""

SMALL_OBJECT_PX = 100.0
"""An object is small if the square root of its area is below this, px: at stride 16, some six cells
of a feature map."""
MOST_ENLARGED_OBJECTS = 16
"""Videos with more objects are enlarged to the processing size at most: memory grows with both."""
LARGEST_FACTOR = 4
"""Frames are never enlarged by more than this on their own account."""
LARGEST_ASKED_FACTOR = 16
"""Nor by more than this where it is asked for: memory grows with its square."""


def check_size(short_side: int | None) -> None:
    """Check a processing size that a user gives; None is the frames' own.

    Raises:
        OptionError: If it is below 16 px or above 8640 px.
    """
    if short_side is not None and not SMALLEST_SIDE_PX <= short_side <= LARGEST_SIDE_PX:
        raise OptionError(
            f"the processing size must be at least {SMALLEST_SIDE_PX} px and at most "
            f"{LARGEST_SIDE_PX}, got {short_side}"
        )


def enlarged_side(
    mask: npt.NDArray[np.integer],
    short_side: int | None,
    enlarge: Enlarge,
    small_factor: float = 1.0,
) -> int | None:
    """Short side at which a video with small objects is processed, px; None: as any other.

    Args:
        mask: Labels of the reference frame, H×W.
        short_side: Short side at which frames are processed, px; None: their own.
        enlarge: True: enlarged to `short_side`; ``auto``: to `small_factor` times it, at most by
            `LARGEST_FACTOR`, if the smallest object is small, as large as the frames are processed
            without. With more than `MOST_ENLARGED_OBJECTS` objects the factor is 1.
        small_factor: Factor on `short_side`, 1 or more.
    """
    short: int = min(mask.shape)
    if short_side is None or enlarge is False:
        return None
    if enlarge is True:
        return short_side if short < short_side else None
    # Pixels of each object; the root is the side of a square of that area.
    areas = np.unique(mask[mask != 0], return_counts=True)[1]
    if not len(areas):
        return None
    plain = min(short, short_side)
    smallest = areas.min() ** 0.5 * plain / short
    if smallest >= SMALL_OBJECT_PX:
        return None
    factor = small_factor if len(areas) <= MOST_ENLARGED_OBJECTS else 1.0
    side = min(round(factor * short_side), max(SMALLEST_SIDE_PX, LARGEST_FACTOR * short))
    return side if side > plain else None


def working_size(
    size: tuple[int, int], short_side: int | None, enlarge: bool, scale: float = 1.0
) -> tuple[int, int]:
    """Height and width at which a frame is processed, with its aspect ratio.

    Args:
        size: Height and width of the frame, px.
        short_side: Short side to which larger frames are reduced, px; None: keep the frame's size.
        enlarge: Enlarge smaller frames to `short_side` too, at most by `LARGEST_ASKED_FACTOR`.
        scale: Further factor on both sides, for multi-scale inference.

    Raises:
        OptionError: If the short side is below 16 px.
    """
    _check_short_side(short_side, SMALLEST_SIDE_PX)
    short = min(size)
    target = short
    if short_side is not None and (short > short_side or enlarge):
        target = min(short_side, LARGEST_ASKED_FACTOR * short)
    factor = scale * target / short
    # Exactly the frame's size: no rounding, so that nothing is resized.
    if factor == 1:
        return size
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def fitted_size(size: tuple[int, int], short_side: int | None, multiple: int) -> tuple[int, int]:
    """Multiples of a number nearest to the frame's height and width at a given short side.

    Smaller frames are always enlarged, because the networks that use this respond to objects of a
    certain size in px. The sides are rounded once; `nearest_multiples` of `working_size` rounds
    twice.

    Args:
        size: Height and width of the frame, px.
        short_side: Short side, px; None: the frame's own.
        multiple: The returned height and width are multiples of this, px.

    Raises:
        OptionError: If the short side is below 1 px.
    """
    _check_short_side(short_side, 1)
    scale = 1.0 if short_side is None else short_side / min(size)
    return nearest_multiples((size[0] * scale, size[1] * scale), multiple)


def _check_short_side(short_side: int | None, smallest: int) -> None:
    if short_side is not None and short_side < smallest:
        raise OptionError(
            f"frames are processed at a short side of {smallest} px or more, got {short_side}; "
            "choose e.g. 480"
        )


def nearest_multiples(size: tuple[float, float], multiple: int) -> tuple[int, int]:
    """Height and width rounded to the nearest multiples of a number, at least one multiple each.

    Example:
        >>> nearest_multiples((480, 854), 32)
        (480, 864)
    """
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width


def crop_at_stride(features: Tensor, *, rows: slice, columns: slice, stride: int) -> Tensor:
    """Part of a map ...×H/s×W/s that shows a rectangle of the frame; rounded up at its end.

    Args:
        features: The map.
        rows: Rows of the frame, px; they begin at a multiple of the stride.
        columns: Columns of the frame, in the same way.
        stride: s, of the map.
    """
    bottom, right = -(-rows.stop // stride), -(-columns.stop // stride)
    return features[..., rows.start // stride : bottom, columns.start // stride : right]
