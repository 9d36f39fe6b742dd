"""The field against exhaustive search, and on clips where time must help."""

import itertools
from typing import Any

import cv2
import numpy as np
import pytest

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError, ShapeError
from rotomask.refine import random_field
from rotomask.refine.random_field import (
    RandomFieldConfig,
    energy,
    field_edges,
    flow_links,
    solve_field,
)


def _problem(seed, *, labels=2, frames=2, size=(2, 3)) -> tuple[list[Any], list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 60, (*size, 3)).astype(np.uint8) for _ in range(frames)]
    raw = rng.random((frames, labels, *size)).astype(np.float32) + 0.2
    probabilities = list(raw / raw.sum(1, keepdims=True))
    everywhere = np.arange(size[0] * size[1])
    links = [np.stack([everywhere, rng.permutation(everywhere)], -1) for _ in range(frames - 1)]
    return pictures, probabilities, links


def _exhaustive(pictures, probabilities, links, config):
    """The least energy over all labellings, one by one."""
    classes = probabilities[0].shape[0]
    costs = -np.log(np.stack(probabilities)).transpose(1, 0, 2, 3).reshape(classes, -1)
    edges = field_edges(pictures, links, config)
    every = itertools.product(range(classes), repeat=costs.shape[1])
    return min(energy(np.array(x), costs, edges) for x in every), costs, edges


@pytest.mark.parametrize("seed", range(6))
def test_a_graph_cut_of_two_labels_is_the_least_of_all_labellings(seed):
    problem = _problem(seed)
    config = RandomFieldConfig(smoothness=0.4, temporal=0.6, contrast=40)
    least, costs, edges = _exhaustive(*problem, config)
    solved = np.stack(solve_field(*problem, config))
    found = energy(solved.argmax(1).ravel(), costs, edges)
    assert found == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_expansion_of_three_labels_comes_within_twice_the_least(seed):
    """Its guarantee (Boykov et al. 2001); on problems so small it is mostly exact."""
    problem = _problem(seed, labels=3, size=(2, 2))
    config = RandomFieldConfig(smoothness=0.4, temporal=0.6, contrast=40)
    least, costs, edges = _exhaustive(*problem, config)
    solved = np.stack(solve_field(*problem, config))
    found = energy(solved.argmax(1).ravel(), costs, edges)
    start = energy(costs.argmin(0), costs, edges)
    assert least - 1e-4 <= found <= min(start, 1.1 * least) + 1e-4


def test_mean_field_lowers_the_energy_and_stays_a_distribution():
    problem = _problem(3, size=(8, 9), frames=3)
    config = RandomFieldConfig(smoothness=0.3, temporal=0.5, contrast=40, solver="mean-field")
    solved = np.stack(solve_field(*problem, config))
    assert np.allclose(solved.sum(1), 1, atol=1e-5)
    costs = -np.log(np.stack(problem[1])).transpose(1, 0, 2, 3).reshape(2, -1)
    edges = field_edges(problem[0], problem[2], config)
    before = energy(np.stack(problem[1]).argmax(1).ravel(), costs, edges)
    assert energy(solved.argmax(1).ravel(), costs, edges) < before


@pytest.mark.parametrize("solver", ["graph-cut", "mean-field"])
def test_frames_on_either_side_mend_the_one_between(solver):
    """A moving shape whose middle frame was missed: with temporal terms it comes back."""
    frames, labels = moving_shapes(5, frames=3, size=(40, 50))
    truth = labels > 0
    foreground = np.where(truth, 0.9, 0.1).astype(np.float32)
    foreground[1] = np.where(truth[1], 0.45, 0.1)
    probabilities = [np.stack([1 - p, p]) for p in foreground]
    links = []
    for t in range(2):
        # The exact motion of the shape: from centroid to centroid.
        shift = np.array(
            [
                np.mean(np.nonzero(truth[t + 1])[a]) - np.mean(np.nonzero(truth[t])[a])
                for a in (1, 0)
            ]
        )
        flow = np.where(truth[t][..., None], shift, 0).astype(np.float32)
        links.append(flow_links(flow, np.ones_like(truth[t])))
    config = RandomFieldConfig(smoothness=0.1, temporal=2.0, contrast=60, solver=solver)
    with_time = solve_field(list(frames), probabilities, links, config)[1].argmax(0)
    alone = RandomFieldConfig(smoothness=0.1, temporal=0.0, contrast=60, solver=solver)
    without = solve_field(list(frames), probabilities, links, alone)[1].argmax(0)
    assert without.sum() < 0.2 * truth[1].sum()
    overlap = (with_time.astype(bool) & truth[1]).sum() / (with_time.astype(bool) | truth[1]).sum()
    assert overlap > 0.8


def test_mean_field_computes_only_where_it_can_change_something(monkeypatch):
    """Certain areas are left out, and the result is that of the whole field."""
    frames, labels = moving_shapes(4, frames=3, size=(60, 80))
    foreground = [cv2.GaussianBlur((x > 0).astype(np.float32), (0, 0), 1.5) for x in labels]
    foreground[1][20:26, 30:40] *= 0.4  # a gap
    probabilities = [np.stack([1 - p, p]) for p in foreground]
    everywhere = np.arange(60 * 80)
    links = [np.stack([everywhere, everywhere], -1)] * 2
    config = RandomFieldConfig(smoothness=0.6, temporal=1.0, solver="mean-field")
    is_open = random_field._open_pixels(np.stack(probabilities), links)
    assert 0.05 < is_open.mean() < 0.7
    banded = np.stack(solve_field(list(frames), probabilities, links, config))
    monkeypatch.setattr(random_field, "_open_pixels", lambda p, _: np.ones(p[:, 0].size, bool))
    whole = np.stack(solve_field(list(frames), probabilities, links, config))
    assert np.abs(banded - whole).max() < 2e-3
    assert np.array_equal(banded.argmax(1), whole.argmax(1))


def test_links_follow_the_flow_and_stay_inside():
    flow = np.zeros((4, 5, 2), np.float32)
    flow[..., 0] = 1
    trusted = np.ones((4, 5), bool)
    trusted[0] = False
    links = flow_links(flow, trusted)
    assert len(links) == 3 * 4, "the last column leaves the frame, the first row is not trusted"
    assert (links[:, 1] == links[:, 0] + 1).all()


def test_what_does_not_fit_is_refused():
    frames, probabilities, links = _problem(0)
    with pytest.raises(ShapeError, match="one list of links fewer"):
        solve_field(frames, probabilities, [])
    with pytest.raises(ShapeError, match="do not fit a frame"):
        solve_field(frames, [p[:, :1] for p in probabilities], links)
    with pytest.raises(OptionError, match="costs of 0 or more"):
        RandomFieldConfig(smoothness=-1)
