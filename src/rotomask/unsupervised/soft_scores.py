"""Soft scores: the similarity of each pixel to the foreground and background sets (sec. 3.4)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.unsupervised.graph import Embedding, Points, log_similarity, squared_distances

Owners = npt.NDArray[np.intp]
"""Index of the object that a pixel belongs to if it is foreground, h×w: 0, 1, ..."""


def split_foreground(scores: Probabilities, owner: Owners, objects: int) -> Probabilities:
    """Scores of several objects from those of one foreground: each pixel's score goes to its owner.

    Embeddings cannot separate objects that look alike; the owner depends on position too.

    Args:
        scores: Background and foreground, 2×h×w.
        owner: Owner of each pixel, h×w.
        objects: Number of objects.

    Returns:
        O+1×h×w, background first.
    """
    if objects == 1:
        return scores
    ids = np.arange(objects)[:, None, None]
    return np.concatenate([scores[:1], np.where(owner[None] == ids, scores[1], np.float32(0))])


def sharpen(scores: Probabilities, power: float) -> Probabilities:
    """Scores raised to a power and normalised again: the same labels with more certainty.

    Args:
        scores: O+1×h×w float32, sums to 1 over the first axis.
        power: Above 0; 1 changes nothing.

    Returns:
        O+1×h×w float32, sums to 1 over the first axis.
    """
    # Divided by the maximum first: high powers of small scores underflow.
    raised = (scores / scores.max(0)) ** np.float32(power)
    normalised: Probabilities = raised / raised.sum(0)
    return normalised


def soft_scores(
    embedding: Embedding, background: Points, objects: Sequence[Points]
) -> Probabilities:
    """Similarity of each pixel to the nearest member of each set, normalised (eq. 13-15).

    Args:
        embedding: h×w×E.
        background: Embeddings of the background set, n×E.
        objects: Embeddings of each object's set, n×E.

    Returns:
        O+1×h×w float32, background first, sums to 1 over the first axis. An empty set has score 0;
        if all sets are empty, everything is background.
    """
    flat = embedding.reshape(-1, embedding.shape[-1])  # hw×E
    best = np.full((1 + len(objects), len(flat)), -np.inf, np.float32)
    for row, points in enumerate((background, *objects)):
        if len(points):
            # hw×n distances, least over the set's n members; nearest neighbour rather than a mean,
            # because a set holds parts that look different.
            best[row] = log_similarity(squared_distances(flat, points).min(1))
    if np.isneginf(best).all():
        best[0] = 0
    # Normalised in logarithms: the similarities themselves can underflow float32.
    weights = np.exp(best - best.max(0))
    scores: Probabilities = weights / weights.sum(0)
    return scores.reshape(-1, *embedding.shape[:2])
