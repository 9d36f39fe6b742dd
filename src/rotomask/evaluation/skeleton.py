"""Centre lines of regions: what a simulated user draws strokes along."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.prompts.regions import BoolMask

Point = tuple[int, int]
"""Column and row."""

# The eight neighbours in order around a pixel, from the one above, clockwise: (row, column).
_RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thin_region(region: BoolMask) -> BoolMask:
    """Skeleton of a region, one pixel wide: Zhang and Suen 1984. H×W.

    Border pixels whose removal neither breaks nor shortens anything go, from south-east and
    north-west in turn, until none is left. The order is fixed, so the result is too (the medial
    axis of scikit-image breaks ties at random).
    """
    x = np.pad(region.astype(np.uint8), 1)
    removable = [_removable(first) for first in (True, False)]
    # Bit k of a pixel's code is its k-th neighbour: one correlation gives all codes.
    kernel = np.zeros((3, 3), np.float32)
    for k, (row, column) in enumerate(_RING):
        kernel[1 + row, 1 + column] = 1 << k
    while True:
        before = int(x.sum())
        for table in removable:
            codes = cv2.filter2D(x, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
            x[(x > 0) & table[codes.astype(np.int32)]] = 0
        if int(x.sum()) == before:
            return np.asarray(x[1:-1, 1:-1] > 0)


def _removable(first: bool) -> npt.NDArray[np.bool_]:
    """For each of the 256 neighbourhoods, whether the pixel goes in a half-step."""
    table = np.zeros(256, bool)
    for code in range(256):
        p = [(code >> k) & 1 for k in range(8)]  # P2, P3, ... P9 of the paper
        changes = sum(p[k] == 0 and p[(k + 1) % 8] == 1 for k in range(8))
        north, east, south, west = p[0], p[2], p[4], p[6]
        if first:
            sides = north * east * south == 0 and east * south * west == 0
        else:
            sides = north * east * west == 0 and north * south * west == 0
        table[code] = 2 <= sum(p) <= 6 and changes == 1 and sides
    return table


def longest_paths(skeleton: BoolMask, least: int) -> list[list[Point]]:
    """The longest path through each connected part of a skeleton.

    Args:
        skeleton: H×W, one pixel wide.
        least: Parts of fewer pixels give none.

    Returns:
        Pixels from end to end of each path, the parts in the order of their first rows. A ring has
        no ends: its path leads once around half of it, as between the farthest two pixels.
    """
    count, labels = cv2.connectedComponents(skeleton.astype(np.uint8), connectivity=8)
    paths = []
    for k in range(1, count):
        ys, xs = np.nonzero(labels == k)
        if len(ys) < least:
            continue
        pixels = set(zip(xs.tolist(), ys.tolist(), strict=True))
        start = (int(xs[0]), int(ys[0]))
        # In a tree the farthest pixel from anywhere is an end of a longest path.
        end = _farthest(pixels, start)[-1]
        paths.append(_farthest(pixels, end))
    return paths


def _farthest(pixels: set[Point], start: Point) -> list[Point]:
    """The path, by breadth-first search, from a pixel to the one that takes most steps."""
    came_from: dict[Point, Point | None] = {start: None}
    queue = [start]
    for x, y in queue:  # grows while it is read
        for row, column in _RING:
            beside = (x + column, y + row)
            if beside in pixels and beside not in came_from:
                came_from[beside] = (x, y)
                queue.append(beside)
    path: list[Point] = []
    here: Point | None = queue[-1]
    while here is not None:
        path.append(here)
        here = came_from[here]
    return path[::-1]


def smooth_path(path: list[Point], samples: int = 1000) -> npt.NDArray[np.float64]:
    """The Bézier curve with every pixel of a path as a control point: N×2, x and y.

    As the robot of DAVIS interactive draws: curves are pulled inward of a bend, and may so leave
    the region. Paths of more than `samples` pixels stay as they are.
    """
    points = np.array(path, float)
    if len(points) > samples or len(points) < 3:
        return points
    t = np.linspace(0, 1, samples)[:, None]
    # De Casteljau's construction is n² steps; the Bernstein polynomials by logarithms are n, and
    # do not overflow for a thousand control points.
    n = len(points) - 1
    k = np.arange(n + 1)
    log_choose = np.concatenate(
        [[0.0], np.cumsum(np.log(np.arange(n, 0, -1) / np.arange(1, n + 1)))]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = log_choose + k * np.log(t) + (n - k) * np.log1p(-t)
    weights = np.exp(exponent)
    weights[0], weights[-1] = np.eye(n + 1)[0], np.eye(n + 1)[-1]  # where a logarithm has none
    return np.asarray(weights @ points)
