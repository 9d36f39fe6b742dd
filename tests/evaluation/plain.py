"""The measures written as plainly as possible: what the package's fast ones must equal."""

import math

import numpy as np
import numpy.typing as npt
from skimage.morphology import dilation, disk

BoolMask = npt.NDArray[np.bool_]


def plain_region(mask: BoolMask, truth: BoolMask, void: BoolMask | None = None) -> float:
    void = np.zeros_like(mask) if void is None else void
    common = union = 0
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if not void[y, x]:
                common += mask[y, x] and truth[y, x]
                union += mask[y, x] or truth[y, x]
    return common / union if union else 1.0


def plain_boundary_map(mask: BoolMask) -> BoolMask:
    height, width = mask.shape
    edges = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            south, east = min(y + 1, height - 1), min(x + 1, width - 1)
            if y == height - 1:
                edges[y, x] = mask[y, x] != mask[y, east]
            elif x == width - 1:
                edges[y, x] = mask[y, x] != mask[south, x]
            else:
                neighbours = (mask[y, east], mask[south, x], mask[south, east])
                edges[y, x] = any(mask[y, x] != other for other in neighbours)
    return edges


def plain_boundary(
    mask: BoolMask, truth: BoolMask, void: BoolMask | None = None, tolerance: float = 0.008
) -> float:
    """Full frame, a dilation by scikit-image's disk, as the official tool does it."""
    if void is not None:
        mask, truth = mask & ~void, truth & ~void
    radius = tolerance if tolerance >= 1 else tolerance * math.sqrt(sum(n * n for n in mask.shape))
    edges, true_edges = plain_boundary_map(mask), plain_boundary_map(truth)
    if not edges.any() and not true_edges.any():
        return 1.0
    if not edges.any() or not true_edges.any():
        return 0.0
    element = disk(math.ceil(radius))
    near_truth, near_mask = dilation(true_edges, element), dilation(edges, element)
    precision = (edges & near_truth).sum() / edges.sum()
    recall = (true_edges & near_mask).sum() / true_edges.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
