"""Boundary accuracy F: how well two outlines agree."""

import functools
import math

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError
from rotomask.evaluation.cropping import crop_to_objects

BoolMask = npt.NDArray[np.bool_]

DAVIS_TOLERANCE = 0.008
"""Share of the frame's diagonal within which outlines agree: 8 px at 854x480."""


def boundary_accuracy(
    mask: BoolMask,
    truth: BoolMask,
    void: BoolMask | None = None,
    tolerance: float = DAVIS_TOLERANCE,
) -> float:
    """Harmonic mean of boundary precision and recall, from 0 to 1.

    Perazzi et al. 2016 (DAVIS), sec. 4, with the tolerance of the DAVIS tools: an outline pixel is
    right when a pixel of the other outline is at a Euclidean distance of at most `tolerance_px`.
    No outline in either: 1. In exactly one: 0.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels taken out of both masks before their outlines are drawn, H×W bool.
        tolerance: Share of the frame's diagonal; from 1 on, pixels.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.
        OptionError: If the tolerance is negative.

    Example:
        >>> square = np.zeros((100, 100), bool)
        >>> square[20:60, 20:60] = True
        >>> boundary_accuracy(square, np.roll(square, 2, axis=1))  # the tolerance is 2 px here
        1.0
    """
    radius = tolerance_px(truth.shape, tolerance)
    cropped = crop_to_objects(mask, truth, void, margin=1)
    return 1.0 if cropped is None else accuracy_of_cropped(*cropped, radius)


def tolerance_px(size: tuple[int, ...], tolerance: float = DAVIS_TOLERANCE) -> int:
    """Radius in px within which outlines agree, for frames of this (height, width).

    Example:
        >>> [tolerance_px(size) for size in ((480, 854), (720, 1280), (1080, 1920))]
        [8, 12, 18]
    """
    if tolerance < 0:
        raise OptionError(f"the tolerance must be >= 0, got {tolerance}")
    return math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(*size[:2]))


def boundary_map(mask: BoolMask) -> BoolMask:
    """Pixels that differ from their east, south or south-east neighbour: H×W bool.

    At the frame's last row only the east counts, in the last column only the south.
    """
    edges = np.zeros_like(mask)
    if mask.size == 0:
        return edges
    here = mask[:-1, :-1]
    inner = edges[:-1, :-1]
    np.not_equal(here, mask[:-1, 1:], out=inner)
    inner |= here != mask[1:, :-1]
    inner |= here != mask[1:, 1:]
    edges[-1, :-1] = mask[-1, :-1] != mask[-1, 1:]
    edges[:-1, -1] = mask[:-1, -1] != mask[1:, -1]
    return edges


def accuracy_of_cropped(mask: BoolMask, truth: BoolMask, radius: int) -> float:
    """F of two masks without void pixels, cut with at least one pixel of background around."""
    edges, true_edges = boundary_map(mask), boundary_map(truth)
    count, true_count = np.count_nonzero(edges), np.count_nonzero(true_edges)
    if count == 0 or true_count == 0:
        return float(count == true_count)
    precision = np.count_nonzero(edges & _grown(true_edges, radius)) / count
    recall = np.count_nonzero(true_edges & _grown(edges, radius)) / true_count
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


def _grown(edges: BoolMask, radius: int) -> BoolMask:
    """Where an outline is at most `radius` px away: H×W bool."""
    # Outside the crop is background, so what the dilation does there does not matter.
    grown = cv2.dilate(edges.view(np.uint8), _disk(radius))
    return np.asarray(grown).view(np.bool_)


@functools.cache
def _disk(radius: int) -> npt.NDArray[np.uint8]:
    """All offsets of a length <= radius: (2r+1)×(2r+1) uint8."""
    offset = np.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)
