"""Growing by a disk, exactly and fast: the disk as a sum of few steps.

A digital disk is, but for a few pixels, the Minkowski sum of a small core and of pairs {0, v}, one
for each edge v of its convex hull. So growing by the core, then by each pair, and adding the few
pixels is growing by the disk: for 8 px 13 bitwise operations where the disk has 197 pixels, and for
8 masks at once, one in each bit of a byte.
"""

import functools
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.uint8]
"""H×W, a mask in each bit."""

Offset = tuple[int, int]
"""(down, right), px."""

LARGEST = 24
"""Radius up to which the decomposition is sought, px; larger disks are left to OpenCV."""

MOST_LEFT_OUT = 5
"""How many edges may go into the core."""


class Steps(NamedTuple):
    """core ⊕ {0, pair} ⊕ {0, pair} ... and the rest."""

    core: tuple[Offset, ...]
    pairs: tuple[Offset, ...]
    rest: tuple[Offset, ...]

    def __len__(self) -> int:
        return len(self.core) + len(self.pairs) + len(self.rest)


def grow(planes: Planes, radius: int) -> Planes:
    """Each mask and what is at most `radius` px (Euclidean distance) from it: H×W uint8."""
    if radius > LARGEST:
        return _grow_by_kernel(planes, radius)
    core, pairs, rest = decompose(radius)
    height, width = planes.shape
    # With a border as wide as the disk nothing that grows out of one row comes in at the next: so
    # a shift is a shift of the flat array.
    stride = width + 2 * radius
    framed = np.zeros((height + 2 * radius, stride), np.uint8)
    framed[radius : radius + height, radius : radius + width] = planes
    flat = framed.reshape(-1)
    grown = np.zeros_like(flat)
    for down, right in core:
        _add_shifted(grown, flat, down * stride + right)
    for down, right in pairs:
        source = grown
        grown = source.copy()
        _add_shifted(grown, source, down * stride + right)
    for down, right in rest:
        _add_shifted(grown, flat, down * stride + right)
    inside = grown.reshape(framed.shape)[radius : radius + height, radius : radius + width]
    return np.ascontiguousarray(inside)


def disk_offsets(radius: int) -> frozenset[Offset]:
    """All offsets of a length <= radius."""
    span = range(-radius, radius + 1)
    return frozenset((y, x) for y in span for x in span if y * y + x * x <= radius * radius)


@functools.cache
def decompose(radius: int) -> Steps:
    """The disk as core ⊕ pairs and the rest, with as few steps as a short search finds."""
    disk = disk_offsets(radius)
    edges = sorted(_hull_edges(radius), key=lambda v: -math.hypot(*v))
    # Opposite signs in turn, so that the sum stays near the middle.
    signed = [(y, x) if i % 2 else (-y, -x) for i, (y, x) in enumerate(edges)]
    found = [Steps(core=tuple(sorted(disk)), pairs=(), rest=())]
    for count in range(len(signed), max(0, len(signed) - MOST_LEFT_OUT) - 1, -1):
        pairs = tuple(signed[:count])
        reach = _sum([(0, 0)], pairs)
        core = [p for p in sorted(disk) if all((p[0] + y, p[1] + x) in disk for y, x in reach)]
        core = _thinned(core, pairs)
        rest = tuple(sorted(disk - _sum(core, pairs)))
        found.append(Steps(core=tuple(core), pairs=pairs, rest=rest))
    return min(found, key=len)


def _hull_edges(radius: int) -> list[Offset]:
    """The edges of half the convex hull of the disk's pixels, in their smallest whole steps."""
    outline = [(math.isqrt(radius**2 - x * x), x) for x in range(radius + 1)]
    hull: list[Offset] = []
    for point in outline:
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) >= 0:
            hull.pop()
        hull.append(point)
    edges: list[Offset] = []
    for (y0, x0), (y1, x1) in itertools.pairwise(hull):
        dy, dx = y1 - y0, x1 - x0
        times = math.gcd(dy, dx)
        step = (dy // times, dx // times)
        # Of a quarter of the hull: its mirror image has the other slope; an edge along an axis is
        # only half an edge here.
        edges += [step, (-step[0], step[1]) if 0 not in step else step] * times
    return edges


def _turn(a: Offset, b: Offset, c: Offset) -> int:
    return (b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1])


def _sum(points: list[Offset], pairs: tuple[Offset, ...]) -> frozenset[Offset]:
    reached = set(points)
    for down, right in pairs:
        reached |= {(y + down, x + right) for y, x in reached}
    return frozenset(reached)


def _thinned(core: list[Offset], pairs: tuple[Offset, ...]) -> list[Offset]:
    """The core without the points that add nothing to the sum."""
    whole = _sum(core, pairs)
    for point in list(core):
        fewer = [p for p in core if p != point]
        if _sum(fewer, pairs) == whole:
            core = fewer
    return core


def _add_shifted(target: Planes, source: Planes, by: int) -> None:
    if by > 0:
        target[by:] |= source[:-by]
    elif by < 0:
        target[:by] |= source[-by:]
    else:
        target |= source


def _grow_by_kernel(planes: Planes, radius: int) -> Planes:
    offset = np.arange(-radius, radius + 1)
    kernel = (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)
    grown = np.zeros_like(planes)
    for bit in range(int(planes.max(initial=0)).bit_length()):
        grown |= np.asarray(cv2.dilate(planes >> bit & 1, kernel), np.uint8) << bit
    return grown
