"""The segmenter's contract, for both space-time memory networks; and a small, truly trained one."""

import numpy as np
import pytest
import torch

import rotomask
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, OptionError, RotomaskError, ShapeError
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.segmenters.space_time import OBJECTS_AT_ONCE, SpaceTimeConfig, SpaceTimeSegmenter


def _segmenter(kind: str, **config: object) -> SpaceTimeSegmenter:
    torch.manual_seed(0)
    network: torch.nn.Module
    if kind == "stm":
        network = STM(STMConfig(key_channels=8, value_channels=16, decoder_channels=16))
    else:
        network = STMLite(
            STMLiteConfig(key_channels=8, value_channels=16, decoder_channels=(16, 16, 8))
        )
    settings = SpaceTimeConfig(**config)  # type: ignore[arg-type]
    return SpaceTimeSegmenter(network, settings, choose_runtime("cpu", "float32"))


@pytest.fixture(params=["stm-lite", "stm"])
def segmenter(request) -> SpaceTimeSegmenter:
    return _segmenter(request.param)


def test_answers_have_the_frames_size_the_ids_and_sum_to_one(segmenter):
    frames, labels = moving_shapes(0, frames=4, size=(49, 71), objects=2)
    ids = np.array([0, 1000, 7])[labels[0]]
    segmenter.start(frames[0], ids)
    assert segmenter.object_ids == (7, 1000)
    for frame in frames[1:]:
        probabilities = segmenter.step(frame)
        assert probabilities.shape == (3, 49, 71)
        assert probabilities.dtype == np.float32
        assert np.abs(probabilities.sum(0) - 1).max() < 1e-5
        assert set(np.unique(segmenter.labels(probabilities))) <= {0, 7, 1000}


