"""Segmenters made of segmenters: the whole contract, and that each part changes the answer."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, OptionError, ShapeError
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.refine import ComponentsConfig, dense_crf, filter_components
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.segmenters.wrappers import Ensemble, Flipped, Mirrored, MultiScale, Refined


def _lite(scale: float = 1.0, seed: int = 0) -> SpaceTimeSegmenter:
    torch.manual_seed(seed)
    network = STMLite(
        STMLiteConfig(key_channels=8, value_channels=16, decoder_channels=(16, 16, 8))
    )
    return SpaceTimeSegmenter(
        network, SpaceTimeConfig(scale=scale), choose_runtime("cpu", "float32")
    )


def _stm() -> SpaceTimeSegmenter:
    torch.manual_seed(1)
    network = STM(STMConfig(key_channels=8, value_channels=16, decoder_channels=16))
    return SpaceTimeSegmenter(network, None, choose_runtime("cpu", "float32"))


COMPOSED: dict[str, Callable[[], Segmenter]] = {
    "ensemble": lambda: Ensemble([_lite(), _stm()]),
    "mirrored": lambda: Mirrored(_lite()),
    "flipped": lambda: Flipped(_lite()),
    "scales": lambda: MultiScale(_lite, (0.75, 1.0)),
    "crf": lambda: Refined(_lite(), dense_crf),
    "components": lambda: Refined(_lite(), filter_components),
    "all": lambda: Refined(
        Ensemble([Flipped(MultiScale(_lite, (0.5, 1))), Flipped(_stm())]), dense_crf
    ),
}


@pytest.fixture(params=list(COMPOSED))
def segmenter(request) -> Segmenter:
    return COMPOSED[request.param]()


def test_answers_have_the_frames_size_the_ids_and_sum_to_one(segmenter):
    frames, labels = moving_shapes(0, frames=3, size=(49, 71), objects=2)
    assert segmenter.object_ids == ()
    segmenter.start(frames[0], np.array([0, 1000, 7])[labels[0]])
    assert segmenter.object_ids == (7, 1000)
    for frame in frames[1:]:
        answer = segmenter.step(frame)
        assert answer.shape == (3, 49, 71)
        assert answer.dtype == np.float32
        assert np.abs(answer.sum(0) - 1).max() < 1e-5
        assert set(np.unique(segmenter.labels(answer))) <= {0, 7, 1000}


def test_an_added_object_is_exact_where_given_and_followed_on(segmenter):
    frames, labels = moving_shapes(4, frames=3, size=(48, 64), objects=2)
    segmenter.start(frames[0], np.where(labels[0] == 1, 5, 0))
    two = np.where(labels[1] == 2, 2, 0)
    answer = segmenter.add(frames[1], two)
    assert segmenter.object_ids == (5, 2)
    assert (segmenter.labels(answer)[two == 2] == 2).all()
    assert (answer[2] == (two == 2)).all()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5
    assert segmenter.step(frames[2]).shape[0] == 3


def test_an_object_known_to_be_absent_is_not_there(segmenter):
    frames, labels = moving_shapes(5, frames=3, size=(48, 64), objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    answer = segmenter.add(frames[1], np.zeros(labels[0].shape, int), object_ids=[2])
    assert not answer[2].any()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5


def test_a_second_video_is_as_the_first(segmenter):
    frames, labels = moving_shapes(6, frames=4, size=(48, 64))
    mask = labels[0].astype(int)

    def answers(following: Segmenter) -> list[np.ndarray]:
        following.start(frames[0], mask)
        return [following.step(frame) for frame in frames[1:]]

    first = answers(segmenter)
    for again in (segmenter, segmenter.twin()):
        for one, other in zip(first, answers(again), strict=True):
            assert (one == other).all()


def test_a_twin_follows_its_own_video(segmenter):
    frames, labels = moving_shapes(7, frames=3, size=(48, 64))
    others, other_labels = moving_shapes(8, frames=2, size=(48, 64))
    segmenter.start(frames[0], labels[0].astype(int))
    twin = segmenter.twin()
    twin.start(others[0], other_labels[0].astype(int) * 9)
    twin.step(others[1])
    assert segmenter.object_ids == (1,)
    undisturbed = segmenter.step(frames[1])
    segmenter.start(frames[0], labels[0].astype(int))
    assert (segmenter.step(frames[1]) == undisturbed).all()


def test_observing_its_own_answer_is_nearly_like_having_given_it():
    frames, labels = moving_shapes(3, frames=8, size=(48, 64))
    for make in (COMPOSED["flipped"], COMPOSED["scales"], COMPOSED["ensemble"]):
        segmenter = make()
        segmenter.start(frames[0], labels[0].astype(int))
        answers = [segmenter.labels(segmenter.step(f)) for f in frames[1:]]
        segmenter.start(frames[0], labels[0].astype(int))
        for frame, answer in zip(frames[1:6], answers[:5], strict=True):
            segmenter.observe(frame, answer)
        resumed = segmenter.labels(segmenter.step(frames[6]))
        assert (resumed == answers[5]).mean() > 0.95


def test_wrong_calls_are_named(segmenter):
    frames, labels = moving_shapes(10, frames=2, size=(48, 64))
    mask = labels[0].astype(int)
    with pytest.raises(MaskError, match="empty"):
        segmenter.start(frames[0], mask * 0)
    with pytest.raises(ShapeError, match="the mask is"):
        segmenter.start(frames[0], mask[1:])
    segmenter.start(frames[0], mask)
    with pytest.raises(ShapeError, match="size"):
        segmenter.step(frames[1][2:])


def _answer(segmenter: Segmenter) -> np.ndarray:
    frames, labels = moving_shapes(12, frames=2, size=(64, 80), objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    return segmenter.step(frames[1])


def test_an_ensemble_is_the_mean_whatever_order_its_members_have():
    class Reversed(Mirrored):
        """Shows its objects in the other order, and nothing mirrored."""

        @property
        def object_ids(self) -> tuple[int, ...]:
            return self.segmenter.object_ids[::-1]

        def start(self, frame, mask):
            self.segmenter.start(frame, mask)

        def step(self, frame):
            answer = self.segmenter.step(frame)
            return np.concatenate([answer[:1], answer[:0:-1]])

    mean = (_answer(_lite()) + _answer(_stm())) / 2
    assert np.abs(_answer(Ensemble([_lite(), _stm()])) - mean).max() < 1e-6
    assert np.abs(_answer(Ensemble([_lite(), Reversed(_stm())])) - mean).max() < 1e-6
    assert np.abs(_answer(_lite()) - mean).max() > 0.01


def test_flipping_is_the_mean_over_both_views_and_knows_no_left_and_right():
    flipped, plain, mirrored = (_answer(s) for s in (Flipped(_lite()), _lite(), Mirrored(_lite())))
    assert np.abs(flipped - (plain + mirrored) / 2).max() < 1e-6
    assert np.abs(flipped - plain).max() > 1e-3
    frames, labels = moving_shapes(12, frames=2, size=(64, 80), objects=2)
    segmenter = Flipped(_lite())
    segmenter.start(
        np.ascontiguousarray(frames[0][:, ::-1]),
        np.ascontiguousarray(labels[0][:, ::-1]).astype(int),
    )
    other_way = segmenter.step(np.ascontiguousarray(frames[1][:, ::-1]))[..., ::-1]
    assert np.abs(other_way - flipped).max() < 1e-5


def test_scales_are_sizes_of_the_network_input():
    segmenter = MultiScale(_lite, (0.5, 1.0, 1.5))
    answer = _answer(segmenter)
    sizes = [member._last.image.shape[2:] for member in segmenter.members]  # type: ignore[attr-defined]
    assert sizes == [(32, 48), (64, 80), (96, 128)]
    mean = sum(_answer(_lite(scale)) for scale in (0.5, 1.0, 1.5)) / 3
    assert np.abs(answer - mean).max() < 1e-6
    assert np.abs(answer - _answer(_lite())).max() > 1e-3


def test_refinements_change_the_answer_and_not_what_is_known():
    plain = _answer(_lite())
    crf = partial(dense_crf, config=None)
    assert np.abs(_answer(Refined(_lite(), crf)) - plain).max() > 0.05
    filtered = _answer(
        Refined(_lite(), partial(filter_components, config=ComponentsConfig(low=0.3, high=0.999)))
    )
    assert np.abs(filtered - plain).max() > 0.05
    frames, labels = moving_shapes(13, frames=2, size=(48, 64), objects=2)

    def opposite(probabilities: np.ndarray, frame: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(probabilities[::-1])

    segmenter, known = Refined(_lite(), opposite), np.where(labels[1] == 2, 2, 0)
    segmenter.start(frames[0], labels[0].astype(int))
    answer = segmenter.add(frames[1], known)
    assert (answer[2] == (known == 2)).all()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5


def test_what_cannot_be_composed_is_named():
    one = _lite()
    with pytest.raises(OptionError, match="at least one"):
        Ensemble([])
    with pytest.raises(OptionError, match="twins"):
        Ensemble([one, one])
    with pytest.raises(OptionError, match="scales must be above 0"):
        MultiScale(_lite, (1.0, 0.0))
