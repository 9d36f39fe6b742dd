"""Precision, recall and F of edge maps against object outlines, at every threshold."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.evaluation.measures.boundary import (
    DAVIS_TOLERANCE,
    BoolMask,
    boundary_map,
    tolerance_px,
)
from rotomask.evaluation.measures.dilation import disk_kernel

THRESHOLDS: npt.NDArray[np.float64] = np.linspace(0.01, 0.99, 99)

Counts = npt.NDArray[np.int64]
"""One count for each of `THRESHOLDS`, shape (99,)."""


class EdgeCounts(NamedTuple):
    """Pixel counts of one frame; the counts of several frames add up."""

    edges: Counts
    """Edge pixels, at each threshold."""
    correct: Counts
    """Edge pixels near the outline."""
    outline: int
    """Outline pixels."""
    matched: Counts
    """Outline pixels near an edge pixel."""


class EdgeScore(NamedTuple):
    """F, precision and recall at one threshold, 0 to 1."""

    f: float
    precision: float
    recall: float
    threshold: float


def edge_counts(
    edges: npt.NDArray[np.float32], mask: BoolMask, tolerance: float = DAVIS_TOLERANCE
) -> EdgeCounts:
    """Counts of a frame's edge pixels and outline pixels that match, at every threshold.

    Pixels match within the tolerance of `boundary_accuracy`, and several edge pixels may match the
    same outline pixel: the rule of DAVIS, not the one-to-one matching of BSDS.

    Args:
        edges: Edge strength, thinned, H×W float32, 0 to 1.
        mask: The objects, H×W bool.
        tolerance: Fraction of the frame's diagonal if below 1, else pixels.

    Raises:
        ShapeError: If the sizes differ.
    """
    if edges.shape != mask.shape or edges.ndim != 2:
        raise ShapeError(
            f"edges and mask must be H×W of the same size, got {edges.shape} and {mask.shape}"
        )
    radius = tolerance_px(mask.shape, tolerance)
    outline = boundary_map(mask)
    if outline.any():
        distance = cv2.distanceTransform(
            (~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        near = distance <= radius + 1e-4  # float32 distances: a whole number may come out larger
    else:
        near = np.zeros_like(outline)
    # An outline pixel is matched at a threshold if the strongest edge pixel in the disk around it
    # reaches it: one grey dilation serves all 99 thresholds.
    strongest = cv2.dilate(edges.astype(np.float32), disk_kernel(radius))[outline]
    return EdgeCounts(
        edges=_count_from(edges),
        correct=_count_from(edges[near]),
        outline=int(outline.sum()),
        matched=_count_from(strongest),
    )


def edge_score(counts: Sequence[EdgeCounts], threshold: float | None = None) -> EdgeScore:
    """F of the pixels of all frames together, at one threshold for all of them.

    Args:
        counts: Counts of each frame, at least one.
        threshold: The nearest of `THRESHOLDS` is used; None: the one with the best F, as ODS of
            BSDS does.
    """
    edges = np.sum([c.edges for c in counts], axis=0)
    correct = np.sum([c.correct for c in counts], axis=0)
    matched = np.sum([c.matched for c in counts], axis=0)
    precision = correct / np.maximum(edges, 1)
    recall = matched / max(1, sum(c.outline for c in counts))
    f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    i = int(f.argmax() if threshold is None else np.abs(THRESHOLDS - threshold).argmin())
    return EdgeScore(float(f[i]), float(precision[i]), float(recall[i]), float(THRESHOLDS[i]))


def _count_from(values: npt.NDArray[np.generic]) -> Counts:
    """Number of values at or above each threshold."""
    # One sort and 99 binary searches instead of 99 passes; most values are below the first.
    ordered = np.sort(values[values >= THRESHOLDS[0]], axis=None)
    return np.asarray(len(ordered) - np.searchsorted(ordered, THRESHOLDS), np.int64)
