"""RGMP against the authors' own code: the same names, the same numbers."""

import pytest
import torch
from torch import Tensor

from rotomask.networks.rgmp import RGMP
from tests.golden import fill, golden_shapes, golden_tensors


@pytest.fixture(scope="module")
def network() -> RGMP:
    network = RGMP()
    fill(network)
    return network


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return golden_tensors("rgmp_official_io.npz")


@pytest.fixture(scope="module")
def ours(network: RGMP, golden: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.inference_mode():
        reference = network.encode(golden["frame0"], golden["mask0"]).stride32
        target = network.encode(golden["frame1"], golden["guidance1"])
        matched = network.match(target, reference)
        pyramid = network.decode_pyramid(target, matched)
        probability = torch.sigmoid(network.decode(target, matched))
    return {
        "ref_r5": reference,
        "prob1": probability,
        "p2": pyramid.stride4,
        "p5": pyramid.stride32,
    }


@pytest.mark.parametrize("name", ["ref_r5", "prob1", "p2", "p5"])
def test_equals_the_authors_network(
    name: str, ours: dict[str, Tensor], golden: dict[str, Tensor]
) -> None:
    torch.testing.assert_close(ours[name], golden[name], rtol=0, atol=1e-4)


def test_names_and_shapes_are_the_published_ones(network: RGMP) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes == golden_shapes("rgmp_keys.json")


def test_objects_are_a_batch(network: RGMP) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 96, generator=generator)
    masks = torch.rand(2, 64, 96, generator=generator)
    with torch.inference_mode():
        both = network.encode(image, masks)
        logits = network.decode(both, network.match(both, both.coarsest))
        assert logits.shape == (2, 64, 96)
        for o in range(2):
            one = network.encode(image, masks[o : o + 1])
            alone = network.decode(one, network.match(one, one.coarsest))
            torch.testing.assert_close(logits[o : o + 1], alone, rtol=1e-4, atol=1e-4)


def test_pyramid_halves_its_size(network: RGMP) -> None:
    with torch.inference_mode():
        features = network.encode(torch.zeros(1, 3, 64, 96), torch.zeros(1, 64, 96))
        pyramid = network.decode_pyramid(features, network.match(features, features.coarsest))
    assert [tuple(p.shape[-2:]) for p in pyramid] == [(16, 24), (8, 12), (4, 6), (2, 3)]
