"""STM against the authors' own code: the same names, the same numbers."""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.networks.layers.aggregation import aggregate
from rotomask.networks.layers.memory import memory_read
from rotomask.networks.stm import STM, STMConfig, with_query_value
from tests.golden import fill, golden_shapes, golden_tensors

H, W = 90, 150
PADDING = (5, 5, 3, 3)  # of 150×90 to 160×96: left, right, top, bottom


class Run(NamedTuple):
    """Every tensor of the golden run."""

    key0: Tensor
    value0: Tensor
    query_key1: Tensor
    query_value1: Tensor
    readout1: Tensor
    logits1: Tensor
    prob1: Tensor
    prob2: Tensor


@pytest.fixture(scope="module")
def network() -> STM:
    network = STM()
    fill(network)
    return network


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return golden_tensors("stm_official_io.npz")


@pytest.fixture(scope="module")
def ours(network: STM, golden: dict[str, Tensor]) -> Run:
    """Memorise frame 0, segment and memorise frame 1, segment frame 2."""
    frames = [F.pad(golden[f"frame{t}"], PADDING) for t in range(3)]
    ids = torch.arange(1, 4)[:, None, None]
    masks0 = F.pad((golden["labels0"] == ids).float(), PADDING)
    with torch.inference_mode():
        key0, value0 = network.encode_value(frames[0], network.encode_frame(frames[0]), masks0)
        features1 = network.encode_frame(frames[1])
        read1 = read(features1.key, [key0], [value0])
        readout1 = with_query_value(read1[None], features1)[0]
        logits1 = network.decode_pair(read1[None], features1)[0]
        prob1 = merge(network.decode(read1, features1))
        key1, value1 = network.encode_value(frames[1], features1, F.pad(prob1[1:], PADDING))
        features2 = network.encode_frame(frames[2])
        read2 = read(features2.key, [key0, key1], [value0, value1])
        prob2 = merge(network.decode(read2, features2))
    return Run(key0, value0, features1.key, features1.value, readout1, logits1, prob1, prob2)


def read(query_key: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """O×Cv×h×w read from the memorised frames."""
    objects, _, h, w = values[0].shape
    key = torch.stack(keys, dim=2).flatten(2)
    value = torch.stack(values, dim=2).flatten(2)
    query = query_key.flatten(2).expand(objects, -1, -1)
    return torch.unflatten(memory_read(query, key, value), 2, (h, w))


def merge(logits: Tensor) -> Tensor:
    """Distribution over background and objects at the frame's own size."""
    left, _, top, _ = PADDING
    return aggregate(torch.sigmoid(logits))[:, top : top + H, left : left + W]


@pytest.mark.parametrize("name", Run._fields)
def test_equals_the_authors_network(name: str, ours: Run, golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(getattr(ours, name), golden[name], rtol=0, atol=1e-4)


def test_names_and_shapes_are_the_published_ones(network: STM) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes == golden_shapes("stm_keys.json")


def test_sigmoid_of_the_logit_is_the_softmax_of_the_pair(ours: Run, network: STM) -> None:
    foreground = torch.softmax(ours.logits1, dim=1)[:, 1]
    logit = ours.logits1[:, 1] - ours.logits1[:, 0]
    torch.testing.assert_close(torch.sigmoid(logit), foreground)


def test_batched_clips_equal_single_ones(network: STM) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 48, 64, generator=generator)
    masks = torch.rand(2, 3, 48, 64, generator=generator)
    with torch.inference_mode():
        features = network.encode_frame(images)
        keys, values = network.encode_value(images, features, masks)
        logits = network.decode(values, features)
        for b in range(2):
            one = network.encode_frame(images[b : b + 1])
            key, value = network.encode_value(images[b : b + 1], one, masks[b])
            torch.testing.assert_close(keys[b], key, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(values[b], value, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(logits[b], network.decode(value, one), rtol=1e-4, atol=1e-4)


def test_permuting_objects_permutes_memory(network: STM) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 48, 64, generator=generator)
    masks = torch.rand(3, 48, 64, generator=generator)
    order = [2, 0, 1]
    with torch.inference_mode():
        features = network.encode_frame(image)
        _, value = network.encode_value(image, features, masks)
        _, permuted = network.encode_value(image, features, masks[order])
    torch.testing.assert_close(permuted, value[order], rtol=1e-4, atol=1e-4)


def test_overlapping_others_count_once(network: STM) -> None:
    image = torch.zeros(1, 3, 32, 32)
    with torch.inference_mode():
        features = network.encode_frame(image)
        _, of_two = network.encode_value(image, features, torch.ones(2, 32, 32))
        _, of_three = network.encode_value(image, features, torch.ones(3, 32, 32))
    torch.testing.assert_close(of_three[0], of_two[0])


def test_config_sets_the_widths() -> None:
    with torch.device("meta"):
        network = STM(STMConfig(key_channels=32, value_channels=64, decoder_channels=16))
    assert network.KV_Q_r4.Key.out_channels == 32
    assert network.KV_M_r4.Value.out_channels == 64
    assert network.Decoder.pred2.in_channels == 16
