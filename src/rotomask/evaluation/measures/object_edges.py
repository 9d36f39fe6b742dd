"""Edge maps against object outlines: precision and recall at every threshold, and the best F."""

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

THRESHOLDS: npt.NDArray[np.float64] = np.linspace(0.01, 0.99, 99)

Counts = npt.NDArray[np.int64]
"""At each threshold of `THRESHOLDS`."""


class EdgeCounts(NamedTuple):
    """Of a frame or of many; they add up."""

    marked: Counts
    """Edge pixels."""
    right: Counts
    """Those near the outline."""
    outline: int
    """Outline pixels."""
    found: Counts
    """Those near an edge pixel."""


class EdgeScore(NamedTuple):
    """At one threshold."""

    f: float
    precision: float
    recall: float
    threshold: float


def edge_counts(
    edges: npt.NDArray[np.float32], mask: BoolMask, tolerance: float = DAVIS_TOLERANCE
) -> EdgeCounts:
    """How the thinned edges of a frame agree with an object's outline, at every threshold.

    An edge pixel is right within the tolerance of `boundary_accuracy`, and several may be by the
    same outline pixel: the rule of DAVIS, not the one-to-one matching of BSDS.

    Args:
        edges: H×W, 0..1, thinned.
        mask: The objects, H×W.
        tolerance: Share of the frame's diagonal; from 1 on, pixels.

    Raises:
        ShapeError: If the sizes differ.
    """
    if edges.shape != mask.shape or edges.ndim != 2:
        raise ShapeError(f"edges and mask must be H×W of one size: {edges.shape}, {mask.shape}")
    radius = tolerance_px(mask.shape, tolerance)
    outline = boundary_map(mask)
    if outline.any():
        away = cv2.distanceTransform(
            (~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        near = away <= radius + 1e-4
    else:
        near = np.zeros_like(outline)
    strongest = cv2.dilate(edges.astype(np.float32), _disk(radius))[outline]
    return EdgeCounts(
        marked=_reaching(edges),
        right=_reaching(edges[near]),
        outline=int(outline.sum()),
        found=_reaching(strongest),
    )


def edge_score(counts: Sequence[EdgeCounts], threshold: float | None = None) -> EdgeScore:
    """F of all frames' pixels together, at the threshold best for them (ODS) or a given one.

    Args:
        counts: Of each frame, at least one.
        threshold: The nearest one of `THRESHOLDS` is taken; None: the best.
    """
    marked, right, found = (
        np.sum([getattr(c, name) for c in counts], axis=0) for name in ("marked", "right", "found")
    )
    precision = right / np.maximum(marked, 1)
    recall = found / max(1, sum(c.outline for c in counts))
    f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    at = int(f.argmax() if threshold is None else np.abs(THRESHOLDS - threshold).argmin())
    return EdgeScore(float(f[at]), float(precision[at]), float(recall[at]), float(THRESHOLDS[at]))


def _reaching(values: npt.NDArray[np.generic]) -> Counts:
    """How many values reach each threshold."""
    ordered = np.sort(values[values >= THRESHOLDS[0]], axis=None)
    return np.asarray(len(ordered) - np.searchsorted(ordered, THRESHOLDS), np.int64)


def _disk(radius: int) -> npt.NDArray[np.uint8]:
    offset = np.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)
