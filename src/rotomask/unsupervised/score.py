"""The final score: is a pixel more like the foreground seeds or the background seeds?"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.unsupervised.graph import Embedding, Points, log_similarity, squared_distances

Owners = npt.NDArray[np.intp]
"""The object that each pixel would be of, h×w, 0, 1, ..."""


def share_out(scores: Probabilities, owner: Owners, objects: int) -> Probabilities:
    """Scores of one foreground as those of several objects: each pixel's go to its owner.

    Objects that look alike differ only in where they are.

    Args:
        scores: 2×h×w, background first.
        owner: The object of each pixel, if it is of any.
        objects: How many there are.

    Returns:
        O+1×h×w.
    """
    if objects == 1:
        return scores
    ids = np.arange(objects)[:, None, None]
    return np.concatenate([scores[:1], np.where(owner[None] == ids, scores[1], np.float32(0))])


def sharpen(scores: Probabilities, power: float) -> Probabilities:
    """Scores raised to a power, as shares again: the same labels, more decided.

    Args:
        scores: O+1×h×w, float32, sums to 1.
        power: Above 0; 1 changes nothing.
    """
    raised = (scores / scores.max(0)) ** np.float32(power)
    shares: Probabilities = raised / raised.sum(0)
    return shares


def soft_scores(
    embedding: Embedding, background: Points, objects: Sequence[Points]
) -> Probabilities:
    """The share of each set in the similarity of a pixel to the nearest member of each (13-15).

    Args:
        embedding: h×w×E.
        background: Embeddings of the background set, n×E.
        objects: The same of each object.

    Returns:
        O+1×h×w, background first; sums to 1. An empty set has no similarity to anything; if all
        are empty, all is background.
    """
    flat = embedding.reshape(-1, embedding.shape[-1])
    best = np.full((1 + len(objects), len(flat)), -np.inf, np.float32)
    for row, points in enumerate((background, *objects)):
        if len(points):
            best[row] = log_similarity(squared_distances(flat, points).min(1))
    if np.isneginf(best).all():
        best[0] = 0
    # The similarities themselves may be too small for float32; their shares are not.
    weights = np.exp(best - best.max(0))
    shares: Probabilities = weights / weights.sum(0)
    return shares.reshape(-1, *embedding.shape[:2])
