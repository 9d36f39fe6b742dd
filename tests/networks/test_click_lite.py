"""click-lite: sizes, what depends on prompts, and the similarities against a slow version."""

import pytest
import torch
import torch.nn.functional as F

from rotomask.networks.click_lite import (
    NOT_SIMILAR,
    ClickLite,
    Modulation,
    prompt_similarity,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ClickLite().eval()


def test_it_is_small_enough(network):
    """At most 4 M parameters, of which those beside the shared encoder fit 4 MB as float16."""
    total = sum(p.numel() for p in network.parameters())
    encoder = sum(p.numel() for p in network.encoder.parameters())
    assert total <= 4_000_000
    assert 2 * (total - encoder) < 4_000_000


@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_shapes(network, size):
    images, maps = torch.rand(2, 3, *size), torch.zeros(2, 4, *size)
    with torch.no_grad():
        output = network(network.encode(images), maps)
    assert output.logits.shape == (2, *size)
    assert output.coarse.shape == (2, size[0] // 16, size[1] // 16)
    assert output.logits.dtype == torch.float32


def test_images_of_a_batch_do_not_mix(network):
    images, maps = torch.rand(2, 3, 64, 64), (torch.rand(2, 4, 64, 64) > 0.9).float()
    with torch.no_grad():
        both = network(network.encode(images), maps).logits
        alone = network(network.encode(images[1:]), maps[1:]).logits
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)


def test_a_modulation_of_one_and_zero_changes_nothing(network):
    images, maps = torch.rand(1, 3, 64, 64), (torch.rand(1, 4, 64, 64) > 0.9).float()
    shape = (1, network.fused_channels, 1, 1)
    with torch.no_grad():
        features = network.encode(images)
        plain = network(features, maps).logits
        unit = network(features, maps, Modulation(torch.ones(shape), torch.zeros(shape))).logits
        other = network(features, maps, Modulation(torch.zeros(shape), torch.zeros(shape))).logits
    torch.testing.assert_close(plain, unit)
    assert (plain - other).abs().max() > 1e-4


def test_similarities_agree_with_a_slow_version():
    torch.manual_seed(1)
    embedding = F.normalize(torch.randn(1, 8, 3, 4), dim=1)
    maps = torch.zeros(1, 4, 48, 64)
    maps[0, 0, 20, 37] = 1  # in cell (1, 2)
    maps[0, 0, 47, 0] = 1  # in cell (2, 0)
    maps[0, 3, 16:32, 16:48] = 0.5  # over cells (1, 1) and (1, 2)
    found = prompt_similarity(embedding, maps)[0]
    mean = F.normalize(embedding[0, :, 1, 1] + embedding[0, :, 1, 2], dim=0)
    for y in range(3):
        for x in range(4):
            here = embedding[0, :, y, x]
            nearest = max(float(here @ embedding[0, :, i, j]) for i, j in ((1, 2), (2, 0)))
            assert float(found[0, y, x]) == pytest.approx(nearest, abs=1e-5)
            assert float(found[1, y, x]) == NOT_SIMILAR
            assert float(found[2, y, x]) == pytest.approx(float(here @ mean), abs=1e-5)


def test_without_a_previous_mask_nothing_is_similar_to_it():
    embedding = F.normalize(torch.randn(1, 8, 3, 4), dim=1)
    assert not prompt_similarity(embedding, torch.zeros(1, 4, 48, 64))[0, 2].any()
