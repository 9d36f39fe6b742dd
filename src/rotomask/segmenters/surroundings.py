"""Where an object is looked for: in the surroundings of its last mask, or in the whole frame."""

from typing import NamedTuple

import torch
from torch import Tensor

GRID = 32
"""Windows begin and end at multiples of this, px: the coarsest features are at this stride."""

STEP = 128
"""What is decoded is a multiple of this large, px, or reaches the frame's border: for each size the
library that computes convolutions keeps code of its own, some MiB for all layers."""

ABSENT_LOGIT = -12.0
"""Logit of an object outside its window: a probability of 6e-6."""

_VISIBLE = 0.2
"""Probability from which a pixel of the last mask counts."""
_LEAST_MARGIN = 32
"""Margin around small objects, px."""
_RIM = 8
"""An object that comes so near to its window's border may go on outside, px."""


class Window(NamedTuple):
    """Rectangle of a frame at padded processing size, px."""

    rows: slice
    columns: slice

    def at(self, stride: int, outer: "Window | None" = None) -> tuple[slice, slice]:
        """The slices of it in a map at a stride, of the whole frame or of a window around it."""
        top, left = (0, 0) if outer is None else (outer.rows.start, outer.columns.start)
        return (
            slice((self.rows.start - top) // stride, (self.rows.stop - top) // stride),
            slice((self.columns.start - left) // stride, (self.columns.stop - left) // stride),
        )


def whole_frame(shape: torch.Size) -> Window:
    """The window of a frame ...×H×W."""
    return Window(slice(0, shape[-2]), slice(0, shape[-1]))


def window_around(mask: Tensor, margin: float) -> Window:
    """Surroundings of an object; the whole frame where it has no visible pixel.

    Args:
        mask: Soft mask of the object, H×W, 0..1.
        margin: What is added to its box on each side, as a fraction of the box; at least 32 px.
    """
    visible = mask > _VISIBLE
    height, width = mask.shape
    sides = []
    for axis, length in ((1, height), (0, width)):
        found = torch.nonzero(visible.any(axis))[:, 0]
        if len(found) == 0:
            return whole_frame(mask.shape)
        first, last = int(found[0]), int(found[-1]) + 1
        added = max(_LEAST_MARGIN, int(margin * (last - first)))
        start = max(0, first - added) // GRID * GRID
        stop = min(length, -(-(last + added) // GRID) * GRID)
        sides.append(slice(start, stop))
    return Window(*sides)


def widened(window: Window, shape: torch.Size) -> Window:
    """The window of one of few sizes that holds a window of a frame ...×H×W."""
    sides = []
    for side, length in zip(window, shape[-2:], strict=True):
        size = -(-(side.stop - side.start) // STEP) * STEP
        stop = min(length, side.start + size)
        start = max(0, stop - size) // GRID * GRID if stop == length else side.start
        sides.append(slice(start, stop))
    return Window(*sides)


def union(windows: list[Window]) -> Window:
    """Smallest window that holds all of these."""
    return Window(
        slice(min(w.rows.start for w in windows), max(w.rows.stop for w in windows)),
        slice(min(w.columns.start for w in windows), max(w.columns.stop for w in windows)),
    )


def may_go_on_outside(logits: Tensor, window: Window) -> bool:
    """True if an object touches its window's border inside the frame, or is not in the window.

    Args:
        logits: Of the object, H×W.
        window: Where it was looked for.
    """
    inside = logits[window] > 0
    height, width = logits.shape
    rows, columns = window
    return bool(
        not inside.any()
        or (rows.start > 0 and inside[:_RIM].any())
        or (rows.stop < height and inside[-_RIM:].any())
        or (columns.start > 0 and inside[:, :_RIM].any())
        or (columns.stop < width and inside[:, -_RIM:].any())
    )
