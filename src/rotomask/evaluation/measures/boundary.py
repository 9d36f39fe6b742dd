"""Boundary accuracy F: how well two outlines agree."""

import math

import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError
from rotomask.evaluation.measures.cropping import MASK, TRUTH, crop_to_objects
from rotomask.evaluation.measures.dilation import Planes, grow

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
    planes = crop_to_objects(mask, truth, void)
    return 1.0 if planes is None else accuracy_of_planes(planes, radius)


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
    return boundaries(mask.view(np.uint8)).view(np.bool_)


def boundaries(planes: Planes) -> Planes:
    """The boundary map of every mask in the planes: H×W uint8."""
    edges = np.zeros(planes.shape, np.uint8)
    if planes.size == 0:
        return edges
    here = planes[:-1, :-1]
    inner = edges[:-1, :-1]
    np.bitwise_xor(here, planes[:-1, 1:], out=inner)
    inner |= here ^ planes[1:, :-1]
    inner |= here ^ planes[1:, 1:]
    edges[-1, :-1] = planes[-1, :-1] ^ planes[-1, 1:]
    edges[:-1, -1] = planes[:-1, -1] ^ planes[1:, -1]
    return edges


def accuracy_of_planes(planes: Planes, radius: int) -> float:
    """F of the two masks of `crop_to_objects`, whose outlines may be `radius` px apart."""
    # Where the crop ends inside the frame its last rows are background, so the boundary map's rule
    # for the frame's edges changes nothing there.
    edges = boundaries(planes)
    count, true_count = np.count_nonzero(edges & MASK), np.count_nonzero(edges & TRUTH)
    if count == 0 or true_count == 0:
        return float(count == true_count)
    near = grow(edges, radius)
    precision = np.count_nonzero(edges & (near >> 1) & MASK) / count
    recall = np.count_nonzero(edges & (near << 1) & TRUTH) / true_count
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))
