"""The sets of seeds that represent foreground and background, from one foreground seed (3.4)."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rotomask.unsupervised.graph import Indices, Values, minimax_distance

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BoolMask = npt.NDArray[np.bool_]


def initial_foreground(graph: "csr_array", foreground: Indices, background: Indices) -> BoolMask:
    """Mask of the pixels nearer to foreground than to background by minimax distance (eq. 11).

    Args:
        graph: Output of `embedding_graph`.
        foreground: Pixel numbers of the foreground seeds, at least one.
        background: Pixel numbers of the background seeds; without any, all pixels are foreground.

    Returns:
        hw bool.
    """
    if not len(background):
        return np.ones(graph.shape[0], bool)
    nearer: BoolMask = minimax_distance(graph, foreground) < minimax_distance(graph, background)
    return nearer


def covered_seeds(
    foreground: BoolMask, regions: npt.NDArray[np.intp], count: int, share: float
) -> Indices:
    """Indices of the seeds with more than a fraction of their region in the foreground.

    Args:
        foreground: h×w bool.
        regions: Region of each pixel, h×w, 0..count-1.
        count: Number of regions.
        share: The fraction, 0 to 1.
    """
    # Pixels by region, and foreground pixels by region, counted without a loop over regions.
    index = regions.ravel()
    size = np.bincount(index, minlength=count)
    inside = np.bincount(index, foreground.ravel(), minlength=count)
    return np.flatnonzero(inside > share * size)


def background_seeds(
    objectness: Values, saliency: Values | None, *, low_objectness: float, low_saliency: float
) -> BoolMask:
    """Mask of the background seeds: no object, or an object that does not move (eq. 12).

    Args:
        objectness: n, 0 to 1.
        saliency: Motion saliency, n, 0 to 1; None if nothing moves.
        low_objectness: A seed with less is not an object.
        low_saliency: A seed with less does not move.

    Returns:
        n bool.
    """
    background: BoolMask = objectness < low_objectness
    return background if saliency is None else background | (saliency < low_saliency)
