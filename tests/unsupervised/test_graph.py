"""The embedding graph against slow, obvious searches."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.unsupervised.graph import (
    embedding_edges,
    embedding_graph,
    log_similarity,
    minimax_distance,
    nearest_source,
    similarity,
    squared_distances,
)


def _embedding(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)


def _search(embedding: np.ndarray, source: int, join) -> np.ndarray:
    """Dijkstra over the four neighbours; `join` adds an edge to a path's cost."""
    height, width = embedding.shape[:2]
    cost = np.full(height * width, np.inf)
    cost[source] = 0
    queue = [(0.0, source)]
    while queue:
        so_far, place = heapq.heappop(queue)
        y, x = divmod(place, width)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width:
                step = float(np.linalg.norm(embedding[y, x] - embedding[v, u]))
                there = join(so_far, step)
                if there < cost[v * width + u]:
                    cost[v * width + u] = there
                    heapq.heappush(queue, (there, v * width + u))
    return cost


def test_similarity_is_the_papers_formula():
    d2 = np.array([0, 0.1, 1, 5, 20], np.float32)
    np.testing.assert_allclose(similarity(d2), 2 / (1 + np.exp(d2.astype(float))), rtol=1e-5)
    far = log_similarity(np.array([500], np.float32))
    np.testing.assert_allclose(far, np.log(2) - 500)


def test_squared_distances_of_all_pairs():
    a, b = _embedding(0, 1, 4)[0], _embedding(1, 1, 6)[0]
    expected = [[np.sum((p - q) ** 2) for q in b] for p in a]
    np.testing.assert_allclose(squared_distances(a, b), expected, atol=1e-5)


def test_edge_map_takes_the_least_similar_neighbour():
    embedding = _embedding(2, 4, 5)
    for y in range(4):
        for x in range(5):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            steps = [
                np.sum((embedding[y, x] - embedding[v, u]) ** 2)
                for v, u in around
                if 0 <= v < 4 and 0 <= u < 5
            ]
            expected = 1 - 2 / (1 + np.exp(max(steps)))
            assert embedding_edges(embedding)[y, x] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    data=st.data(),
)
def test_paths_are_those_of_a_plain_search(seed, height, width, data):
    embedding = _embedding(seed, height, width)
    count = height * width
    chosen = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=4))
    sources = np.array(sorted(chosen))
    graph = embedding_graph(embedding)
    geodesic = np.array([_search(embedding, s, lambda a, b: a + b) for s in sources])
    nearest = nearest_source(graph, sources)
    np.testing.assert_allclose(geodesic[nearest, np.arange(count)], geodesic.min(0), atol=1e-4)
    minimax = np.array([_search(embedding, s, max) for s in sources]).min(0)
    np.testing.assert_allclose(minimax_distance(graph, sources), minimax, atol=1e-5)


def test_equal_embeddings_still_have_paths():
    graph = embedding_graph(np.zeros((3, 4, 2), np.float32))
    assert minimax_distance(graph, np.array([5])).max() < 1e-5
    assert (nearest_source(graph, np.array([5])) == 0).all()
