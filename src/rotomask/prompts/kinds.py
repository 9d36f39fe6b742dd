"""Prompts that a user draws on a frame: clicks, boxes, scribbles, polygons, rough masks.

Coordinates are pixels from the frame's upper left corner, x to the right and y down: the first
pixel holds 0 <= x < 1. A fraction names the pixel that it lies in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BoolMask = npt.NDArray[np.bool_]
Point = tuple[float, float]
"""x and y, px."""

SCRIBBLE_WIDTH_PX = 5.0


@dataclass(frozen=True)
class Click:
    """One pixel that belongs to the object, or does not."""

    x: float
    y: float
    positive: bool = True
    object_id: int = 1


@dataclass(frozen=True)
class Box:
    """A rectangle around the object."""

    x: float
    """Left edge."""
    y: float
    """Upper edge."""
    width: float
    height: float
    object_id: int = 1

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge; the last two are exclusive."""
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True)
class Scribble:
    """A stroke through the object, or through what is not the object."""

    points: tuple[Point, ...]
    positive: bool = True
    object_id: int = 1
    width_px: float = SCRIBBLE_WIDTH_PX

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_points(self.points))


@dataclass(frozen=True)
class Polygon:
    """An area that belongs to the object, or does not, by its corners."""

    points: tuple[Point, ...]
    positive: bool = True
    object_id: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_points(self.points))


@dataclass(frozen=True)
class Painted:
    """Pixels painted over, that belong to the object, or do not: an image of strokes."""

    mask: BoolMask = field(compare=False, repr=False)
    """H×W."""
    positive: bool = True
    object_id: int = 1
    digest: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self.mask))


@dataclass(frozen=True)
class RoughMask:
    """A mask to improve: from another frame, another program, or a first attempt."""

    mask: BoolMask = field(compare=False, repr=False)
    """H×W."""
    object_id: int = 1
    digest: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self.mask))


Prompt = Click | Box | Scribble | Polygon | Painted | RoughMask


def is_positive(prompt: Prompt) -> bool:
    """True if the prompt says what belongs to its object, not what does not."""
    return isinstance(prompt, Box | RoughMask) or prompt.positive


def _as_points(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    """Plain pairs, whatever sequence of pairs came."""
    return tuple((float(x), float(y)) for x, y in points)


def _digest(mask: BoolMask) -> str:
    """A checksum of a mask: arrays do not compare to one truth value, checksums do."""
    content = np.packbits(np.ascontiguousarray(mask, bool)).tobytes()
    return hashlib.sha256(f"{mask.shape}".encode() + content).hexdigest()[:32]
