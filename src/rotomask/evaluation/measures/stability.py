"""Temporal stability T: jitter of an outline from frame to frame; lower is better."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

BoolMask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
"""Vertices of an outline in order, N×2 (x, y), px."""

STEP_PX = 3.0
"""Tolerance of simplifying outlines, and largest distance of the points sampled on them, px."""
RADII = np.geomspace(1 / 8, 2, 5)
"""Outer radii of the rings of a shape context, as multiples of the mean distance of the points."""
ANGLES = 12
"""Number of sectors of a shape context."""
SCALE = 5.0
"""Factor from the mean cost to the published figure."""


def temporal_stability(mask: BoolMask, following: BoolMask) -> float:
    """Cost of deforming an object's outline into that of the next frame; 0 if it is the same.

    Perazzi et al. 2016 (DAVIS), sec. 4: each outline point is described by its shape context, the
    points of both outlines are matched in order by dynamic time warping, and the costs of the
    matched pairs are averaged. Only the longest outline of a mask counts.

    Args:
        mask: The object in one frame, H×W bool.
        following: The same object in the next frame, H×W bool.

    Returns:
        5 × the mean cost, 0 to 5; NaN if either mask is empty.

    Raises:
        ShapeError: If the masks differ in shape or are not H×W bool.
    """
    for item in (mask, following):
        if item.ndim != 2 or item.dtype != np.bool_ or item.shape != mask.shape:
            raise ShapeError(
                "both masks must be H×W bool of the same size, got "
                f"{mask.shape} {mask.dtype} and {following.shape} {following.dtype}"
            )
    outline, other = longest_outline(mask), longest_outline(following)
    if len(outline) < 2 or len(other) < 2:
        return math.nan
    cost = _context_cost(_shape_contexts(outline), _shape_contexts(other))  # N×M
    # Closed outlines start at any point, but warping matches the first points of both. So warp
    # twice: the middle pair of the first warping is well matched and becomes the start of the
    # second.
    pairs = _warp(cost)
    start = pairs[len(pairs) // 2]
    # Rolling the cost matrix is the same as starting both outlines at another point.
    rotated = np.roll(cost, (-int(start[0]), -int(start[1])), axis=(0, 1))
    return SCALE * float(_one_to_one(rotated, _warp(rotated)).mean())


def longest_outline(mask: BoolMask) -> Points:
    """The outline with the most points, simplified and sampled evenly: N×2, or 0×2 if empty."""
    # One pixel of background around the frame closes the outlines of objects at its edge; the -1
    # undoes the shift. OpenCV returns N×1×2, hence [:, 0].
    padded = np.pad(mask, 1).view(np.uint8)
    outlines, _ = cv2.findContours(padded, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros((0, 2))
    longest = max(outlines, key=len)
    # Simplified first, so that the staircase of pixels along a slanted edge does not count as
    # shape.
    polygon = cv2.approxPolyDP(longest, STEP_PX, closed=True)[:, 0].astype(np.float64) - 1
    return _resample(polygon)


def _resample(vertices: Points) -> Points:
    """Points on a closed polygon, at most `STEP_PX` apart: its vertices and evenly between them."""
    points = []
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        count = max(1, math.ceil(float(np.hypot(*(end - start))) / STEP_PX))
        points.append(start + (end - start) * np.arange(count)[:, None] / count)  # count×2
    return np.concatenate(points)


def _shape_contexts(points: Points) -> npt.NDArray[np.float64]:
    """Histograms of the other points' positions by ring and sector: N×60, each row sums to 1.

    Belongie et al. 2002, sec. 3.
    """
    offset = points[None] - points[:, None]  # N×N×2: entry (i, j) points from i to j
    distance = np.hypot(offset[..., 0], offset[..., 1])
    distance /= max(float(distance.mean()), 1e-12)  # invariant to scale
    angle = np.arctan2(offset[..., 1], offset[..., 0]) % (2 * math.pi)
    # Rounding may give exactly 2π, which would be a 13th sector.
    sector = np.minimum((angle * (ANGLES / (2 * math.pi))).astype(int), ANGLES - 1)
    ring = np.searchsorted(RADII, distance)
    inside = ring < len(RADII)  # points beyond the last ring do not count
    np.fill_diagonal(inside, False)  # nor does the point itself
    # All N histograms by one bincount: a bin's index is its row, ring and sector in one number.
    rows = np.broadcast_to(np.arange(len(points))[:, None], ring.shape)
    bins = len(RADII) * ANGLES
    index = (rows * bins + ring * ANGLES + sector)[inside]
    histogram = np.bincount(index, minlength=len(points) * bins).reshape(len(points), bins)
    fractions: npt.NDArray[np.float64] = histogram / np.maximum(histogram.sum(1, keepdims=True), 1)
    return fractions


def _context_cost(
    contexts: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Chi-squared distances of all pairs of histograms, N×M, 0 to 1.

    Args:
        contexts: N×60.
        others: M×60.
    """
    # ½ Σ (a - b)² / (a + b) = ½ Σ a + ½ Σ b - 2 Σ ab / (a + b). The last sum is over the few bins
    # that are filled in both, so an N×M×60 array is never made.
    cost: npt.NDArray[np.float64] = (contexts.sum(axis=1)[:, None] + others.sum(axis=1)) / 2
    for a, b in zip(contexts.T, others.T, strict=True):  # one bin: a is N, b is M
        rows, columns = np.flatnonzero(a), np.flatnonzero(b)
        if len(rows) and len(columns):
            left, right = a[rows][:, None], b[columns]
            cost[np.ix_(rows, columns)] -= 2 * left * right / (left + right)
    cost[cost < 1e-12] = 0  # the rounding error of equal histograms
    return cost


