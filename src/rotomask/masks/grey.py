"""Grey masks: tell object ids from black and white with clean, soft or noisy edges."""

from typing import Literal

import numpy as np
import numpy.typing as npt

BINARY_TOLERANCE = 32
"""Largest difference from 0 or white that counts as black or white in a noisy mask."""

BINARY_FRACTION = 0.95
"""Least fraction of pixels near black or white for an image to be a noisy binary mask."""

MIN_FLATNESS = 0.8
"""Least fraction of equal neighbouring pixels for an image to be labels and not a photo."""

GreyMeaning = Literal["binary", "soft binary", "ids"]


def grey_meaning(grey: npt.NDArray[np.integer], white: int, lossy: bool) -> GreyMeaning | None:
    """The kind of a grey mask, or None if it is ambiguous.

    - "binary": only 0 and white. One object, drawn white.
    - "soft binary": nearly all pixels near 0 or white, the others on thin edges. One object whose
      edges are antialiased or changed by a lossy codec; threshold it at mid grey.
    - "ids": flat regions in a lossless file. Each value is an object id: a mask of 0 and 7 is
      object 7, and 255 beside other values is an id too.

    Args:
        grey: H×W integers.
        white: The value of white, 255 or 65535.
        lossy: True if the file's codec changes values, so that they cannot be ids.
    """
    between = (grey != 0) & (grey != white)
    if not between.any():
        return "binary"
    white_like = grey >= white - BINARY_TOLERANCE
    black_like = grey <= BINARY_TOLERANCE
    extreme = float((white_like | black_like).mean()) >= BINARY_FRACTION and white_like.any()
    # A small object with id 7 beside one with id 255 has as few pixels in between as a soft edge
    # has, but it is a region: most of its pixels have equal neighbours.
    if extreme and (lossy or interior_fraction(grey, between) < 0.2):
        return "soft binary"
    if not lossy and flatness(grey) >= MIN_FLATNESS:
        return "ids"
    return None


def interior_fraction(values: npt.NDArray[np.integer], where: npt.NDArray[np.bool_]) -> float:
    """Fraction of the pixels in `where` that equal all four neighbours; near 0 on thin edges.

    Args:
        values: H×W integers.
        where: H×W bool.

    Returns:
        0 to 1; 0 if `where` is empty.
    """
    # Repeated border pixels count as equal neighbours.
    padded = np.pad(values.astype(np.int64), 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    inside = (
        (centre == padded[:-2, 1:-1])
        & (centre == padded[2:, 1:-1])
        & (centre == padded[1:-1, :-2])
        & (centre == padded[1:-1, 2:])
    )
    return float(inside[where].mean()) if where.any() else 0.0


def flatness(values: npt.NDArray[np.integer]) -> float:
    """Fraction of horizontal and vertical neighbours that are equal; 1 for a single pixel.

    Args:
        values: H×W integers.
    """
    across = values[:, 1:] == values[:, :-1]
    down = values[1:] == values[:-1]
    pairs = across.size + down.size
    return float((across.sum() + down.sum()) / pairs) if pairs else 1.0
