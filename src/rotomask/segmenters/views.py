"""Views: the part of large frames around the objects that a network looks at.

A view has no more pixels, at the scale at which it is processed, than the whole frame at its own.
Scales are 1.19, 1.41, 1.68 ... times that of the whole frame, 1 at most, and a view stays where it
is while the objects are well inside it, so that few frames in memory were seen at another scale.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MARGIN = 1.5
"""Sides of a view per side of the objects' box, at least."""
SLACK = 1.25
"""A finer scale is taken where a box so much larger would have it too."""
LEAST_MARGIN = 0.08
"""Distance of the box from the view's border per side of the box, below which it moves."""
STEP = 2**0.25
"""Ratio of two successive scales."""
LEAST_AREA = 0.6
"""Pixels of a view per pixel of the whole reduced frame, at least: small objects need context."""
CELL_PX = 16
"""Sides of views are multiples of this at their scale: the stride of the networks."""


class Box(NamedTuple):
    """Rows top to bottom and columns left to right of a frame, px; the last ones are excluded."""

    top: float
    left: float
    bottom: float
    right: float

    def joined(self, other: "Box | None") -> "Box":
        """The smallest box around both."""
        if other is None:
            return self
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def moved_on_from(self, earlier: "Box") -> "Box":
        """The box after one more step like that of its centre from an earlier box."""
        y = (self.top + self.bottom - earlier.top - earlier.bottom) / 2
        x = (self.left + self.right - earlier.left - earlier.right) / 2
        return Box(self.top + y, self.left + x, self.bottom + y, self.right + x)


class View(NamedTuple):
    """A part of a frame, px of the video."""

    top: int
    left: int
    height: int
    width: int
    scale: float = 1.0
    """Factor on its sides when it is processed."""

    @property
    def origin(self) -> tuple[int, int]:
        """First row and column."""
        return self.top, self.left

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    @property
    def working_size(self) -> tuple[int, int]:
        """Height and width at which it is processed."""
        return max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale))


def box_of(mask: npt.NDArray[np.bool_]) -> Box | None:
    """The box of the pixels of a mask H×W; None without any."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def choose_view(
    box: Box, size: tuple[int, int], area: float, margin: float = MARGIN
) -> View | None:
    """The view around a box; None: the whole frame, where no finer scale has room for the box.

    Args:
        box: The objects.
        size: Height and width of the frames.
        area: Pixels of a view at its scale.
        margin: Least sides of the view per side of the box.
    """
    height = min(margin * (box.bottom - box.top), size[0])
    width = min(margin * (box.right - box.left), size[1])
    # Scales are the whole frame's times powers of STEP, so that few of them occur: frames in memory
    # were seen at some scale, and keys of very different scales do not match.
    whole = math.sqrt(area / (size[0] * size[1]))  # scale of the whole frame
    steps = math.floor(math.log(math.sqrt(area / (height * width)) / whole, STEP))
    if steps < 1:
        return None
    scale = min(1.0, whole * STEP**steps)
    # The same margin is added on every side: (h + 2 m) (w + 2 m) = room.
    room, sides = max(height * width, LEAST_AREA * area / scale**2), height + width
    # With 2 m = more: (h + more)(w + more) = room, so more² + (h + w) more - (room - h w) = 0.
    more = (math.sqrt(sides**2 + 4 * (room - height * width)) - sides) / 2
    height = min(height + more, size[0])
    # What one side cannot use because the frame ends, the other gets.
    width = min(room / height, size[1])
    height = min(room / width, size[0])
    top, rows = _placed(box.top, box.bottom, height, size[0], scale)
    left, columns = _placed(box.left, box.right, width, size[1], scale)
    return View(top, left, rows, columns, scale)


def next_view(view: View | None, box: Box, size: tuple[int, int], area: float) -> View | None:
    """The view of the next frame: the same, while the objects are well inside it.

    Args:
        view: That of the frame before; None: the whole frame.
        box: The objects in the frame before.
        size: Height and width of the frames.
        area: Pixels of a view at its scale.
    """
    scale = math.sqrt(area / (size[0] * size[1])) if view is None else view.scale
    if view is None or is_well_inside(box, view, size):
        # With a margin larger by the slack: a box that grows and shrinks a little does not switch
        # scales.
        finer = choose_view(box, size, area, SLACK * MARGIN)
        if finer is None or finer.scale < 1.01 * scale:
            return view
    return choose_view(box, size, area)


def is_well_inside(
    box: Box, view: View, size: tuple[int, int], margin: float = LEAST_MARGIN
) -> bool:
    """True if a box is away from the borders of a view, other than those of the frame.

    Args:
        box: The objects.
        view: The view.
        size: Height and width of the frames.
        margin: Distance that is asked for, per side of the box; a cell at least.
    """
    for axis in (0, 1):
        first, last = box[axis], box[axis + 2]
        # A cell of the network's stride in pixels of the video, at least.
        distance = max(margin * (last - first), CELL_PX / view.scale)
        begin = view.origin[axis]
        end = begin + view.size[axis]
        if begin > 0 and first - begin < distance:
            return False
        if end < size[axis] and end - last < distance:
            return False
    return True


def _placed(first: float, last: float, length: float, whole: int, scale: float) -> tuple[int, int]:
    """Start and length of a view along one side of the frame, around first to last."""
    cells = math.ceil(length * scale / CELL_PX)
    # Whole cells at the view's scale, so that hardly any padding is computed.
    side = min(whole, round(cells * CELL_PX / scale))
    start = round((first + last - side) / 2)
    return min(max(start, 0), whole - side), side
