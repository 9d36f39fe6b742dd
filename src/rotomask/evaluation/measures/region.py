"""Region similarity J: intersection over union of two masks."""

import numpy as np
import numpy.typing as npt

from rotomask.evaluation.measures.cropping import MASK, TRUTH, crop_to_objects
from rotomask.evaluation.measures.dilation import Planes

BoolMask = npt.NDArray[np.bool_]


def region_similarity(mask: BoolMask, truth: BoolMask, void: BoolMask | None = None) -> float:
    """Intersection over union of two masks, 0 to 1.

    Perazzi et al. 2016 (DAVIS), sec. 4. Two empty masks have J = 1, as in the DAVIS tools.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels to ignore, H×W bool.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.

    Example:
        >>> left = np.array([[True, True, False]])
        >>> region_similarity(left, np.array([[False, True, True]]))  # one of three pixels
        0.3333333333333333
    """
    planes = crop_to_objects(mask, truth, void)
    return 1.0 if planes is None else similarity_of_planes(planes)


def similarity_of_planes(planes: Planes) -> float:
    """J of the two masks of `crop_to_objects`, 0 to 1; `planes` is h×w uint8."""
    union = np.count_nonzero(planes)
    return float(np.count_nonzero(planes == MASK | TRUTH) / union) if union else 1.0
