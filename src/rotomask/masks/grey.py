"""What a grey mask means: object ids, or black and white with clean, soft or noisy edges."""

from typing import Literal

import numpy as np
import numpy.typing as npt

NEAR = 32
"""Greys this close to 0 or 255 count as black or white in a noisy or antialiased mask."""

MOST = 0.95
"""Share of the pixels that must be near black or white for the rest to be its edges."""

FLAT = 0.8
"""Share of neighbouring pixels that must agree for an image to be labels and not a photo."""

GreyMeaning = Literal["binary", "soft binary", "ids"]


def grey_meaning(grey: npt.NDArray[np.integer], white: int, lossy: bool) -> GreyMeaning | None:
    """What the greys stand for, or None when that cannot be known.

    - Only 0 and white: one object, drawn white ("binary").
    - Nearly all near 0 or white, the rest on thin edges: the same, antialiased or through a lossy
      codec ("soft binary", to be cut in the middle).
    - Flat regions of equal values in a lossless file: each value an object id ("ids"). So a mask of
      0 and 7 is object 7, and 255 beside other ids is an id.

    Args:
        grey: H×W integers.
        white: The value of white, 255 or 65535.
        lossy: Whether the file's codec changes values, which makes ids unreadable.
    """
    between = (grey != 0) & (grey != white)
    if not between.any():
        return "binary"
    white_like = grey >= white - NEAR
    black_like = grey <= NEAR
    extreme = float((white_like | black_like).mean()) >= MOST and white_like.any()
    if extreme and (lossy or interior_share(grey, between) < 0.2):
        return "soft binary"
    if not lossy and flatness(grey) >= FLAT:
        return "ids"
    return None


def interior_share(values: npt.NDArray[np.integer], where: npt.NDArray[np.bool_]) -> float:
    """Of the pixels `where`, the share that equals all four neighbours: near 0 on thin edges."""
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
    """Share of the horizontal and vertical neighbours that are equal; 1 for a single pixel."""
    across = values[:, 1:] == values[:, :-1]
    down = values[1:] == values[:-1]
    pairs = across.size + down.size
    return float((across.sum() + down.sum()) / pairs) if pairs else 1.0
