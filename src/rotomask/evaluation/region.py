"""Region similarity J: how much of two masks is common."""

import numpy as np
import numpy.typing as npt

from rotomask.evaluation.cropping import crop_to_objects

BoolMask = npt.NDArray[np.bool_]


def region_similarity(mask: BoolMask, truth: BoolMask, void: BoolMask | None = None) -> float:
    """Intersection over union of two masks, from 0 to 1.

    Perazzi et al. 2016 (DAVIS), sec. 4. Two empty masks are equal: 1, as in the DAVIS tools.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels that count for nothing, H×W bool.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.

    Example:
        >>> left = np.array([[True, True, False]])
        >>> region_similarity(left, np.array([[False, True, True]]))  # one of three pixels
        0.3333333333333333
    """
    cropped = crop_to_objects(mask, truth, void, margin=0)
    if cropped is None:
        return 1.0
    return similarity_of_cropped(*cropped)


def similarity_of_cropped(mask: BoolMask, truth: BoolMask) -> float:
    """J of two masks whose void pixels were taken out."""
    union = np.count_nonzero(mask | truth)
    return float(np.count_nonzero(mask & truth) / union) if union else 1.0
