"""Painting in: a hole that no frame shows, filled from what surrounds it."""

import numpy as np
import numpy.typing as npt

from rotomask.matting import fill_smoothly

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


def paint_in(picture: Array, hole: Bool) -> Array:
    """A picture whose hole continues its surroundings: H×W×3 float32, 0 to 255.

    Args:
        picture: H×W×3, 0 to 255.
        hole: H×W.
    """
    smooth = fill_smoothly(picture, (~hole).astype(np.float32))
    return np.where(hole[..., None], smooth, picture).astype(np.float32)
