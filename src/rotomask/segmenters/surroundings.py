"""The surroundings of objects: there they are looked for, and there memory keeps every position."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

GRID = 32
"""Windows begin and end at multiples of this, px: the coarsest features are at this stride."""

STEP = 128
"""What is decoded is a multiple of this large, px, or reaches the frame's border: for each size the
library that computes convolutions keeps code of its own, some MiB for all layers."""

MOTION = 32
"""What an object is expected to move within a frame at most, px; a multiple of `GRID`."""

ABSENT_LOGIT = -12.0
"""Logit of an object outside its window: a probability of 6e-6."""

_VISIBLE = 0.2
"""Probability from which a pixel of the last mask counts."""
_LEAST_MARGIN = 32
"""Margin around small objects, px."""
_TOUCHED = 0.05
"""Probability from which a pixel makes its position of the keys one of an object."""
THINNING = 2
"""Of the positions far from all objects, one in so many rows and columns is kept."""
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

    def inside(self, outer: "Window") -> "Window":
        """The same part of the frame, counted from the corner of a window around it."""
        return Window(*self.at(1, outer))

    def holds(self, other: "Window") -> bool:
        """True if the other window is inside this one."""
        return all(
            outer.start <= inner.start and inner.stop <= outer.stop
            for outer, inner in zip(self, other, strict=True)
        )

    @property
    def area(self) -> int:
        """Number of pixels."""
        height: int = self.rows.stop - self.rows.start
        width: int = self.columns.stop - self.columns.start
        return height * width


def whole_frame(shape: torch.Size) -> Window:
    """The window of a frame ...×H×W."""
    return Window(slice(0, shape[-2]), slice(0, shape[-1]))


def window_around(mask: Tensor, margin: float) -> Window:
    """Surroundings of an object; the whole frame where it has no visible pixel.

    Args:
        mask: Soft mask of the object, H×W, 0..1.
        margin: What is added to its box on each side, as a fraction of the box; at least 32 px.
    """
    height, width = mask.shape
    sides = []
    for axis, length in ((1, height), (0, width)):
        found = torch.nonzero(mask.amax(axis) > _VISIBLE)[:, 0]
        if len(found) == 0:
            return whole_frame(mask.shape)
        first, last = int(found[0]), int(found[-1]) + 1
        added = max(_LEAST_MARGIN, int(margin * (last - first)))
        start = max(0, first - added) // GRID * GRID
        stop = min(length, -(-(last + added) // GRID) * GRID)
        sides.append(slice(start, stop))
    return Window(*sides)


def grown(window: Window, outer: Window) -> Window:
    """The window with room for one more frame of motion on each side, inside an outer one."""
    return Window(
        *(
            slice(max(limit.start, side.start - MOTION), min(limit.stop, side.stop + MOTION))
            for side, limit in zip(window, outer, strict=True)
        )
    )


def widened(window: Window, outer: Window) -> Window:
    """The window of one of few sizes that holds a window, inside an outer one of such a size."""
    sides = []
    for side, limit in zip(window, outer, strict=True):
        size = -(-(side.stop - side.start) // STEP) * STEP
        stop = min(limit.stop, side.start + size)
        start = side.start
        if stop == limit.stop:
            start = max(limit.start, (stop - size) // GRID * GRID)
        sides.append(slice(start, stop))
    return Window(*sides)


def union(windows: list[Window]) -> Window:
    """Smallest window that holds all of these."""
    return Window(
        slice(min(w.rows.start for w in windows), max(w.rows.stop for w in windows)),
        slice(min(w.columns.start for w in windows), max(w.columns.stop for w in windows)),
    )


def grouped(windows: Sequence[Window | None]) -> list[tuple[Window, list[int]]]:
    """Windows, each once, with the rows of the objects that share it; None is left out."""
    groups: list[tuple[Window, list[int]]] = []
    for row, window in enumerate(windows):
        if window is None:
            continue
        for known, rows in groups:
            if known == window:
                rows.append(row)
                break
        else:
            groups.append((window, [row]))
    return groups


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


def near_objects(masks: Tensor, stride: int, distance: int) -> Tensor:
    """True for the positions of a map that are near an object, h×w bool.

    Args:
        masks: Soft masks, O×H×W, 0..1, H = stride·h and W = stride·w.
        stride: Of the map, px.
        distance: How far a near position may be from an object's, in positions.
    """
    touched = F.max_pool2d(masks.amax(0)[None, None].float(), stride)  # 1×1×h×w
    size = 2 * distance + 1
    return F.max_pool2d(touched, size, 1, distance)[0, 0] > _TOUCHED


def thinned(near: Tensor) -> tuple[Tensor, Tensor]:
    """All near positions and one in four of the others.

    What is far from every object only has to tell it from the rest of the frame, and there is much
    of it that looks alike.

    Args:
        near: h×w bool.

    Returns:
        Indices of the N positions that are kept, in a map h·w, int64; and the logarithm of the
        number of positions that each stands for, N float32.
    """
    one = torch.zeros_like(near)
    one[THINNING // 2 :: THINNING, THINNING // 2 :: THINNING] = True
    positions = (near | one).flatten().nonzero()[:, 0]
    log_weight = torch.where(near.flatten()[positions], 0.0, math.log(THINNING**2))
    return positions, log_weight
