"""Edge counts against a slow count, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import ShapeError
from rotomask.evaluation import boundary_accuracy
from rotomask.evaluation.measures.boundary import boundary_map
from rotomask.evaluation.measures.object_edges import THRESHOLDS, edge_counts, edge_score


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_counts_are_those_of_a_slow_loop(seed, radius):
    rng = np.random.default_rng(seed)
    edges = (rng.random((17, 21)) * (rng.random((17, 21)) < 0.2)).astype(np.float32)
    mask = np.zeros((17, 21), bool)
    top, left = rng.integers(0, 10, 2)
    mask[top : top + 6, left : left + 7] = True
    counts = edge_counts(edges, mask, tolerance=radius)
    outline = np.argwhere(boundary_map(mask))
    for at in (4, 49, 90):
        marked = np.argwhere(edges >= THRESHOLDS[at])
        apart = np.square(marked[:, None] - outline[None]).sum(-1)
        near = apart <= radius**2
        assert counts.edges[at] == len(marked)
        assert counts.correct[at] == near.any(1).sum()
        assert counts.matched[at] == near.any(0).sum()
    assert counts.outline == len(outline)


def test_the_outline_of_a_mask_scores_as_boundary_accuracy():
    mask, truth = np.zeros((2, 60, 80), bool)
    mask[10:40, 10:50] = True
    truth[14:46, 12:58] = True
    for tolerance in (1, 3, 6):
        counts = edge_counts(boundary_map(mask).astype(np.float32), truth, tolerance)
        score = edge_score([counts])
        assert score.f == pytest.approx(boundary_accuracy(mask, truth, None, tolerance))


def test_the_best_threshold_parts_true_edges_from_false():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    edges = np.zeros((60, 80), np.float32)
    edges[boundary_map(mask)] = 0.7
    edges[5] = 0.3
    counts = edge_counts(edges, mask)
    best = edge_score([counts])
    assert best.f == 1
    assert 0.3 < best.threshold <= 0.7
    low = edge_score([counts], threshold=0.2)
    assert low.recall == 1
    assert low.precision == pytest.approx(counts.outline / (counts.outline + 80))


def test_a_frame_without_object_costs_precision():
    edges = np.full((20, 20), 0.5, np.float32)
    counts = edge_counts(edges, np.zeros((20, 20), bool))
    assert counts.outline == 0
    assert counts.correct.max() == 0
    assert edge_score([counts]).f == 0


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="the same size"):
        edge_counts(np.zeros((4, 5), np.float32), np.zeros((5, 5), bool))
