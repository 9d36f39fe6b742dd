"""From one foreground seed to the sets of seeds that stand for foreground and background (3.4)."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from rotomask.unsupervised.graph import Indices, Values, minimax_distance

BoolMask = npt.NDArray[np.bool_]


def initial_foreground(graph: csr_array, foreground: Indices, background: Indices) -> BoolMask:
    """Pixels that the foreground seeds reach over lower edges than any background seed (eq. 11).

    Args:
        graph: From `embedding_graph`.
        foreground: Places of the foreground seeds, one at least.
        background: Places of the background seeds; without any, all is foreground.

    Returns:
        hw values.
    """
    if not len(background):
        return np.ones(graph.shape[0], bool)
    nearer: BoolMask = minimax_distance(graph, foreground) < minimax_distance(graph, background)
    return nearer


def covered_seeds(
    foreground: BoolMask, regions: npt.NDArray[np.intp], count: int, share: float
) -> Indices:
    """Seeds of whose region more than a share is foreground.

    Args:
        foreground: h×w.
        regions: h×w, 0..count-1.
        count: How many regions there are.
        share: 0 to 1.
    """
    index = regions.ravel()
    size = np.bincount(index, minlength=count)
    inside = np.bincount(index, foreground.ravel(), minlength=count)
    return np.flatnonzero(inside > share * size)


def still_or_no_object(
    objectness: Values, saliency: Values | None, *, low_objectness: float, low_saliency: float
) -> BoolMask:
    """Seeds for the background: no object, or an object that does not move (eq. 12).

    Args:
        objectness: n, 0 to 1.
        saliency: n, 0 to 1; None where motion says nothing.
        low_objectness: Below it a seed is of no object.
        low_saliency: Below it a seed does not move.
    """
    background: BoolMask = objectness < low_objectness
    return background if saliency is None else background | (saliency < low_saliency)