@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 40), (33, 18)])
def test_any_size(segmenter, size):
    frames, _ = moving_shapes(1, frames=2, size=(64, 64))
    mask = np.zeros(size, np.int32)
    mask[: (size[0] + 1) // 2] = 1
    segmenter.start(np.ascontiguousarray(frames[0][: size[0], : size[1]]), mask)
    answer = segmenter.step(np.ascontiguousarray(frames[1][: size[0], : size[1]]))
    assert answer.shape == (2, *size)


def test_permuted_objects_permute_the_answer(segmenter):
    frames, labels = moving_shapes(2, frames=3, objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    segmenter.step(frames[1])
    straight = segmenter.step(frames[2])
    segmenter.start(frames[0], np.array([0, 2, 1])[labels[0]])
    segmenter.step(frames[1])
    swapped = segmenter.step(frames[2])
    assert np.abs(straight[[0, 2, 1]] - swapped).max() < 1e-4


def test_observing_its_own_answer_is_like_having_given_it(segmenter):
    frames, labels = moving_shapes(3, frames=9)
    segmenter.start(frames[0], labels[0].astype(int))
    answers = [segmenter.labels(segmenter.step(f)) for f in frames[1:]]
    segmenter.start(frames[0], labels[0].astype(int))
    for frame, answer in zip(frames[1:6], answers[:5], strict=True):
        segmenter.observe(frame, answer)
    resumed = segmenter.labels(segmenter.step(frames[6]))
    assert (resumed == answers[5]).mean() > 0.98


def test_an_added_object_is_exact_where_given_and_followed_on(segmenter):
    frames, labels = moving_shapes(4, frames=4, objects=2)
    one = np.where(labels[0] == 1, 1, 0)
    segmenter.start(frames[0], one)
    two = np.where(labels[1] == 2, 9, 0)
    answer = segmenter.add(frames[1], two)
    assert segmenter.object_ids == (1, 9)
    assert (segmenter.labels(answer)[two == 9] == 9).all()
    assert (answer[2][two != 9] == 0).all()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5
    assert segmenter.step(frames[2]).shape[0] == 3


def test_an_object_known_to_be_absent_is_not_there(segmenter):
    frames, labels = moving_shapes(5, frames=3, objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    answer = segmenter.add(frames[1], np.zeros(labels[0].shape, int), object_ids=[2])
    assert not answer[2].any()
    assert answer[1].any()


def test_a_correction_replaces_what_was_predicted(segmenter):
    frames, labels = moving_shapes(6, frames=3)
    segmenter.start(frames[0], labels[0].astype(int))
    segmenter.step(frames[1])
    corrected = segmenter.labels(segmenter.add(frames[2], labels[2].astype(int)))
    assert (corrected == labels[2]).all()
    assert segmenter.object_ids == (1,)


def test_memory_is_flat(segmenter):
    segmenter = _segmenter("stm-lite", memory_frames=4, memory_every=2)
    frames, labels = moving_shapes(7, frames=8, size=(32, 32))
    segmenter.start(frames[0], labels[0].astype(int))
    held = []
    for t in range(120):
        segmenter.step(frames[t % 8])
        held.append(sum(f.value.numel() + f.key.numel() for f in segmenter._bank.frames))
    assert max(held[20:]) == min(held[20:])
    assert len(segmenter._bank.frames) == 4


def test_more_objects_than_fit_at_once_give_the_same_answer(segmenter, monkeypatch):
    count = OBJECTS_AT_ONCE + 3
    mask = np.zeros((64, 96), int)
    for k in range(count):
        mask[8 * (k // 6) : 8 * (k // 6) + 7, 16 * (k % 6) : 16 * (k % 6) + 14] = k + 1
    frames, _ = moving_shapes(8, frames=3, size=(64, 96))
    answers = []
    for at_once in (OBJECTS_AT_ONCE, 100):
        monkeypatch.setattr("rotomask.segmenters.space_time.OBJECTS_AT_ONCE", at_once)
        segmenter.start(frames[0], mask)
        segmenter.step(frames[1])
        answers.append(segmenter.step(frames[2]))
    assert np.abs(answers[0] - answers[1]).max() < 1e-4


def test_processing_size_is_not_the_answers_size():
    segmenter = _segmenter("stm-lite", size=32)
    frames, labels = moving_shapes(9, frames=2, size=(96, 128))
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter._last.image.shape[2:] == (32, 48)
    assert segmenter.step(frames[1]).shape == (2, 96, 128)


def test_wrong_calls_are_named(segmenter):
    frames, labels = moving_shapes(10, frames=2)
    mask = labels[0].astype(int)
    with pytest.raises(RotomaskError, match="start"):
        segmenter.step(frames[0])
    with pytest.raises(MaskError, match="empty"):
        segmenter.start(frames[0], mask * 0)
    with pytest.raises(ShapeError, match="the mask is"):
        segmenter.start(frames[0], mask[1:])
    with pytest.raises(ShapeError, match="uint8"):
        segmenter.start(frames[0].astype(float), mask)
    with pytest.raises(ShapeError, match="integers"):
        segmenter.start(frames[0], mask.astype(float))
    with pytest.raises(ShapeError, match="ids >= 0"):
        segmenter.start(frames[0], -mask)
    segmenter.start(frames[0], mask)
    with pytest.raises(ShapeError, match="size"):
        segmenter.step(frames[1][2:])


def test_devices_and_precisions_are_checked():
    assert choose_runtime("cpu", "float32").precision == "float32"
    assert choose_runtime("cpu", "bfloat16").precision == "bfloat16"
    assert choose_runtime("cpu").device.type == "cpu"
    with pytest.raises(OptionError, match="unknown device"):
        choose_runtime("abacus")
    with pytest.raises(OptionError, match="unknown precision"):
        choose_runtime("cpu", "float8")
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="no cuda device"):
            choose_runtime("cuda")


def test_the_shipped_model_follows_a_shape_better_than_holding_still():
    frames, labels = moving_shapes(11, frames=10, size=(128, 160))
    segmenter = rotomask.load_model("stm-lite", device="cpu")
    segmenter.start(frames[0], labels[0].astype(int))
    overlaps = []
    for frame, truth in zip(frames[1:], labels[1:], strict=True):
        found = segmenter.labels(segmenter.step(frame)) > 0
        overlaps.append((found & (truth > 0)).sum() / (found | (truth > 0)).sum())
    still = ((labels[0] > 0) & (labels[-1] > 0)).sum() / ((labels[0] > 0) | (labels[-1] > 0)).sum()
    assert overlaps[-1] > still
    assert np.mean(overlaps) > 0.8


def test_every_model_of_the_catalogue_is_found_or_named():
    from rotomask.catalog import CATALOG, load_model, model_card, names

    with pytest.raises(OptionError, match="known models: stm-lite, stm"):
        load_model("cutie")
    for name in names("segmenter"):
        if CATALOG[name].weights is not None:
            assert load_model(name, device="cpu").object_ids == ()
            assert model_card(name)["config"]
        else:
            with pytest.raises(RotomaskError, match="--weights"):
                load_model(name)
