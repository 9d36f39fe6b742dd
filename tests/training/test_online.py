"""Online learning on the reference frame, with the shipped network and small clips."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import rotomask
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError, ShapeError
from rotomask.networks.precision import choose_runtime
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.reference_guided import ReferenceGuidedSegmenter
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.state import StateError, restore, state_of
from rotomask.segmenters.wrappers import Flipped
from rotomask.training.online import (
    LESSONS,
    OnlineConfig,
    fine_tune,
    learn_online,
    simulate,
)
from rotomask.training.space_time import segment_clip

FLOAT32 = choose_runtime("cpu", "float32")
SPACE_TIME = LESSONS["space-time"]
SMALL = OnlineConfig(steps=8, clips=4, frames=2, size=96)


@pytest.fixture(scope="module")
def plain() -> SpaceTimeSegmenter:
    segmenter = rotomask.load_model("stm-lite", device="cpu", precision="float32")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    return segmenter


def _inside(segmenter: SpaceTimeSegmenter) -> torch.nn.Module:
    assert isinstance(segmenter.network, torch.nn.Module)
    return segmenter.network


def _copy(segmenter: SpaceTimeSegmenter) -> torch.nn.Module:
    return copy.deepcopy(_inside(segmenter))


def _answers(segmenter: Segmenter, seed: int = 40) -> list[np.ndarray]:
    frames, labels = moving_shapes(seed, frames=3, size=(96, 128), objects=2)
    segmenter.start(frames[0], np.array([0, 7, 3])[labels[0]])
    return [segmenter.step(frame) for frame in frames[1:]]


def test_what_is_learned_holds_for_clips_that_were_not_seen(plain):
    frames, labels = moving_shapes(41, frames=1, size=(96, 128), objects=2)
    network = _copy(plain)
    before = copy.deepcopy(network.state_dict())
    losses = fine_tune(
        network, SPACE_TIME, frames[0], labels[0], SMALL, choose_runtime("cpu", "float32")
    )
    assert len(losses) == SMALL.steps
    assert np.mean(losses[4:]) < np.mean(losses[:4])  # the same four clips, the second time
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)

    def loss_on_others(tried: torch.nn.Module) -> float:
        rng, values = np.random.default_rng(99), []
        for _ in range(6):
            batch = simulate(frames[0], labels[0], SMALL, rng)
            if batch is not None:
                with torch.no_grad():
                    found = segment_clip(tried, batch).transpose(1, 2)  # type: ignore[arg-type]
                truth = batch["labels"][:, 1:].long()
                values.append(float(F.nll_loss(found.clamp_min(1e-7).log(), truth)))
        return float(np.mean(values))

    assert loss_on_others(network) < 0.95 * loss_on_others(_inside(plain))


def test_every_step_counts_in_bfloat16_too(plain):
    frames, labels = moving_shapes(42, frames=1, size=(96, 128))
    config = OnlineConfig(steps=4, clips=1, frames=2, size=64, learning_rate=1e-3)
    network = _copy(plain)
    losses = fine_tune(
        network, SPACE_TIME, frames[0], labels[0], config, choose_runtime("cpu", "bfloat16")
    )
    assert len(set(losses)) == len(losses)  # not the weights that autocast kept from the first
    assert losses[-1] < losses[0]


def test_it_changes_the_answers_of_this_video_and_nothing_else(plain):
    untouched = _copy(plain).state_dict()
    without = _answers(plain)
    learned = learn_online(plain, SMALL)
    assert not learned.object_ids
    found = _answers(learned)
    assert learned.object_ids == (3, 7)
    assert max(np.abs(a - b).max() for a, b in zip(found, without, strict=True)) > 0.05
    assert all(np.abs(a.sum(0) - 1).max() < 1e-5 for a in found)
    # The network is as it was, and the same video gives the same again, also after another.
    for name, value in _inside(plain).state_dict().items():
        assert torch.equal(value, untouched[name])
    _answers(learned, seed=43)
    for again in (learned, learned.twin()):
        for one, other in zip(found, _answers(again), strict=True):
            assert np.abs(one - other).max() < 1e-4


def test_a_state_holds_what_was_learned(plain):
    """A cut that resumes neither learns again nor follows the frames before."""
    frames, labels = moving_shapes(42, frames=5, size=(96, 128))
    made = (lambda: learn_online(plain, SMALL), lambda: learn_online(plain, SMALL).within(Flipped))
    for make in made:
        one, other = make(), make()
        one.start(frames[0], labels[0].astype(int))
        one.step(frames[1])
        told: list[float] = []
        other.report_learning(told.append)
        restore(other, state_of(one))
        assert not told
        assert other.object_ids == one.object_ids
        for frame in frames[2:]:
            assert np.array_equal(one.step(frame), other.step(frame))


def test_a_state_of_other_weights_is_refused(plain):
    frames, labels = moving_shapes(42, frames=2, size=(96, 128))
    learned = learn_online(plain, SMALL)
    learned.start(frames[0], labels[0].astype(int))
    state = state_of(learned)
    changed = _copy(plain)
    with torch.no_grad():
        next(changed.parameters()).mul_(1.01)
    other = learn_online(plain.with_network(changed), SMALL)
    with pytest.raises(StateError, match="other weights"):
        restore(other, state)


def test_a_frame_is_learned_from_once(plain):
    frames, labels = moving_shapes(42, frames=3, size=(96, 128))
    learned = learn_online(plain, SMALL)
    told: list[float] = []
    learned.report_learning(told.append)
    answers = []
    for _ in range(2):  # as passes to both sides of a frame
        learned.start(frames[1], labels[1].astype(int))
        answers.append(learned.step(frames[2]))
    assert told.count(1.0) == 1
    assert np.array_equal(answers[0], answers[1])
    learned.start(frames[0], labels[0].astype(int))
    assert told.count(1.0) == 2


def test_one_network_is_learned_for_both_flips(plain):
    frames, labels = moving_shapes(42, frames=3, size=(96, 128))
    learned = learn_online(plain, SMALL).within(Flipped)
    ended: list[float] = []
    learned.report_learning(lambda done: ended.append(done) if done == 1 else None)
    learned.start(frames[0], labels[0].astype(int))
    assert ended == [1]
    # The mean of the learned network's answers to both images.
    network = copy.deepcopy(_inside(plain))
    network.trainable_part().load_state_dict(learned.learnt)  # type: ignore[operator]
    alone = Flipped(plain.with_network(network))
    alone.start(frames[0], labels[0].astype(int))
    answers = [learned.step(frame) for frame in frames[1:]]
    for found, frame in zip(answers, frames[1:], strict=True):
        assert np.abs(found - alone.step(frame)).max() < 1e-5
    twin = learned.twin()
    twin.start(frames[0], labels[0].astype(int))
    assert np.abs(twin.step(frames[1]) - answers[0]).max() < 1e-4


def test_reference_guided_networks_learn_too():
    torch.manual_seed(0)
    network = RGMPLite(RGMPLiteConfig(match_channels=16, decoder_channels=(16, 16, 8)))
    segmenter = ReferenceGuidedSegmenter(network, None, choose_runtime("cpu", "float32"))
    frames, labels = moving_shapes(47, frames=1, size=(96, 128), objects=2)
    config = OnlineConfig(steps=8, clips=2, frames=3, size=64, learning_rate=1e-3)
    copied = copy.deepcopy(network)
    losses = fine_tune(
        copied, LESSONS["reference-guided"], frames[0], labels[0], config, segmenter.runtime
    )
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    own = network.state_dict()
    changed = {k for k, v in copied.state_dict().items() if not torch.equal(v, own[k])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
    without, found = _answers(segmenter), _answers(learn_online(segmenter, config))
    assert np.abs(without[-1] - found[-1]).max() > 0.01


def test_objects_come_later_and_finished_frames_are_observed(plain):
    frames, labels = moving_shapes(44, frames=4, size=(96, 128), objects=2)
    learned = learn_online(plain, SMALL)
    learned.start(frames[0], np.where(labels[0] == 1, 5, 0))
    two = np.where(labels[1] == 2, 2, 0)
    answer = learned.add(frames[1], two)
    assert learned.object_ids == (5, 2)
    assert (answer[2] == (two == 2)).all()
    learned.observe(frames[2], np.array([0, 5, 2])[labels[2]])
    assert learned.step(frames[3]).shape == (3, 96, 128)


def test_time_ends_it_and_an_object_of_a_few_pixels_is_followed_as_it_is(plain):
    frames, labels = moving_shapes(45, frames=2, size=(96, 128))
    short = OnlineConfig(steps=1000, seconds=1e-6, clips=1, frames=2, size=64)
    network = _copy(plain)
    runtime = choose_runtime("cpu", "float32")
    assert len(fine_tune(network, SPACE_TIME, frames[0], labels[0], short, runtime)) == 1
    speck = np.zeros(labels[0].shape, int)
    speck[5, 5] = 1
    assert fine_tune(network, SPACE_TIME, frames[0], speck, SMALL, runtime) == []
    learned = learn_online(plain, SMALL)
    learned.start(frames[0], speck)
    assert learned.step(frames[1]).shape == (2, 96, 128)


def test_wrong_arguments_are_named(plain):
    with pytest.raises(OptionError, match="for space-time memory and reference-guided"):
        learn_online(learn_online(plain))
    with pytest.raises(OptionError, match="above 0, got 0"):
        OnlineConfig(steps=0)
    with pytest.raises(OptionError, match="some seconds, got 0"):
        OnlineConfig(seconds=0)
    with pytest.raises(OptionError, match="multiple of 16"):
        OnlineConfig(size=100)
    frames, labels = moving_shapes(46, frames=1)
    with pytest.raises(ShapeError, match="the mask is"):
        learn_online(plain, SMALL).start(frames[0], labels[0][1:].astype(int))
    with pytest.raises(rotomask.RotomaskError, match="empty"):
        learn_online(plain, SMALL).start(frames[0], labels[0].astype(int) * 0)
