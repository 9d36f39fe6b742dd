"""Dilation by a disk, exact and fast, by decomposing the disk into a few shifts.

Except for a few pixels, a digital disk is the Minkowski sum of a small core and of pairs {0, v},
one for each edge v of half its convex hull. Dilation by a Minkowski sum is dilation by one term
after the other, and dilation by a union is the union of the dilations. So the masks are dilated by
the core, then by each pair, and the remaining pixels of the disk are added: for a radius of 8 px
13 shifts, where the disk has 197 pixels. Eight masks are dilated at once, one per bit of a byte.
"""

import functools
import itertools
import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.uint8]
"""H×W uint8, one mask per bit."""

Offset = tuple[int, int]
"""(rows down, columns right), px."""

MAX_DECOMPOSED_RADIUS = 24
"""Largest radius of disks that are decomposed, px; larger ones are left to OpenCV."""

MAX_CORE_EDGES = 5
"""Most edges of the hull that the core may contain instead of a pair each."""


class Decomposition(NamedTuple):
    """A disk as the union of the remainder and of core ⊕ {0, pair 1} ⊕ {0, pair 2} ..."""

    core: tuple[Offset, ...]
    pairs: tuple[Offset, ...]
    remainder: tuple[Offset, ...]

    def __len__(self) -> int:
        return len(self.core) + len(self.pairs) + len(self.remainder)


def grow(planes: Planes, radius: int) -> Planes:
    """Each mask dilated by a disk, which adds all pixels within `radius` px: H×W uint8.

    Args:
        planes: H×W uint8, one mask per bit.
        radius: Largest Euclidean distance, px.
    """
    if radius > MAX_DECOMPOSED_RADIUS:
        return _grow_by_kernel(planes, radius)
    core, pairs, remainder = decompose(radius)
    height, width = planes.shape
    # A shift in two dimensions is one shift of the flat array, as what leaves a row at its end
    # enters the next row at its start. A border as wide as the disk keeps that out of the image.
    stride = width + 2 * radius
    padded = np.zeros((height + 2 * radius, stride), np.uint8)
    padded[radius : radius + height, radius : radius + width] = planes
    flat = padded.reshape(-1)
    dilated = np.zeros_like(flat)
    for down, right in core:
        _add_shifted(dilated, flat, down * stride + right)
    for down, right in pairs:  # X ⊕ {0, v} is the union of X and X shifted by v
        source = dilated
        dilated = source.copy()
        _add_shifted(dilated, source, down * stride + right)
    for down, right in remainder:
        _add_shifted(dilated, flat, down * stride + right)
    inside = dilated.reshape(padded.shape)[radius : radius + height, radius : radius + width]
    return np.ascontiguousarray(inside)


def disk_offsets(radius: int) -> frozenset[Offset]:
    """All offsets of a Euclidean length of at most `radius`."""
    span = range(-radius, radius + 1)
    return frozenset((y, x) for y in span for x in span if y * y + x * x <= radius * radius)


@functools.cache
def decompose(radius: int) -> Decomposition:
    """The decomposition of a disk with the fewest shifts among the ones tried."""
    disk = disk_offsets(radius)
    edges = sorted(_hull_edges(radius), key=lambda v: -math.hypot(*v))
    # Alternate signs, so that the sum of the pairs is about centred and needs no large core offset.
    signed = [(y, x) if i % 2 else (-y, -x) for i, (y, x) in enumerate(edges)]
    candidates = [Decomposition(core=tuple(sorted(disk)), pairs=(), remainder=())]
    # A long edge saves the most as a pair, so the shortest ones go into the core.
    for count in range(len(signed), max(0, len(signed) - MAX_CORE_EDGES) - 1, -1):
        pairs = tuple(signed[:count])
        # 2^pairs points at most; few pairs are left by then, for a disk of 24 px has a dozen edges.
        pair_sum = _sum([(0, 0)], pairs)
        # Erosion of the disk by the sum of the pairs: the largest core that stays within the disk.
        core = [p for p in sorted(disk) if all((p[0] + y, p[1] + x) in disk for y, x in pair_sum)]
        core = _without_redundant(core, pairs)
        remainder = tuple(sorted(disk - _sum(core, pairs)))
        candidates.append(Decomposition(core=tuple(core), pairs=pairs, remainder=remainder))
    return min(candidates, key=len)


def _hull_edges(radius: int) -> list[Offset]:
    """The edges of half the convex hull of the disk, each divided into primitive steps.

    A step is primitive if its parts have no common divisor, so that it passes no pixel on the way.
    """
    # The topmost pixel of each column in a quarter, then its upper hull (Andrew's monotone chain).
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
        # The other quarter has the mirrored edge. An edge along an axis crosses from one quarter to
        # the other: half of it is in each, so it counts twice.
        edges += [step, (-step[0], step[1]) if 0 not in step else step] * times
    return edges


def _turn(a: Offset, b: Offset, c: Offset) -> int:
    """Positive if the path a, b, c turns left (y up), negative if right, 0 if straight."""
    return (b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1])


def _sum(points: list[Offset], pairs: tuple[Offset, ...]) -> frozenset[Offset]:
    """Minkowski sum of the points and of {0, v} for every pair v."""
    total = set(points)
    for down, right in pairs:
        total |= {(y + down, x + right) for y, x in total}
    return frozenset(total)


def _without_redundant(core: list[Offset], pairs: tuple[Offset, ...]) -> list[Offset]:
    """The core without the points whose removal leaves its sum with the pairs unchanged."""
    total = _sum(core, pairs)
    for point in list(core):
        others = [p for p in core if p != point]
        # Greedy: not the smallest core, but one from which nothing more can be left out.
        if _sum(others, pairs) == total:
            core = others
    return core


def _add_shifted(target: Planes, source: Planes, by: int) -> None:
    """Set in `target` the bits of `source` shifted by a number of entries; both are flat."""
    if by > 0:
        target[by:] |= source[:-by]
    elif by < 0:
        target[:by] |= source[-by:]
    else:
        target |= source


def disk_kernel(radius: int) -> npt.NDArray[np.uint8]:
    """A disk of 1s for OpenCV, (2 radius + 1) pixels wide; cv2's own ellipse is not a disk."""
    offset = np.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)


def _grow_by_kernel(planes: Planes, radius: int) -> Planes:
    kernel = disk_kernel(radius)
    dilated = np.zeros_like(planes)
    for bit in range(int(planes.max(initial=0)).bit_length()):
        dilated |= np.asarray(cv2.dilate(planes >> bit & 1, kernel), np.uint8) << bit
    return dilated
