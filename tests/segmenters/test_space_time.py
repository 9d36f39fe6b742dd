"""What is particular to the segmenter of space-time memory networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rotomask.catalog import segmenter_role
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.jobs.loading import load_model
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.segmenters.memory_values import OBJECTS_AT_ONCE
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig
from tests.segmenters.sizes import answer_of_size


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


@pytest.mark.parametrize("size", [(16, 16), (7, 9), (1, 40), (33, 18)])
def test_any_size(segmenter, size):
    assert answer_of_size(segmenter, size).shape == (2, *size)


def test_permuted_objects_permute_the_answer(segmenter):
    frames, labels = moving_shapes(2, frames=3, objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    segmenter.step(frames[1])
    straight = segmenter.step(frames[2])
    segmenter.start(frames[0], np.array([0, 2, 1])[labels[0]])
    segmenter.step(frames[1])
    swapped = segmenter.step(frames[2])
    assert np.abs(straight[[0, 2, 1]] - swapped).max() < 1e-4


def test_a_published_network_remembers_every_fifth_frame_of_the_whole_video():
    role = segmenter_role("stm")
    torch.manual_seed(0)
    network = STM(STMConfig(key_channels=8, value_channels=16, decoder_channels=16))
    config = replace(role.config, enlarge=False)
    segmenter = SpaceTimeSegmenter(network, config, choose_runtime("cpu", "float32"))
    frames, labels = moving_shapes(7, frames=8, size=(32, 32))
    segmenter.start(frames[0], labels[0].astype(int))
    for t in range(1, 42):
        segmenter.step(frames[t % 8])
    assert [frame.index for frame in segmenter._bank.frames] == list(range(0, 41, 5))
    assert segmenter._bank.previous is None or segmenter._bank.previous.index == 40


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
        monkeypatch.setattr("rotomask.segmenters.memory_values.OBJECTS_AT_ONCE", at_once)
        segmenter.start(frames[0], mask)
        segmenter.step(frames[1])
        answers.append(segmenter.step(frames[2]))
    assert np.abs(answers[0] - answers[1]).max() < 1e-4


def test_memory_is_bounded_in_the_number_of_objects(monkeypatch):
    monkeypatch.setattr("rotomask.segmenters.space_time.MEMORY_OBJECTS", 60)
    segmenter = _segmenter("stm-lite", memory_frames=6, memory_every=1)
    frames, _ = moving_shapes(8, frames=5, size=(32, 32))
    cells = np.arange(64).reshape(8, 8).repeat(4, 0).repeat(4, 1)  # 32×32
    for count, remembered, dtype in ((8, 5, torch.float32), (20, 3, torch.float16)):
        segmenter.start(frames[0], np.where(cells < count, cells + 1, 0))
        for frame in frames[1:]:
            probabilities = segmenter.step(frame)
        segmenter.step(frames[0])
        assert probabilities.shape == (count + 1, 32, 32)
        assert len(segmenter._bank.frames) == remembered
        assert segmenter._bank.frames[-1].value.dtype == segmenter._last.masks.dtype == dtype


def test_a_part_that_only_a_reference_elsewhere_shows_is_found():
    rng = np.random.default_rng(3)
    ground = rng.integers(90, 130, (128, 160, 3), dtype=np.uint8)

    def frame(left: int, *, has_middle: bool) -> tuple[np.ndarray, np.ndarray]:
        image, mask = ground.copy(), np.zeros((128, 160), int)
        parts = [((20, 110), (left + x, left + x + 24), (200, 30, 30)) for x in (0, 66)]
        if has_middle:  # of a colour that is nearly that of the ground
            parts.append(((50, 80), (left + 30, left + 60), (120, 160, 120)))
        for rows, columns, colour in parts:
            image[slice(*rows), slice(*columns)] = colour
            mask[slice(*rows), slice(*columns)] = 1
        return image, mask

    start, elsewhere = frame(4, has_middle=False), frame(8, has_middle=True)
    image, truth = frame(6, has_middle=True)
    middle = (truth == 1) & (frame(6, has_middle=False)[1] == 0)
    segmenter = load_model(device="cpu", precision="float32")
    shares = []
    for references in ([], [elsewhere]):
        segmenter.start(*start)
        for reference in references:
            segmenter.add_reference(*reference)
        found = segmenter.labels(segmenter.step(image)) == 1
        shares.append((found & middle).sum() / middle.sum())
    assert shares[0] < 0.3 < 0.9 < shares[1], shares


def test_references_from_elsewhere_are_never_dropped():
    segmenter = _segmenter("stm-lite", memory_frames=3, memory_every=1)
    frames, labels = moving_shapes(7, frames=8, size=(32, 32))
    masks = [mask.astype(int) for mask in labels]
    segmenter.start(frames[0], masks[0])
    for index in (3, 5):
        segmenter.add_reference(frames[index], masks[index])
    for frame in frames[1:]:
        segmenter.step(frame)
    assert len(segmenter._bank.elsewhere) == 2
    assert len(segmenter._bank.frames) == 3


def test_references_from_elsewhere_share_the_room_of_many_objects(monkeypatch):
    monkeypatch.setattr("rotomask.segmenters.space_time.MEMORY_OBJECTS", 8)
    segmenter = _segmenter("stm-lite", memory_frames=6, memory_every=1)
    frames, labels = moving_shapes(7, frames=8, size=(32, 32), objects=2)
    masks = [mask.astype(int) for mask in labels]
    segmenter.start(frames[0], masks[0])  # two objects: four frames in all
    for index in (3, 5, 6, 7):
        segmenter.add_reference(frames[index], masks[index])
    for frame in frames[1:]:
        segmenter.step(frame)
    assert len(segmenter._bank.elsewhere) == len(segmenter._bank.frames) == 2


def test_processing_size_is_not_the_answers_size():
    segmenter = _segmenter("stm-lite", size=32)
    frames, labels = moving_shapes(9, frames=2, size=(96, 128))
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter._last.image.shape[2:] == (32, 48)
    assert segmenter.step(frames[1]).shape == (2, 96, 128)


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
