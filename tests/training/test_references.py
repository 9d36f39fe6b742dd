"""Learning from several annotated frames of a video, with the shipped network and small clips."""

import numpy as np
import pytest
import torch

import rotomask
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, ShapeError
from rotomask.segmenters.online import KnownFrame, ReferenceLearned
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.state import restore, state_of
from rotomask.training.references import ReferenceConfig, ReferenceLearner, learn_references

QUICK = ReferenceConfig(steps=3, copies=1)


@pytest.fixture(scope="module")
def plain() -> SpaceTimeSegmenter:
    segmenter = rotomask.load_model("stm-lite", device="cpu", precision="float32")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    return segmenter


@pytest.fixture
def video():
    frames, labels = moving_shapes(44, frames=6, size=(96, 128), objects=2)
    return frames, np.array([0, 7, 3])[labels]


@pytest.mark.slow
def test_frames_between_are_segmented_better(plain):
    # A shape that looks like its ground but for one colour: without learning it is found in part.
    rng = np.random.default_rng(0)
    frames, masks = [], []
    for t in range(7):
        mask = np.zeros((96, 128), int)
        mask[30:62, 20 + 8 * t : 52 + 8 * t] = 1
        noise = rng.integers(0, 160, (96, 128, 3))
        noise[..., 0] += 40 * mask  # of the red channel alone
        frames.append(noise.astype(np.uint8))
        masks.append(mask)

    def overlap(segmenter) -> float:
        segmenter.start(frames[0], masks[0])
        segmenter.add_reference(frames[6], masks[6])
        found = [segmenter.labels(segmenter.step(frame)) for frame in frames[1:6]]
        pairs = zip(found, masks[1:6], strict=True)
        return float(np.mean([((a == 1) & (b == 1)).sum() / ((a | b) > 0).sum() for a, b in pairs]))

    learning = learn_references(plain, ReferenceConfig(steps=30))
    assert overlap(learning) > overlap(plain) + 0.02


def test_only_the_decoder_of_a_copy_learns(plain, video):
    frames, labels = video
    assert isinstance(plain.network, torch.nn.Module)
    before = {k: v.clone() for k, v in plain.network.state_dict().items()}
    known = [KnownFrame(frames[i], labels[i]) for i in (0, 3)]
    told: list[float] = []
    network = ReferenceLearner(QUICK)(plain, known, told.append)
    assert told[-1] == 1
    assert len(told) == QUICK.steps
    after = network.state_dict()
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_many_objects_are_not_learned(plain, video):
    frames, labels = video
    known = [KnownFrame(frames[i], labels[i]) for i in (0, 3)]
    few = ReferenceConfig(steps=1, objects=1)
    network = ReferenceLearner(few)(plain, known)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_one_frame_alone_teaches_nothing(plain, video):
    frames, labels = video
    learning, usual = learn_references(plain, QUICK), plain.twin()
    for segmenter in (learning, usual):
        segmenter.start(frames[0], labels[0])
        assert segmenter.object_ids == (3, 7)
    np.testing.assert_array_equal(learning.step(frames[1]), usual.step(frames[1]))


def test_passes_to_both_sides_learn_once_and_the_same(plain, video):
    frames, labels = video
    learned = []

    def learn(segmenter, known, on_learning):
        learned.append(ReferenceLearner(QUICK)(segmenter, known, on_learning))
        return learned[-1]

    segmenter = ReferenceLearned(plain, learn)
    usual = plain.twin()
    for here, there in ((2, 5), (5, 2)):
        answers = []
        for one in (segmenter, usual):
            one.start(frames[here], labels[here])
            one.add_reference(frames[there], labels[there], (3, 7))
            answers.append(one.step(frames[3]))
        assert np.abs(answers[0] - answers[1]).max() > 1e-3
    assert len(learned) == 1
    segmenter.start(frames[2], labels[2])
    segmenter.add_reference(frames[4], labels[4])
    segmenter.step(frames[3])
    assert len(learned) == 2  # other frames


def test_an_object_that_one_frame_alone_shows_is_no_obstacle(plain, video):
    frames, labels = video
    segmenter = learn_references(plain, QUICK)
    segmenter.start(frames[0], labels[0])
    segmenter.add_reference(frames[4], np.where(labels[4] == 7, 7, 0), (7,))
    found = segmenter.step(frames[1])
    assert found.shape == (3, 96, 128)
    assert np.abs(found.sum(0) - 1).max() < 1e-5


def test_a_state_holds_what_was_learned(plain, video, monkeypatch):
    """A pass that is resumed by a new process does not learn again."""
    frames, labels = video
    segmenter = learn_references(plain, QUICK)
    segmenter.start(frames[0], labels[0])
    segmenter.add_reference(frames[4], labels[4])
    segmenter.step(frames[1])
    state = state_of(segmenter)
    second = segmenter.step(frames[2])
    restore(segmenter, state)
    np.testing.assert_array_equal(segmenter.step(frames[2]), second)
    fresh = learn_references(plain, QUICK)
    monkeypatch.setattr(fresh, "learn", None)
    restore(fresh, state)
    np.testing.assert_array_equal(fresh.step(frames[2]), second)


@pytest.mark.slow
def test_every_member_of_a_composed_model_learns(video):
    frames, labels = video
    model = rotomask.load_model("stm-lite", device="cpu", flip=True, learn_references=True)
    usual = rotomask.load_model("stm-lite", device="cpu", flip=True)
    told: list[float] = []
    model.report_learning(told.append)
    answers = []
    for segmenter in (model, usual):
        segmenter.start(frames[0], labels[0])
        segmenter.add_reference(frames[4], labels[4])
        answers.append(segmenter.step(frames[1]))
    assert told.count(1.0) == 2
    assert np.abs(answers[0] - answers[1]).max() > 1e-3


def test_what_cannot_be_learned_from_is_refused(plain, video):
    frames, labels = video
    segmenter = learn_references(plain, QUICK)
    with pytest.raises(MaskError, match="empty"):
        segmenter.start(frames[0], np.zeros((96, 128), int))
    segmenter.start(frames[0], labels[0])
    with pytest.raises(ShapeError):
        segmenter.add_reference(frames[1][:, :64], labels[1][:, :64])


def test_other_methods_stay_as_they_are():
    mirrored = rotomask.load_model("stm-lite", flip=True, device="cpu")
    assert learn_references(mirrored) is mirrored
