"""Seeds: a few pixels of a frame that stand for all that is in it (sec. 3.2), and their regions."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError
from rotomask.unsupervised.graph import (
    Embedding,
    Indices,
    Points,
    Values,
    embedding_edges,
    embedding_graph,
    nearest_source,
    squared_distances,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seeds:
    """The seeds of one frame; n of them."""

    places: Indices
    """Positions in the flattened map."""
    points: Points
    """Their embeddings, n×E."""
    objectness: Values
    """n, 0 to 1."""


def candidate_points(edges: Values, window: int) -> Indices:
    """Pixels whose edge value is the least in a window around them: inside things, not between.

    Args:
        edges: From `embedding_edges`, h×w.
        window: Side of the window, px of the map, odd.
    """
    least = cv2.erode(edges, np.ones((window, window), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.flatnonzero(edges == least)


def diverse_points(points: Points, first: int, count: int) -> Indices:
    """Farthest-point sampling: each next point is the least similar to those already chosen.

    The start of k-means++ without chance, eq. 6.

    Args:
        points: N×E.
        first: Position of the first choice.
        count: How many; all, if there are no more.

    Returns:
        Positions in the order of choice.
    """
    count = min(count, len(points))
    chosen = np.empty(count, np.intp)
    chosen[0] = first
    nearest = squared_distances(points, points[[first]])[:, 0]
    nearest[first] = -1  # those chosen are never the farthest, even among equal points
    for i in range(1, count):
        chosen[i] = int(nearest.argmax())
        np.minimum(nearest, squared_distances(points, points[[chosen[i]]])[:, 0], out=nearest)
        nearest[chosen[i]] = -1
    return chosen


def find_seeds(embedding: Embedding, objectness: Values, *, window: int, count: int) -> Seeds:
    """The seeds of a frame, the most object-like candidate first.

    Args:
        embedding: h×w×E.
        objectness: h×w, 0 to 1.
        window: For `candidate_points`.
        count: Most seeds.

    Raises:
        ShapeError: If the sizes differ.
    """
    if embedding.shape[:2] != objectness.shape:
        raise ShapeError(
            f"embedding {embedding.shape} and objectness {objectness.shape} differ in size"
        )
    candidates = candidate_points(embedding_edges(embedding), window)
    flat, score = embedding.reshape(-1, embedding.shape[-1]), objectness.ravel()
    first = int(score[candidates].argmax())
    places = candidates[diverse_points(flat[candidates], first, count)]
    return Seeds(places=places, points=flat[places], objectness=score[places])


def seed_regions(embedding: Embedding, seeds: Seeds) -> npt.NDArray[np.intp]:
    """Which seed each pixel is nearest to on the embedding graph: h×w, positions in the seeds."""
    nearest = nearest_source(embedding_graph(embedding), seeds.places)
    return nearest.reshape(embedding.shape[:2])