def _warp(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Index pairs along the cheapest path from (0, 0) to (N - 1, M - 1): K×2.

    Each step advances in one outline or in both (dynamic time warping).

    Args:
        cost: Cost of matching point i with point j, N×M.
    """
    rows, columns = cost.shape
    # total(i, j) = cost(i, j) + min of total at (i - 1, j), (i, j - 1) and (i - 1, j - 1). Entries
    # of one antidiagonal i + j = d depend only on the two before, so each antidiagonal is computed
    # at once instead of in a Python loop over N×M. Row d + 2 of `total` holds antidiagonal d, with
    # (i, d - i) in column i + 1; entries outside of the matrix stay infinite.
    # Memory is quadratic in the points of an outline, a few hundred, and its rows are contiguous.
    total = np.full((rows + columns + 1, rows + 1), np.inf)
    total[2, 1] = cost[0, 0]
    for d in range(1, rows + columns - 1):
        low, high = max(0, d - columns + 1), min(rows, d + 1)  # the rows i on this antidiagonal
        i = np.arange(low, high)
        best = np.minimum(total[d + 1, low + 1 : high + 1], total[d + 1, low:high])
        np.minimum(best, total[d, low:high], out=best)
        total[d + 2, low + 1 : high + 1] = best + cost[i, d - i]
    # Back from the last corner to the cheapest predecessor; a diagonal step wins ties.
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i or j:
        both, first, second = total[i + j, i], total[i + j + 1, i], total[i + j + 1, i + 1]
        if both <= first and both <= second:
            i, j = i - 1, j - 1
        elif first <= second:
            i -= 1
        else:
            j -= 1
        path.append((i, j))
    return np.array(path[::-1])


def _one_to_one(
    cost: npt.NDArray[np.float64], pairs: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Costs of the pairs that remain if each point keeps only the cheapest of its pairs.

    Args:
        cost: N×M.
        pairs: K×2 indices into `cost`.
    """
    values = cost[pairs[:, 0], pairs[:, 1]]
    for side in (0, 1):  # first the points of one outline, then of the other
        # Sorted by point, then by cost: the first entry of each point is its cheapest.
        # The last key of lexsort is the first one to sort by.
        order = np.lexsort((values, pairs[:, side]))
        _, first = np.unique(pairs[order, side], return_index=True)
        pairs, values = pairs[order[first]], values[order[first]]
    return values
