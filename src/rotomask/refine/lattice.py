"""Gaussian filtering in many dimensions on the permutohedral lattice.

Adams, Baek, Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice". The
lattice consists of the integer points of the hyperplane x·1 = 0 in d + 1 dimensions whose
coordinates are all equal modulo d + 1; that common value is the point's remainder. Its cells are
simplices, so a point has d + 1 enclosing vertices, which a sort yields, where a grid has 2^d.
Values are splatted to the vertices, blurred along the d + 1 lattice axes and sliced back. Only
vertices of occupied simplices are stored, so the cost grows with the number of points, not with the
volume.
"""

import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.integer]
"""Integers of 16 or 32 bits: there are D+1 of them per point."""


class PermutohedralLattice:
    """A Gaussian filter of standard deviation 1 for values at fixed points.

    Args:
        positions: Coordinates of the points, in units of the standard deviation, D×N float32.

    Raises:
        ShapeError: If positions are not D×N with D, N >= 1, or lie so far apart that the lattice
            vertices cannot be numbered in 64 bits.
    """

    def __init__(self, positions: Floats) -> None:
        from scipy.sparse import csr_array  # late: SciPy takes 0.3 s to import

        if positions.ndim != 2 or 0 in positions.shape:
            raise ShapeError(f"positions must be D×N, at least 1×1, got {positions.shape}")
        base, rank, weights = _enclosing_simplex(_elevate(positions))
        # Many points share a simplex (neighbouring pixels of one colour), so vertices are computed
        # once per distinct simplex: S of them, S much smaller than N.
        simplex, representative = _distinct(_number([*base, *rank]))
        keys, step = _vertex_keys(base[:, representative].astype(np.int64), rank[:, representative])
        vertex, first = _distinct(keys.ravel())
        self._neighbours = _neighbours(keys.ravel()[first], step)
        # (D+1)·S -> D+1×S -> S×D+1 -> N×D+1: the vertex numbers of every point's simplex.
        columns = vertex.reshape(keys.shape).T[simplex].astype(np.int32)
        # Slicing is a sparse N×V matrix with D+1 barycentric weights a row; splatting is its
        # transpose. CSR's arrays are given directly, which skips the sort of a COO matrix.
        count, corners = columns.shape
        starts = np.arange(count + 1, dtype=np.int32) * corners
        self._slice = csr_array(
            (weights.T.ravel(), columns.ravel(), starts), shape=(count, len(first))
        )
        self._splat = self._slice.T

    @property
    def vertices(self) -> int:
        """Number of lattice vertices that the points use."""
        return int(self._slice.shape[1])

    def filter(self, values: Floats) -> Floats:
        """Gaussian-weighted sum of all points' values at every point, up to a constant factor.

        For a weighted mean, divide by the result for values of 1.

        Args:
            values: N×C float32.

        Returns:
            N×C float32.
        """
        # The extra last row stays 0: it stands for every neighbour that is not stored.
        grid = np.zeros((self.vertices + 1, values.shape[1]), np.float32)
        grid[:-1] = self._splat @ values
        for before, after in self._neighbours:
            grid[:-1] += 0.5 * (grid[before] + grid[after])  # the kernel 1/2, 1, 1/2 along an axis
        filtered: Floats = self._slice @ grid[:-1]
        return filtered


def _elevate(positions: Floats) -> Floats:
    """Positions D×N mapped to the lattice's hyperplane, D+1×N float32.

    Scaled so that the filter has standard deviation 1: splat, blur and slice together have variance
    2/3 (d + 1)² in lattice units (sec. 3.1).
    """
    d = len(positions)
    # Column j is (1, ..., 1, -(j + 1), 0, ..., 0): it sums to 0, as the hyperplane demands.
    axes = np.zeros((d + 1, d))
    for j in range(d):
        axes[: j + 1, j] = 1
        axes[j + 1, j] = -(j + 1)
    # The columns are orthogonal with squared lengths (j + 1)(j + 2): make the lengths equal.
    axes *= (d + 1) * np.sqrt(2 / 3) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    # Not `@`: for a single point some BLAS kernels warn of invalid values that are not there.
    elevated: Floats = np.einsum("ij,jn->in", axes.astype(np.float32), positions)
    return elevated


