"""Seeds: a few diverse pixels that represent a frame (sec. 3.2), and their regions."""

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
    """The n seeds of one frame."""

    pixels: Indices
    """Pixel numbers y·w + x, n."""
    points: Points
    """Embeddings, n×E."""
    objectness: Values
    """Objectness, n, 0 to 1."""


def candidate_points(edges: Values, window: int) -> Indices:
    """Numbers of the pixels with the lowest edge value in a window around them: not at outlines.

    Args:
        edges: Output of `embedding_edges`, h×w.
        window: Side of the window, px of the map, odd.
    """
    # Grey-scale erosion is the minimum over the window.
    least = cv2.erode(edges, np.ones((window, window), np.uint8), borderType=cv2.BORDER_REPLICATE)
    # Plateaus give many candidates; `diverse_points` picks among them.
    return np.flatnonzero(edges == least)


def diverse_points(points: Points, first: int, count: int) -> Indices:
    """Indices of diverse points by farthest-point sampling (eq. 6).

    Each next point is the one farthest from those selected before: the initialisation of k-means++
    without its randomness.

    Args:
        points: N×E.
        first: Index of the first point.
        count: Number of points; all N if there are fewer.

    Returns:
        Indices in the order of selection.
    """
    count = min(count, len(points))
    selected = np.empty(count, np.intp)
    selected[0] = first
    nearest = squared_distances(points, points[[first]])[:, 0]  # to the nearest selected point
    nearest[first] = -1  # a selected point is never the farthest, even among equal points
    for i in range(1, count):
        selected[i] = int(nearest.argmax())
        np.minimum(nearest, squared_distances(points, points[[selected[i]]])[:, 0], out=nearest)
        nearest[selected[i]] = -1
    return selected


def find_seeds(embedding: Embedding, objectness: Values, *, window: int, count: int) -> Seeds:
    """The seeds of a frame, the candidate with the highest objectness first.

    Args:
        embedding: h×w×E.
        objectness: h×w, 0 to 1.
        window: Window of `candidate_points`, px of the map.
        count: Largest number of seeds.

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
    pixels = candidates[diverse_points(flat[candidates], first, count)]
    return Seeds(pixels=pixels, points=flat[pixels], objectness=score[pixels])


def seed_regions(embedding: Embedding, seeds: Seeds) -> npt.NDArray[np.intp]:
    """Index of the nearest seed of each pixel on the embedding graph, h×w."""
    nearest = nearest_source(embedding_graph(embedding), seeds.pixels)
    return nearest.reshape(embedding.shape[:2])
