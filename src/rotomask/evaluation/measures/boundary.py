"""Boundary accuracy F: precision and recall of an outline."""

import math

import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError
from rotomask.evaluation.measures.cropping import MASK, TRUTH, crop_to_objects
from rotomask.evaluation.measures.dilation import Planes, grow

BoolMask = npt.NDArray[np.bool_]

DAVIS_TOLERANCE = 0.008
"""Largest distance of matching outlines as a fraction of the frame's diagonal: 8 px at 854x480."""


def boundary_accuracy(
    mask: BoolMask,
    truth: BoolMask,
    void: BoolMask | None = None,
    tolerance: float = DAVIS_TOLERANCE,
) -> float:
    """Harmonic mean of boundary precision and recall, 0 to 1.

    Perazzi et al. 2016 (DAVIS), sec. 4, with the tolerance of the DAVIS tools: an outline pixel is
    correct if the other outline has a pixel at a Euclidean distance of at most `tolerance_px`. If
    neither mask has an outline, F is 1; if only one has, 0.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels that are removed from both masks before their outlines are computed, H×W bool.
        tolerance: Fraction of the frame's diagonal if below 1, else pixels.

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
    """Tolerance of outlines in px for frames of a (height, width), rounded up.

    Args:
        size: (height, width, ...) of the frame.
        tolerance: Fraction of the frame's diagonal if below 1, else pixels.

    Raises:
        OptionError: If the tolerance is negative.

    Example:
        >>> [tolerance_px(size) for size in ((480, 854), (720, 1280), (1080, 1920))]
        [8, 12, 18]
    """
    if tolerance < 0:
        raise OptionError(f"the tolerance must be >= 0, got {tolerance}")
    return math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(*size[:2]))


def boundary_map(mask: BoolMask) -> BoolMask:
    """Pixels that differ from their right, lower or lower right neighbour: H×W bool.

    This is seg2bmap of the DAVIS tools. The last row is compared with the right neighbour only, the
    last column with the lower one only.
    """
    return boundaries(mask.view(np.uint8)).view(np.bool_)


def boundaries(planes: Planes) -> Planes:
    """The boundary map of every mask in the planes: H×W uint8, one mask per bit."""
    edges = np.zeros(planes.shape, np.uint8)
    if planes.size == 0:
        return edges
    # XOR sets the bits in which two pixels differ, for all masks in one operation.
    here = planes[:-1, :-1]
    inner = edges[:-1, :-1]
    np.bitwise_xor(here, planes[:-1, 1:], out=inner)
    inner |= here ^ planes[1:, :-1]
    inner |= here ^ planes[1:, 1:]
    edges[-1, :-1] = planes[-1, :-1] ^ planes[-1, 1:]
    edges[:-1, -1] = planes[:-1, -1] ^ planes[1:, -1]
    return edges


def accuracy_of_planes(planes: Planes, radius: int) -> float:
    """F of the two masks of `crop_to_objects`, 0 to 1.

    Args:
        planes: The bits `MASK` and `TRUTH` in each byte, h×w uint8.
        radius: Largest distance of matching outline pixels, px.
    """
    # The special rule of the boundary map for the last row and column does not matter where the
    # crop ends inside the frame: its margin is background there.
    edges = boundaries(planes)
    # The two masks are two bits of the same bytes.
    count, true_count = np.count_nonzero(edges & MASK), np.count_nonzero(edges & TRUTH)
    if count == 0 or true_count == 0:
        return float(count == true_count)
    # Both outlines are dilated at once. Shifted by one bit, the dilated truth lies over the bit of
    # the mask's edges, and the dilated mask over the bit of the truth's edges.
    near = grow(edges, radius)
    precision = np.count_nonzero(edges & (near >> 1) & MASK) / count
    recall = np.count_nonzero(edges & (near << 1) & TRUTH) / true_count
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))
