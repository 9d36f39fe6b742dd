"""Temporal stability: what must hold of it, and dynamic time warping against a plain table.

Measured over all frames of the ten steady sequences of DAVIS-2016 val, beside the benchmark's site:
ground truth 0.079 (0.088), OSVOS 0.377 (0.378), RGMP 0.135 (0.133).
"""

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rotomask.errors import ShapeError
from rotomask.evaluation import TrackProtocol, score_sequence, temporal_stability
from rotomask.evaluation.measures.stability import _shape_contexts, _warp, longest_outline
from tests.evaluation.small_datasets import moving_labels


def star(
    turn: float, centre: tuple[int, int] = (80, 110), spikes: int = 5, size: int = 60
) -> npt.NDArray[np.bool_]:
    angles = np.linspace(0, 2 * math.pi, 2 * spikes, endpoint=False) + turn
    radius = np.where(np.arange(2 * spikes) % 2, size, size / 2)
    points = np.stack([centre[1] + radius * np.cos(angles), centre[0] + radius * np.sin(angles)], 1)
    mask = np.zeros((160, 220), np.uint8)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    return mask > 0


def test_a_shape_that_only_moves_is_steady():
    assert temporal_stability(star(0.2), star(0.2)) == 0
    assert temporal_stability(star(0.2), star(0.2, (75, 122))) == pytest.approx(0, abs=1e-12)


def test_more_change_costs_more():
    small = temporal_stability(star(0.2), star(0.25))
    large = temporal_stability(star(0.2), star(0.2, spikes=4))
    assert 0 < small < large < 5


def test_jitter_costs():
    rng = np.random.default_rng(1)
    shape = star(0.2)
    noise = cv2.blur(rng.random(shape.shape), (9, 9))
    torn = (cv2.blur(shape.astype(float), (15, 15)) + 6 * (noise - noise.mean())) > 0.5
    assert temporal_stability(shape, torn) > 3 * temporal_stability(shape, star(0.22))


def test_nothing_to_match():
    empty = np.zeros((160, 220), bool)
    assert math.isnan(temporal_stability(empty, star(0)))
    assert math.isnan(temporal_stability(star(0), empty))
    with pytest.raises(ShapeError, match="of the same size"):
        temporal_stability(star(0), empty[1:])


def test_the_longest_outline_counts():
    mask = star(0.2)
    speck = mask.copy()
    speck[2:5, 2:5] = True
    np.testing.assert_array_equal(longest_outline(mask), longest_outline(speck))


def test_contexts_are_shares():
    contexts = _shape_contexts(longest_outline(star(0.1)))
    assert contexts.shape[1] == 60
    np.testing.assert_allclose(contexts.sum(axis=1), 1)


def test_warping_finds_the_cheapest_path():
    rng = np.random.default_rng(0)
    for _ in range(40):
        rows, columns = rng.integers(1, 12, 2)
        cost = rng.random((rows, columns))
        best = np.full((rows, columns), np.inf)
        for i in range(rows):
            for j in range(columns):
                before = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
                come = [best[a, b] for a, b in before if a >= 0 and b >= 0]
                best[i, j] = cost[i, j] + (min(come) if come else 0)
        path = _warp(cost)
        assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(best[-1, -1])
        assert set(map(tuple, np.diff(path, axis=0))) <= {(1, 1), (1, 0), (0, 1)}


def test_as_a_measure_of_a_sequence():
    truth = np.repeat(moving_labels(1, 1, 1, (60, 80)), 6, axis=0)
    protocol = TrackProtocol(measures=("J", "T"))
    score = score_sequence(truth, truth, protocol=protocol)
    assert score.figures == {"J_mean": 1, "J_recall": 1, "J_decay": 0, "T_mean": 0}
    assert math.isnan(score.objects[0].curves["T"][0])
    assert len(score.objects[0].curves["T"]) == 4