def _enclosing_simplex(elevated: Floats) -> tuple[Narrow, Narrow, Floats]:
    """The simplex that encloses every point.

    Args:
        elevated: Points on the hyperplane, D+1×N.

    Returns:
        The simplex's vertex of remainder 0, divided by D+1, D+1×N int32; the rank of every
        coordinate in descending order of its offset from that vertex, D+1×N int16; barycentric
        weights of the vertices of remainder 0, 1, ..., D, D+1×N float32.
    """
    size, count = elevated.shape
    base = np.rint(elevated / size)
    offset = elevated - size * base
    # Rank by counting pairwise comparisons: D(D+1)/2 operations on whole rows of N points.
    rank = np.zeros((size, count), np.int16)
    for i in range(size):
        for j in range(i + 1, size):
            lower = offset[i] < offset[j]
            rank[i] += lower
            rank[j] += ~lower
    # Rounding each coordinate can leave the hyperplane by `base.sum(0)` steps. Move that many of
    # the coordinates with the largest rounding errors back by one step; their ranks wrap around.
    rank += base.sum(0).astype(np.int16)
    step = (rank < 0).astype(np.int16) - (rank >= size)
    rank += size * step
    base += step
    offset = elevated - size * base
    descending = np.empty_like(offset)  # offsets sorted by rank
    np.put_along_axis(descending, rank.astype(np.intp), offset, axis=0)
    # Barycentric weights are the differences of adjacent sorted offsets.
    weights = np.empty_like(offset)
    weights[0] = 1 - (descending[0] - descending[-1]) / size
    weights[1:] = ((descending[:-1] - descending[1:]) / size)[::-1]
    return base.astype(np.int32), rank, weights


def _number(rows: list[Narrow]) -> Integers:
    """A mixed-radix number for each column of K rows of N integers; equal columns get equal ones.

    One int64 per column can be sorted as it is; K integers would need a lexicographic sort.
    """
    low = [int(row.min()) for row in rows]
    steps = _steps(np.array([int(row.max()) for row in rows]) - np.array(low) + 1)
    number = np.zeros(len(rows[0]), np.int64)
    for row, least, step in zip(rows, low, steps, strict=True):
        number += (row.astype(np.int64) - least) * step
    return number


def _steps(extent: Integers) -> Integers:
    """Place values of a mixed-radix number whose digits have these extents.

    Raises:
        ShapeError: If the number does not fit into 62 bits.
    """
    if float(np.prod(extent.astype(np.float64))) > 2**62:  # in float64: int64 would overflow
        raise ShapeError(
            "the points lie too far apart for their standard deviation; use a larger one"
        )
    return np.concatenate([[1], np.cumprod(extent[:-1])])


def _distinct(numbers: Integers) -> tuple[Integers, Integers]:
    """The index of each number among the sorted distinct ones, and one position of each of those.

    As `np.unique` with ``return_inverse`` and ``return_index``, without its stable sort.
    """
    order = _order(numbers)
    ordered = numbers[order]
    is_new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    inverse = np.empty(len(numbers), np.int64)
    inverse[order] = np.cumsum(is_new) - 1
    return inverse, order[is_new]


def _order(numbers: Integers) -> Integers:
    """Positions of the numbers in ascending order, N."""
    bits = (len(numbers) - 1).bit_length()
    if numbers.min() < 0 or int(numbers.max()) >= 1 << (63 - bits):
        return np.argsort(numbers)
    # Each number with its position behind it: NumPy sorts integers several times as fast as it
    # sorts their positions.
    packed = (numbers << bits) | np.arange(len(numbers))
    packed.sort()
    return packed & ((1 << bits) - 1)


def _vertex_keys(base: Integers, rank: Narrow) -> tuple[Integers, Integers]:
    """Keys of the vertices of S simplices, by remainder: D+1×S.

    Args:
        base: Vertices of remainder 0 divided by D+1, D+1×S.
        rank: Ranks of the coordinates, D+1×S.

    Returns:
        The keys, mixed-radix numbers of the first D coordinates (the last one follows from the sum
        0), and the place values of these coordinates, D.
    """
    size = len(base)
    # A margin of three simplices, so that the neighbours of all vertices have valid keys too.
    low = size * base[:-1].min(1) - 3 * size
    extent = size * base[:-1].max(1) + 3 * size - low + 1
    step = _steps(extent)
    origin = (size * base[:-1] - low[:, None]).T @ step
    keys = np.empty_like(base)
    for remainder in range(size):
        # The vertex of remainder k is the one of remainder 0 plus k in the coordinates of lowest
        # rank and plus k - (D+1) in the k coordinates of highest rank.
        displacement = np.where(rank[:-1] < size - remainder, remainder, remainder - size)
        keys[remainder] = origin + displacement.T @ step
    return keys, step


def _neighbours(keys: Integers, step: Integers) -> list[tuple[Integers, Integers]]:
    """Indices of the previous and the next vertex of every vertex along each of the D+1 axes.

    Args:
        keys: Keys of the V vertices, ascending.
        step: Place values of the first D coordinates.

    Returns:
        For each axis the previous and the next indices, V each; V where a neighbour is not stored.
    """
    count = len(keys)
    neighbours = []
    for axis in range(len(step) + 1):
        # A step along an axis adds 1 to all coordinates but its own, which falls by D; the last
        # coordinate is not part of the key.
        move = step.sum() - (len(step) + 1) * step[axis] if axis < len(step) else step.sum()
        candidate = np.searchsorted(keys, keys + move)
        candidate[candidate == count] = 0  # any valid index: the comparison below rejects it
        after = np.where(keys[candidate] == keys + move, candidate, count)
        # `before` inverts `after`; writes to index `count`, no neighbour, are cut off.
        before = np.full(count + 1, count)
        before[after] = np.arange(count)
        neighbours.append((before[:-1], after))
    return neighbours
