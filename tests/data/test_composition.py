"""Composed clips: ids stay apart, what looks alike can be followed, things go where they should."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.data.simulation import (
    Actor,
    Composition,
    batch,
    plan_composed_clip,
    render,
    stack_clips,
)
from rotomask.data.simulation import appearance as looks
from rotomask.data.simulation.composition import (
    _can_be_followed,
    _Track,
    _track,
    with_thin_part,
)
from rotomask.data.simulation.courses import arrives, covers, grows, jumps_in_size, leaves, passes
from rotomask.data.simulation.plan import object_points
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError

NOTHING = Composition(**{f.name: 0.0 for f in fields(Composition)})


def _picture(seed, size=(90, 120)):
    frames, labels = moving_shapes(seed, frames=1, size=size)
    return frames[0], labels[0]


def _video(seed, frames=5):
    drawn, labels = moving_shapes(seed, frames=frames, size=(90, 120))
    return tuple(zip(drawn, labels, strict=True))


def _plan(seed, actors, *, own=0, scene=None, composition=NOTHING, frames=5, size=64, **more):
    rng = np.random.default_rng(seed)
    while True:
        plan = plan_composed_clip(
            scene or (_picture(seed),),
            actors,
            size=size,
            frames=frames,
            own=own,
            rng=rng,
            composition=composition,
            **more,
        )
        if plan is not None:
            return plan


def _ids(plan):
    return [object_id for layer in plan.layers for object_id in layer.ids.values() if object_id]


@given(seed=st.integers(0, 200), own=st.integers(0, 1), objects=st.integers(1, 4))
@settings(max_examples=10)
def test_every_object_has_one_layer_and_is_seen(seed, own, objects):
    actors = [Actor((_picture(seed + 1 + k),), "followed") for k in range(objects - own)]
    actors += [Actor((_picture(seed + 9),), "free"), Actor((_picture(seed + 10),), "covering")]
    plan = _plan(seed, actors, own=own, composition=Composition())
    assert sorted(_ids(plan)) == list(range(1, objects + 1))
    clips = render(stack_clips([plan]))
    assert set(clips.labels[0, 0].unique().tolist()) - {0} == set(range(1, objects + 1))
    assert torch.isfinite(clips.frames).all()
    assert 0 <= clips.frames.min() <= clips.frames.max() <= 1


@pytest.mark.parametrize("role", ["beside", "passing", "free"])
@pytest.mark.parametrize("kind", ["pasted", "own", "video"])
def test_twins_never_share_an_id_and_keep_their_guidance(role, kind):
    for seed in range(4):
        first = _video(seed) if kind == "video" else (_picture(seed + 1),)
        twin = Actor(first, role, is_alike=True)
        actors = [twin] if kind == "own" else [Actor(first, "followed"), twin]
        scene = first if kind == "own" else None
        plan = _plan(seed, actors, own=int(kind == "own"), scene=scene)
        assert _ids(plan) == [1]
        assert plan.keeps_guidance
        owners = [layer for layer in plan.layers if 1 in layer.ids.values()]
        doubles = [layer for layer in plan.layers if layer.ids == {1: 0}]
        assert len(owners) == len(doubles) == 1
        rng = np.random.default_rng(0)
        track, double = (_track(found[0], 1, 64, 5, rng) for found in (owners, doubles))
        for t in range(1, 5):
            step = np.linalg.norm(track.centre[t] - track.centre[t - 1])
            assert step < np.linalg.norm(double.centre[t] - track.centre[t - 1]) + 0.5


def test_what_overtakes_an_object_cannot_be_told_from_it():
    still = np.zeros((4, 2))
    beside = _Track(still + np.array([30.0, 0.0]), 10.0)
    assert _can_be_followed(_Track(still, 10.0), beside)
    swapped = np.array([[0.0, 0.0], [0.0, 0.0], [30.0, 0.0], [30.0, 0.0]])
    assert not _can_be_followed(_Track(swapped, 10.0), _Track(swapped[::-1], 10.0))


def test_clips_without_doubles_may_lose_their_guidance():
    actors = [Actor((_picture(1),), "followed"), Actor((_picture(2),), "free")]
    plans = [_plan(seed, actors) for seed in (0, 1)]
    assert stack_clips(plans)["keeps_guidance"].tolist() == [False, False]


def test_a_cut_out_of_a_video_moves_as_it_does_there():
    """Every frame of the layer shows the picture of that frame."""
    video = _video(3)
    for t, (image, _) in enumerate(video):
        image[:] = 10 + 40 * t
    plan = _plan(0, [Actor(video, "followed")], appearance=0.0)
    clips = render(stack_clips([plan]))
    for t in range(5):
        inside = clips.labels[0, t] == 1
        if inside.any():
            shown = clips.frames[0, t].median(0).values[inside] * 255
            assert float(shown.median()) == pytest.approx(10 + 40 * t, abs=1)


def test_courses_go_where_they_say():
    rng = np.random.default_rng(0)
    for _ in range(20):
        gone = leaves(8, 100, rng, returns=False)
        assert not gone.offset[0].any()
        assert np.linalg.norm(gone.offset[-1]) >= 100
        back = leaves(12, 100, rng, returns=True)
        assert np.linalg.norm(back.offset, axis=-1).max() > 30
        assert np.linalg.norm(passes(6, 100, rng).offset[0]) >= 100
        coming = arrives(6, 100, rng)
        assert np.linalg.norm(coming.offset[0]) >= 100
        assert not coming.offset[-1].any()
        growth = grows(7, rng).log_scale
        assert np.log(2) - 1e-9 <= abs(growth[-1] - growth[0]) <= np.log(5) + 1e-9
        assert growth[3] == pytest.approx(0)
        assert abs(jumps_in_size(7, rng).log_scale).max() <= 0.7
        track = rng.uniform(20, 80, (8, 2))
        distance = np.linalg.norm(covers(8, 100, track, rng).offset + 50 - track, axis=-1)
        assert distance[0] > 100
        assert 1 <= (distance < 1e-6).sum() <= 3


def test_a_thin_part_is_thin_and_joined_to_its_object():
    image, labels = _picture(4)
    for seed in range(8):
        _, found = with_thin_part((image, labels), 1, np.random.default_rng(seed))
        added = (found == 1) & (labels == 0)
        assert (found[labels > 0] == labels[labels > 0]).all()
        if added.any():
            count, _ = cv2.connectedComponents((found == 1).astype(np.uint8))
            assert count == 2
            assert added.sum() < 0.5 * (labels == 1).sum()
    assert (labels == _picture(4)[1]).all(), "the picture itself is not changed"


def test_pictures_are_kept_as_large_as_they_are_shown(monkeypatch):
    """Against the same clips from whole pictures: the labels differ at edges alone."""
    actors = [Actor((_picture(k, (300, 400)),), "followed") for k in (1, 2)]
    plans = [_plan(seed, actors, appearance=0.0, size=96) for seed in range(3)]
    small = stack_clips(plans)
    reduced = render(small)
    monkeypatch.setattr(batch, "LEAST_REDUCTION", 0.0)
    large = stack_clips(plans)
    whole = render(large)
    areas = [int(b["sizes"].prod(1).sum()) for b in (small, large)]
    assert areas[0] < areas[1]
    assert (reduced.labels != whole.labels).float().mean() < 0.01
    assert (reduced.frames - whole.frames).abs().mean() < 0.02


def test_motion_blur_and_soft_edges_change_frames_but_no_labels():
    actors = [Actor((_picture(1),), "followed")]
    plan = _plan(0, actors, appearance=0.0)
    plain = render(stack_clips([plan]))
    layer = plan.layers[1]
    kernels = np.stack([looks.motion_kernel(15, 0.3)] * 5)
    for change in ({"is_soft": True}, {"blur": kernels}):
        changed = replace(plan, layers=(plan.layers[0], replace(layer, **change)))
        clips = render(stack_clips([changed]))
        assert torch.equal(clips.labels, plain.labels)
        difference = (clips.frames - plain.frames).abs().amax(2)
        assert difference.max() > 0.05
        far = plain.labels.float()
        far = torch.nn.functional.max_pool2d(far, 25, stride=1, padding=12) == 0
        assert difference[far].max() < 1e-5


def test_low_resolution_removes_detail_of_the_chosen_frames_alone():
    frames = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    out = looks.lower_resolution(frames, torch.tensor([1.0, 4.0, 1.0]))
    assert torch.equal(out[::2], frames[::2])
    assert out[1].diff(dim=-1).abs().mean() < 0.3 * frames[1].diff(dim=-1).abs().mean()
    assert out[1].mean() == pytest.approx(float(frames[1].mean()), abs=0.02)


def test_points_of_an_object_lie_on_it_and_reach_its_sides():
    labels = np.zeros((40, 60), np.uint8)
    labels[5:20, 10:31], labels[30, 50] = 3, 4
    points = object_points(labels, 3, np.random.default_rng(0)).astype(int)
    assert (labels[points[:, 1], points[:, 0]] == 3).all()
    assert (points.min(0) == (10, 5)).all()
    assert (points.max(0) == (30, 19)).all()


def test_parts_of_stories_fit_into_one():
    with pytest.raises(OptionError, match=r"add up to 1\.2, above 1"):
        Composition(same_kind=0.5, look_alike=0.5, twin=0.2, crowd=0.0)
