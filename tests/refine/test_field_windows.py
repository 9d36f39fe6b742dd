"""The field over whole videos: windows, full size, and what a solver's package is missing for."""

import builtins
from itertools import pairwise

import numpy as np
import pytest

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow
from rotomask.refine.field_windows import (
    FieldWindowConfig,
    link_frames,
    reduce_probabilities,
    refine_video,
    tuned_field,
)
from rotomask.refine.random_field import RandomFieldConfig, solve_field

FIELD = RandomFieldConfig(smoothness=0.5, temporal=2.0, contrast=40, solver="mean-field")


def _answers(frames=9, size=(48, 64), weak=()):
    pictures, labels = moving_shapes(5, frames=frames, size=size)
    answers = []
    for t, (picture, mask) in enumerate(zip(pictures, labels, strict=True)):
        chance = np.where(mask > 0, 0.4 if t in weak else 0.9, 0.1).astype(np.float32)
        answers.append((picture, np.stack([1 - chance, chance])))
    return answers, labels > 0


@pytest.mark.parametrize("frames", [1, 3, 5, 6, 9])
@pytest.mark.parametrize(("window", "overlap"), [(5, 1), (4, 0), (3, 1)])
def test_every_frame_comes_out_once_and_in_order(frames, window, overlap):
    answers, truth = _answers(frames)
    config = FieldWindowConfig(field=FIELD, size=48, window=window, overlap=overlap)
    refined = list(refine_video(iter(answers), config))
    assert len(refined) == frames
    for probabilities, mask in zip(refined, truth, strict=True):
        assert probabilities.shape == (2, 48, 64)
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        found = probabilities.argmax(0) > 0
        assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_one_window_is_the_field_itself():
    answers, _ = _answers(4)
    config = FieldWindowConfig(field=FIELD, size=48, window=9)
    links = [link_frames(a[0], b[0], DISFlow()) for a, b in pairwise(answers)]
    expected = solve_field([f for f, _ in answers], [p for _, p in answers], links, FIELD)
    for found, whole in zip(refine_video(answers, config), expected, strict=True):
        np.testing.assert_allclose(found, whole, atol=1e-5)


def test_a_weak_frame_is_mended_by_its_neighbours_but_not_without_time():
    answers, truth = _answers(9, weak=(4,))
    with_time = list(refine_video(answers, FieldWindowConfig(field=FIELD, size=48)))[4]
    alone = RandomFieldConfig(smoothness=0.5, temporal=0, contrast=40, solver="mean-field")
    without = list(refine_video(answers, FieldWindowConfig(field=alone, size=48)))[4]
    found = with_time[1] > 0.5
    assert (found & truth[4]).sum() / (found | truth[4]).sum() > 0.7
    assert (without[1] > 0.5).sum() < 0.3 * truth[4].sum()


def test_outlines_stay_at_full_size_where_the_field_changes_nothing():
    answers, _ = _answers(3, size=(96, 128))
    nothing = RandomFieldConfig(smoothness=0, temporal=0, solver="mean-field")
    for (_, given), found in zip(
        answers, refine_video(answers, FieldWindowConfig(field=nothing, size=24)), strict=True
    ):
        np.testing.assert_allclose(found, given, atol=1e-4)


def test_reduced_probabilities_are_means_and_still_sum_to_1():
    chance = np.random.default_rng(0).random((8, 12)).astype(np.float32)
    small = reduce_probabilities(np.stack([1 - chance, chance]), (4, 6))
    np.testing.assert_allclose(small.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(small[1], chance.reshape(4, 2, 6, 2).mean((1, 3)), atol=1e-6)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match="more frames than its overlaps"):
        FieldWindowConfig(window=2, overlap=1)
    with pytest.raises(OptionError, match="graph-cut or mean-field, got 'magic'"):
        tuned_field("magic")


def test_without_pymaxflow_a_graph_cut_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "maxflow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    answers, _ = _answers(2)
    monkeypatch.setattr(builtins, "__import__", without)
    config = FieldWindowConfig(field=RandomFieldConfig(solver="graph-cut"))
    with pytest.raises(OptionError, match=r"pip install rotomask\[fields\]"):
        list(refine_video(answers, config))
    assert len(list(refine_video(answers, FieldWindowConfig()))) == 2, "mean-field goes without"
