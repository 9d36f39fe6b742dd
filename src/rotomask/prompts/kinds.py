"""Prompts that a user draws on a frame: clicks, boxes, scribbles, polygons, rough masks.

Coordinates are pixels from the frame's upper left corner, x to the right and y down: the first
pixel holds 0 <= x < 1. A fraction names the pixel that it lies in.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

BoolMask = npt.NDArray[np.bool_]
Point = tuple[float, float]
"""x and y, px."""

SCRIBBLE_WIDTH_PX = 5.0


@dataclass(frozen=True)
class Click:
    """Pixel on the object, or off it."""

    x: float
    y: float
    positive: bool = True
    """False: the pixel is not on the object; so for the other kinds."""
    object_id: int = 1


@dataclass(frozen=True)
class Box:
    """Rectangle around the object."""

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
    """Stroke on the object, or off it."""

    points: tuple[Point, ...]
    positive: bool = True
    object_id: int = 1
    width_px: float = SCRIBBLE_WIDTH_PX
    exact: bool = False
    """True: a brush. It changes its own pixels alone, and tells a marker nothing about others."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_points(self.points))


@dataclass(frozen=True)
class Polygon:
    """Area on the object, or off it, given by its corners."""

    points: tuple[Point, ...]
    positive: bool = True
    object_id: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _as_points(self.points))


@dataclass(frozen=True)
class Painted:
    """Painted pixels on the object, or off it, as from an image of strokes."""

    mask: BoolMask = field(compare=False, repr=False)
    """H×W."""
    positive: bool = True
    object_id: int = 1
    digest: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self.mask))


@dataclass(frozen=True)
class RoughMask:
    """Mask to improve: from another frame, another program, or a first attempt."""

    mask: BoolMask = field(compare=False, repr=False)
    """H×W."""
    object_id: int = 1
    digest: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", _digest(self.mask))


Stroke = Click | Scribble | Polygon | Painted
"""Prompts that are exact about the pixels they cover; boxes and rough masks are not."""
Prompt = Stroke | Box | RoughMask


def is_stroke(prompt: Prompt) -> TypeGuard[Stroke]:
    """True for clicks, scribbles, polygons and painted pixels; False for boxes and rough masks."""
    return not isinstance(prompt, Box | RoughMask)


def is_positive(prompt: Prompt) -> bool:
    """True if the prompt marks its object; False if it marks other pixels."""
    return not is_stroke(prompt) or prompt.positive


def is_exact(prompt: Prompt) -> bool:
    """True for a brush, which changes its own pixels alone."""
    return isinstance(prompt, Scribble) and prompt.exact


def _as_points(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    """Points as plain tuples of floats, from any sequences."""
    return tuple((float(x), float(y)) for x, y in points)


def _digest(mask: BoolMask) -> str:
    """Checksum of a mask, by which prompts compare: arrays compare element by element."""
    content = np.packbits(np.ascontiguousarray(mask, bool)).tobytes()
    return hashlib.sha256(f"{mask.shape}".encode() + content).hexdigest()[:32]
