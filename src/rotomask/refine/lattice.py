"""Gaussian filtering in many dimensions on the permutohedral lattice.

Adams, Baek, Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice". The
lattice is the integer points of the hyperplane x·1 = 0 in d + 1 dimensions whose coordinates agree
modulo d + 1. Its cells are simplices: a point has d + 1 vertices around it, found by sorting, where
a grid has 2^d. Values are splatted to the vertices, blurred along the d + 1 axes and sliced back.
Only vertices near a point exist, so the cost grows with the points, not with the space.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from rotomask.errors import ShapeError

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.integer]
"""Integers of fewer bits: there are many of them."""


class PermutohedralLattice:
    """Filters values at fixed points with a Gaussian of standard deviation 1.

    Args:
        positions: Where the points are, in units of the standard deviation, D×N float32.

    Raises:
        ShapeError: If positions are not D×N with D, N >= 1, or lie so far apart that the lattice
            cannot be numbered.
    """

    def __init__(self, positions: Floats) -> None:
        if positions.ndim != 2 or 0 in positions.shape:
            raise ShapeError(f"positions must be D×N, at least 1×1, got {positions.shape}")
        base, rank, weights = _enclosing_simplex(_elevate(positions))
        simplex, representative = _distinct(_number([*base, *rank]))
        one_each = base[:, representative].astype(np.int64), rank[:, representative]
        keys, step = _vertex_keys(*one_each)
        vertex, first = _distinct(keys.ravel())
        self._neighbours = _neighbours(keys.ravel()[first], step)
        columns = vertex.reshape(keys.shape).T[simplex].astype(np.int32)
        count, corners = columns.shape
        starts = np.arange(count + 1, dtype=np.int32) * corners
        self._slice = csr_array(
            (weights.T.ravel(), columns.ravel(), starts), shape=(count, len(first))
        )
        self._splat = self._slice.T

    @property
    def vertices(self) -> int:
        """How many vertices the points touch."""
        return int(self._slice.shape[1])

    def filter(self, values: Floats) -> Floats:
        """The Gaussian-weighted sum of all points' values at every point, up to one scale.

        Divide by the filtered ones to have a weighted mean.

        Args:
            values: N×C float32.

        Returns:
            N×C float32.
        """
        # One vertex more, always 0, stands in for every neighbour that no point touches.
        grid = np.zeros((self.vertices + 1, values.shape[1]), np.float32)
        grid[:-1] = self._splat @ values
        for before, after in self._neighbours:
            grid[:-1] += 0.5 * (grid[before] + grid[after])
        filtered: Floats = self._slice @ grid[:-1]
        return filtered


def _elevate(positions: Floats) -> Floats:
    """Positions D×N on the hyperplane, D+1×N, scaled so that one blur has deviation 1.

    Splat, blur and slice together have variance 2/3 (d + 1)² in lattice units (sec. 3.1).
    """
    d = len(positions)
    axes = np.zeros((d + 1, d))
    for j in range(d):
        axes[: j + 1, j] = 1
        axes[j + 1, j] = -(j + 1)
    # Columns are orthogonal; this makes them equally long.
    axes *= (d + 1) * np.sqrt(2 / 3) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    elevated: Floats = axes.astype(np.float32) @ positions
    return elevated


def _enclosing_simplex(elevated: Floats) -> tuple[Narrow, Narrow, Floats]:
    """The simplex around every point.

    Returns:
        Its vertex of remainder 0 divided by D+1, D+1×N; the place of every coordinate in falling
        order of its distance from that vertex, D+1×N; barycentric weights of the vertices of
        remainder 0, 1, ..., D, D+1×N.
    """
    size, count = elevated.shape
    base = np.rint(elevated / size)
    offset = elevated - size * base
    rank = np.zeros((size, count), np.int16)
    for i in range(size):
        for j in range(i + 1, size):
            lower = offset[i] < offset[j]
            rank[i] += lower
            rank[j] += ~lower
    # Rounding left the hyperplane: the coordinates that were rounded most go back by one.
    rank += base.sum(0).astype(np.int16)
    back = (rank < 0).astype(np.int16) - (rank >= size)
    rank += size * back
    base += back
    offset = elevated - size * base
    falling = np.empty_like(offset)
    np.put_along_axis(falling, rank.astype(np.intp), offset, axis=0)
    weights = np.empty_like(offset)
    weights[0] = 1 - (falling[0] - falling[-1]) / size
    weights[1:] = ((falling[:-1] - falling[1:]) / size)[::-1]
    return base.astype(np.int32), rank, weights


def _number(rows: list[Narrow]) -> Integers:
    """One number for each column of K rows of N integers: equal columns have equal numbers."""
    low = [int(row.min()) for row in rows]
    steps = _steps(np.array([int(row.max()) for row in rows]) - np.array(low) + 1)
    number = np.zeros(len(rows[0]), np.int64)
    for row, least, step in zip(rows, low, steps, strict=True):
        number += (row.astype(np.int64) - least) * step
    return number


def _steps(extent: Integers) -> Integers:
    """What one more in each place counts in a mixed-radix number."""
    if float(np.prod(extent.astype(np.float64))) > 2**62:
        raise ShapeError(
            "the points lie too far apart for their standard deviation; use a larger one"
        )
    return np.concatenate([[1], np.cumprod(extent[:-1])])


def _distinct(numbers: Integers) -> tuple[Integers, Integers]:
    """The place of each number among the distinct ones in rising order, and one index of each."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    place = np.empty(len(numbers), np.int64)
    place[order] = np.cumsum(is_new) - 1
    return place, order[is_new]


def _vertex_keys(base: Integers, rank: Narrow) -> tuple[Integers, Integers]:
    """Numbers of the vertices of S simplices by remainder, D+1×S.

    The second result is what each of the first D coordinates counts in them: the last coordinate
    follows from the others.
    """
    size = len(base)
    low = size * base[:-1].min(1) - 3 * size
    extent = size * base[:-1].max(1) + 3 * size - low + 1
    step = _steps(extent)
    origin = (size * base[:-1] - low[:, None]).T @ step
    keys = np.empty_like(base)
    for remainder in range(size):
        moved = np.where(rank[:-1] < size - remainder, remainder, remainder - size)
        keys[remainder] = origin + moved.T @ step
    return keys, step


def _neighbours(keys: Integers, step: Integers) -> list[tuple[Integers, Integers]]:
    """For each axis the vertex before and after every vertex; their count where there is none."""
    count = len(keys)
    found = []
    for axis in range(len(step) + 1):
        # Along an axis all coordinates grow by one but its own, which falls by D.
        move = step.sum() - (len(step) + 1) * step[axis] if axis < len(step) else step.sum()
        place = np.searchsorted(keys, keys + move)
        place[place == count] = 0
        after = np.where(keys[place] == keys + move, place, count)
        before = np.full(count + 1, count)
        before[after] = np.arange(count)
        found.append((before[:-1], after))
    return found
