"""The embedding graph: edges between neighbouring pixels, as long as their embeddings differ."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Embedding = npt.NDArray[np.float32]
"""Embedding of every pixel, h×w×E."""
Points = npt.NDArray[np.float32]
"""Embeddings of N pixels, N×E."""
Indices = npt.NDArray[np.intp]
"""Pixel numbers y·w + x, or indices into an array of seeds."""
Values = npt.NDArray[np.float32]
"""A value for each seed or each pixel."""

SHORTEST_EDGE = 1e-6
"""Added to every edge, because a sparse matrix treats a length of 0 as no edge."""


def squared_distances(points: Points, others: Points) -> Values:
    """|a - b|² of every pair of points N×E and M×E: N×M float32."""
    # |a|² + |b|² - 2 a·b is one matrix product; differences would take N×M×E memory. Rounding can
    # make it slightly negative.
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1)[None]
    distances: Values = np.maximum(squares - 2 * points @ others.T, 0)
    return distances


def log_similarity(squared_distance: Values) -> Values:
    """Logarithm of the similarity R = 2 / (1 + exp(d²)), eq. 1: 0 for equal embeddings, or less."""
    similarity: Values = np.log(np.float32(2)) - np.logaddexp(np.float32(0), squared_distance)
    return similarity


def similarity(squared_distance: Values) -> Values:
    """Similarity R = 2 / (1 + exp(d²)), eq. 1: 1 for equal embeddings, towards 0 if distant."""
    return np.exp(log_similarity(squared_distance))


def embedding_edges(embedding: Embedding) -> Values:
    """Edge map: 1 - R to the least similar of the four neighbours, h×w, 0 to 1."""
    edges = np.zeros(embedding.shape[:2], np.float32)
    for axis in (0, 1):
        step = np.square(np.diff(embedding, axis=axis)).sum(-1)
        difference = 1 - similarity(step)  # one row or column shorter than the map
        # Each difference counts for both of its pixels. These are views: `out` writes to `edges`.
        first = edges[:-1] if axis == 0 else edges[:, :-1]
        second = edges[1:] if axis == 0 else edges[:, 1:]
        np.maximum(first, difference, out=first)
        np.maximum(second, difference, out=second)
    return edges


def embedding_graph(embedding: Embedding) -> "csr_array":
    """The graph of 4-neighbours as a sparse hw×hw matrix of Euclidean embedding distances.

    Every edge is stored once, from the left or upper pixel to the other.
    """
    from scipy.sparse import coo_array  # late: SciPy takes 0.3 s to import

    height, width = embedding.shape[:2]
    pixels = np.arange(height * width).reshape(height, width)
    # Lengths and end points of h×(w-1) horizontal and (h-1)×w vertical edges, in the same order.
    horizontal = np.sqrt(np.square(np.diff(embedding, axis=1)).sum(-1)).ravel()
    vertical = np.sqrt(np.square(np.diff(embedding, axis=0)).sum(-1)).ravel()
    start = np.concatenate([pixels[:, :-1].ravel(), pixels[:-1].ravel()])
    end = np.concatenate([pixels[:, 1:].ravel(), pixels[1:].ravel()])
    length = np.concatenate([horizontal, vertical]).astype(np.float64) + SHORTEST_EDGE
    count = height * width
    return coo_array((length, (start, end)), shape=(count, count)).tocsr()


def nearest_source(graph: "csr_array", sources: Indices) -> Indices:
    """Index in `sources` of the source with the least geodesic distance to each pixel: hw values.

    Args:
        graph: Output of `embedding_graph`.
        sources: Pixel numbers, at least one.
    """
    from scipy.sparse.csgraph import dijkstra

    # With min_only one search from all sources returns the source of each shortest path.
    # A Voronoi diagram on the graph; the distances themselves are not needed.
    _, _, origin = dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    index = np.zeros(graph.shape[0], np.intp)
    index[sources] = np.arange(len(sources))
    nearest: Indices = index[origin]
    return nearest


def minimax_distance(graph: "csr_array", sources: Indices) -> npt.NDArray[np.float64]:
    """Minimax distance of each pixel to the sources: the least longest edge over all paths.

    Paths in a minimum spanning tree are minimax paths. The tree is rooted in an extra node that is
    connected to all sources; the longest edge between each pixel and the root is computed by
    pointer doubling.

    Args:
        graph: Output of `embedding_graph`.
        sources: Pixel numbers, at least one.

    Returns:
        hw values; 0 at the sources.
    """
    count = graph.shape[0]
    tree, parent = _rooted_tree(graph, sources)
    symmetric = (tree + tree.T).tocsr()
    nodes = np.arange(count)
    # `longest` is the longest edge on the way to `ancestor`, at first the edge to the parent.
    longest = np.zeros(count + 1)
    # The tree stores each edge once, in either direction: the sum with its transpose has both.
    longest[:count] = np.asarray(symmetric[nodes, parent[:count]]).ravel()
    longest[parent == count] = 0  # edges to the root are not edges of the image
    ancestor = parent.copy()
    # Each round doubles the length of the path: about log2 of the tree's depth rounds.
    while (ancestor != count).any():
        longest = np.maximum(longest, longest[ancestor])
        ancestor = ancestor[ancestor]
    distance: npt.NDArray[np.float64] = longest[:count]
    return distance


def _rooted_tree(graph: "csr_array", sources: Indices) -> "tuple[csr_array, Indices]":
    """A minimum spanning tree of the graph with a root connected to the sources, and the parents.

    The root is node hw and its own parent. Its edges are shorter than all others, so that every
    source hangs directly on the root.

    Returns:
        The tree, hw+1×hw+1, and the parent of every node, hw+1.
    """
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    count = graph.shape[0]
    # The graph's edges, then one from the root (node hw) to each source.
    edges = graph.tocoo()
    row = np.concatenate([edges.row, np.full(len(sources), count)])
    column = np.concatenate([edges.col, sources])
    length = np.concatenate([edges.data, np.full(len(sources), SHORTEST_EDGE / 2)])
    rooted = coo_array((length, (row, column)), shape=(count + 1, count + 1)).tocsr()
    tree = csr_array(minimum_spanning_tree(rooted))
    # From the root outwards, so that each node's predecessor is one step nearer to a source.
    _, parent = breadth_first_order(tree, count, directed=False)
    parent = parent.astype(np.intp)
    parent[count] = count
    return tree, parent
