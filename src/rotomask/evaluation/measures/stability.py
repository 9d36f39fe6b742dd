"""Temporal stability T: how much an outline jitters from frame to frame; lower is steadier."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

BoolMask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
"""Vertices of an outline in order, N×2 (x, y), px."""

STEP_PX = 3.0
"""Outlines are simplified by and then sampled at this distance, px."""
RADII = np.geomspace(1 / 8, 2, 5)
"""Outer edges of the rings of a shape context, in mean distances between an outline's points."""
ANGLES = 12
"""Sectors of a shape context."""
SCALE = 5.0
"""By which the mean cost is multiplied for the published figure."""


def temporal_stability(mask: BoolMask, following: BoolMask) -> float:
    """Cost of turning an object's outline into that of the next frame; 0 when nothing changed.

    Perazzi et al. 2016 (DAVIS), sec. 4: every point of either outline is described by the shape
    context of its own outline, the points are matched in order by dynamic time warping, and the
    costs of the matched pairs are averaged. Of a mask in parts the longest outline counts.

    Args:
        mask: The object in one frame, H×W bool.
        following: The same object in the next frame, H×W bool.

    Returns:
        5 × the mean cost, so from 0 to 5; NaN when either mask is empty.

    Raises:
        ShapeError: If the masks differ in shape or are not H×W bool.
    """
    for item in (mask, following):
        if item.ndim != 2 or item.dtype != np.bool_ or item.shape != mask.shape:
            raise ShapeError(f"both masks must be H×W bool of one size, got {item.shape}")
    outline, other = longest_outline(mask), longest_outline(following)
    if len(outline) < 2 or len(other) < 2:
        return math.nan
    cost = _context_cost(_shape_contexts(outline), _shape_contexts(other))
    # Outlines start anywhere. A first warping finds a pair of points that belong together; the
    # second one starts from there.
    pairs = _warp(cost)
    start = pairs[len(pairs) // 2]
    turned = np.roll(cost, (-int(start[0]), -int(start[1])), axis=(0, 1))
    return SCALE * float(_one_to_one(turned, _warp(turned)).mean())


def longest_outline(mask: BoolMask) -> Points:
    """The outline with the most points, simplified and sampled evenly: N×2, or 0×2."""
    padded = np.pad(mask, 1).view(np.uint8)
    outlines, _ = cv2.findContours(padded, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros((0, 2))
    longest = max(outlines, key=len)
    simple = cv2.approxPolyDP(longest, STEP_PX, closed=True)[:, 0].astype(np.float64) - 1
    return _sampled(simple)


def _sampled(vertices: Points) -> Points:
    """The closed polygon with more points on its long sides, none farther apart than the step."""
    points = []
    for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        count = max(1, math.ceil(float(np.hypot(*(end - start))) / STEP_PX))
        points.append(start + (end - start) * np.arange(count)[:, None] / count)
    return np.concatenate(points)


def _shape_contexts(points: Points) -> npt.NDArray[np.float64]:
    """Histogram of where the other points are, by ring and sector, for every point: N×60, sums 1.

    Belongie et al. 2002, sec. 3.
    """
    offset = points[None] - points[:, None]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    distance /= max(float(distance.mean()), 1e-12)
    angle = np.arctan2(offset[..., 1], offset[..., 0]) % (2 * math.pi)
    sector = np.minimum((angle * (ANGLES / (2 * math.pi))).astype(int), ANGLES - 1)
    ring = np.searchsorted(RADII, distance)
    inside = ring < len(RADII)
    np.fill_diagonal(inside, False)
    rows = np.broadcast_to(np.arange(len(points))[:, None], ring.shape)
    bins = len(RADII) * ANGLES
    place = (rows * bins + ring * ANGLES + sector)[inside]
    histogram = np.bincount(place, minlength=len(points) * bins).reshape(len(points), bins)
    shares: npt.NDArray[np.float64] = histogram / np.maximum(histogram.sum(1, keepdims=True), 1)
    return shares


def _context_cost(
    contexts: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Chi-squared distance between all pairs of histograms, from 0 to 1: N×M."""
    # ½ Σ (a - b)² / (a + b) = ½ Σ a + ½ Σ b - 2 Σ ab / (a + b), whose last sum has only the few
    # bins that are filled in both.
    cost: npt.NDArray[np.float64] = (contexts.sum(axis=1)[:, None] + others.sum(axis=1)) / 2
    for a, b in zip(contexts.T, others.T, strict=True):
        rows, columns = np.flatnonzero(a), np.flatnonzero(b)
        if len(rows) and len(columns):
            left, right = a[rows][:, None], b[columns]
            cost[np.ix_(rows, columns)] -= 2 * left * right / (left + right)
    cost[cost < 1e-12] = 0  # equal histograms, but for rounding
    return cost


def _warp(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Pairs along the cheapest path from the first to the last corner: K×2.

    A step goes on in one outline or in both.
    """
    rows, columns = cost.shape
    # Row d + 2 of `total` is the diagonal i + j = d, its entry i + 1 the place (i, d - i). So a
    # step of the recurrence is one operation on a whole diagonal. What lies outside is infinite.
    total = np.full((rows + columns + 1, rows + 1), np.inf)
    total[2, 1] = cost[0, 0]
    for d in range(1, rows + columns - 1):
        low, high = max(0, d - columns + 1), min(rows, d + 1)
        i = np.arange(low, high)
        best = np.minimum(total[d + 1, low + 1 : high + 1], total[d + 1, low:high])
        np.minimum(best, total[d, low:high], out=best)
        total[d + 2, low + 1 : high + 1] = best + cost[i, d - i]
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
    """Costs of the pairs left when every point keeps only the cheapest of its pairs."""
    values = cost[pairs[:, 0], pairs[:, 1]]
    for side in (0, 1):
        order = np.lexsort((values, pairs[:, side]))
        _, first = np.unique(pairs[order, side], return_index=True)
        pairs, values = pairs[order[first]], values[order[first]]
    return values
