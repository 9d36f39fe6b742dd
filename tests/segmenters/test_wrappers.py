"""Segmenters made of segmenters: each part changes the output as its definition says."""

from functools import partial

import numpy as np
import pytest
import torch

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.refine import ComponentsConfig, dense_crf, filter_components
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig
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
