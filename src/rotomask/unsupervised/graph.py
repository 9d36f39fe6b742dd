"""The embedding graph: pixels joined to their four neighbours by the distance of embeddings."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, dijkstra, minimum_spanning_tree

Embedding = npt.NDArray[np.float32]
"""h×w×E."""
Points = npt.NDArray[np.float32]
"""N×E: embeddings of some pixels."""
Indices = npt.NDArray[np.intp]
"""Pixels, as positions in the flattened map."""
Values = npt.NDArray[np.float32]

SHORTEST_EDGE = 1e-6
"""Added to every edge: a sparse matrix takes an edge of length 0 for none."""


def squared_distances(points: Points, others: Points) -> Values:
    """|a - b|² of every pair: N×M for N×E and M×E."""
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1)[None]
    distances: Values = np.maximum(squares - 2 * points @ others.T, 0)
    return distances


def log_similarity(squared_distance: Values) -> Values:
    """The logarithm of R with R = 2 / (1 + exp(d²)), eq. 1: 0 for equal embeddings, else below."""
    similarity: Values = np.log(np.float32(2)) - np.logaddexp(np.float32(0), squared_distance)
    return similarity


def similarity(squared_distance: Values) -> Values:
    """R = 2 / (1 + exp(d²)), eq. 1: 1 for equal embeddings, towards 0 for far ones."""
    return np.exp(log_similarity(squared_distance))


def embedding_edges(embedding: Embedding) -> Values:
    """1 - R to the least similar of a pixel's four neighbours: high at boundaries, h×w, 0 to 1."""
    edges = np.zeros(embedding.shape[:2], np.float32)
    for axis in (0, 1):
        step = np.square(np.diff(embedding, axis=axis)).sum(-1)
        difference = 1 - similarity(step)
        ahead = edges[:-1] if axis == 0 else edges[:, :-1]
        behind = edges[1:] if axis == 0 else edges[:, 1:]
        np.maximum(ahead, difference, out=ahead)
        np.maximum(behind, difference, out=behind)
    return edges


def embedding_graph(embedding: Embedding) -> csr_array:
    """Each pixel joined to the four around it, by the Euclidean distance: hw×hw, one way only."""
    height, width = embedding.shape[:2]
    places = np.arange(height * width).reshape(height, width)
    across = np.sqrt(np.square(np.diff(embedding, axis=1)).sum(-1)).ravel()
    down = np.sqrt(np.square(np.diff(embedding, axis=0)).sum(-1)).ravel()
    start = np.concatenate([places[:, :-1].ravel(), places[:-1].ravel()])
    end = np.concatenate([places[:, 1:].ravel(), places[1:].ravel()])
    length = np.concatenate([across, down]).astype(np.float64) + SHORTEST_EDGE
    count = height * width
    return coo_array((length, (start, end)), shape=(count, count)).tocsr()


def nearest_source(graph: csr_array, sources: Indices) -> Indices:
    """For every pixel the place in `sources` of the one nearest by geodesic distance.

    One Dijkstra search from all sources at once.

    Args:
        graph: From `embedding_graph`.
        sources: At least one pixel.
    """
    _, _, origin = dijkstra(
        graph, directed=False, indices=sources, min_only=True, return_predecessors=True
    )
    place = np.zeros(graph.shape[0], np.intp)
    place[sources] = np.arange(len(sources))
    nearest: Indices = place[origin]
    return nearest


def minimax_distance(graph: csr_array, sources: Indices) -> npt.NDArray[np.float64]:
    """For every pixel the longest edge on the best path to a source: the path whose one is least.

    The path of a minimum spanning tree is a best path. The tree is rooted in a node joined to all
    sources; the longest edge up to the root is found by doubling the part of the path looked at.

    Args:
        graph: From `embedding_graph`.
        sources: At least one pixel.

    Returns:
        hw values; 0 at the sources.
    """
    count = graph.shape[0]
    tree, parent = _rooted_tree(graph, sources)
    both_ways = (tree + tree.T).tocsr()
    nodes = np.arange(count)
    longest = np.zeros(count + 1)
    longest[:count] = np.asarray(both_ways[nodes, parent[:count]]).ravel()
    longest[parent == count] = 0  # the edge to the root is no edge of the picture
    ancestor = parent.copy()
    while (ancestor != count).any():
        longest = np.maximum(longest, longest[ancestor])
        ancestor = ancestor[ancestor]
    distance: npt.NDArray[np.float64] = longest[:count]
    return distance


def _rooted_tree(graph: csr_array, sources: Indices) -> tuple[csr_array, Indices]:
    """A minimum spanning tree of the graph and a root joined to the sources; everyone's parent."""
    count = graph.shape[0]
    edges = graph.tocoo()
    row = np.concatenate([edges.row, np.full(len(sources), count)])
    column = np.concatenate([edges.col, sources])
    length = np.concatenate([edges.data, np.full(len(sources), SHORTEST_EDGE / 2)])
    joined = coo_array((length, (row, column)), shape=(count + 1, count + 1)).tocsr()
    tree = csr_array(minimum_spanning_tree(joined))
    _, parent = breadth_first_order(tree, count, directed=False)
    parent = parent.astype(np.intp)
    parent[count] = count
    return tree, parent
