"""rgmp-lite: what its parts promise, and that the shape of the network is the config's."""

from typing import Any

import pytest
import torch

from rotomask.errors import OptionError
from rotomask.networks.layers.conv_gru import ConvGRU
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from tests.golden import filled_state

SMALL: dict[str, Any] = {"match_channels": 16, "decoder_channels": (16, 16, 8)}
SHAPES: list[dict[str, Any]] = [
    {"coarsest": coarsest, "mask_stride": stride, "refine_channels": width}
    for coarsest, stride, width in ((16, 1, 0), (16, 4, 16), (32, 1, 16), (32, 4, 0))
]


def _network(**config) -> RGMPLite:
    torch.manual_seed(0)
    return RGMPLite(RGMPLiteConfig(**SMALL | config)).eval()


def _filled(**config) -> RGMPLite:
    network = _network(**config)
    network.load_state_dict(filled_state(network.state_dict()))
    return network


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks() -> torch.Tensor:
    return torch.rand(2, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", SHAPES, ids=str)
def test_features_and_side_predictions_halve_their_size(config, image, masks):
    network = _filled(**config)
    with torch.inference_mode():
        features = network.encode(image, masks)
        logits = network.side_logits(features, network.match(features, features.coarsest))
        full = network.decode(features, network.match(features, features.coarsest))
    assert features.stride4.shape == (2, 24, 16, 24)
    assert features.stride8.shape == (2, 40, 8, 12)
    assert features.stride16.shape == (2, 112, 4, 6)
    side = (2, 3) if config["coarsest"] == 32 else (4, 6)
    assert tuple(features.coarsest.shape[-2:]) == side
    assert [tuple(x.shape[-2:]) for x in logits] == [(16, 24), (8, 12), (4, 6), side]
    assert full.shape == (2, 64, 96)
    assert full.dtype == torch.float32


@pytest.mark.parametrize("config", SHAPES, ids=str)
def test_starts_as_the_encoder_without_mask(config, image, masks):
    """The filters of the added channel are zero at first: any mask, the backbone's features."""
    network = _network(**config)
    backbone = EfficientNetLite0(with_stride32=config["coarsest"] == 32)
    backbone.load_state_dict(network.encoder.state_dict())
    with torch.inference_mode():
        features = network.encode(image, masks)
        expected = backbone(image)
    for ours, theirs in zip(features[:3], expected, strict=True):
        torch.testing.assert_close(ours, theirs.expand_as(ours), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", SHAPES, ids=str)
def test_sees_the_mask_once_its_filters_have_learnt(config, image, masks):
    network = _filled(**config)
    torch.nn.init.zeros_(network.mask_filters.weight)
    features = network.encode(image, masks)
    torch.stack([x.pow(2).sum() for x in features]).sum().backward()
    assert network.mask_filters.weight.grad is not None
    assert network.mask_filters.weight.grad.abs().max() > 0
    with torch.no_grad():
        network.mask_filters.weight.normal_(0, 0.1)
        seen = network.encode(image, masks)
    assert (seen.coarsest[0] - seen.coarsest[1]).abs().max() > 1e-3


def test_objects_are_a_batch(image, masks):
    network = _filled()
    with torch.inference_mode():
        both = network.encode(image, masks)
        logits = network.decode(both, network.match(both, both.coarsest))
        for o in range(2):
            one = network.encode(image, masks[o : o + 1])
            alone = network.decode(one, network.match(one, one.coarsest))
            torch.testing.assert_close(logits[o : o + 1], alone, rtol=1e-3, atol=1e-3)


def test_with_the_mask_at_stride_4_a_frame_is_seen_once_for_all_objects(image, masks):
    network = _filled()
    with torch.inference_mode():
        seen = network.encode_image(image)
        assert seen.shape == (1, 24, 16, 24)
        together = network.encode_masks(seen, masks)
        torch.testing.assert_close(together.coarsest, network.encode(image, masks).coarsest)


def test_the_match_depends_on_both_streams(image, masks):
    network = _filled()
    with torch.inference_mode():
        features = network.encode(image, masks[:1])
        other = network.encode(image.flip(-1), masks[1:])
        usual = network.match(features, features.coarsest)
        assert (usual - network.match(features, other.coarsest)).abs().max() > 1e-3
        assert (usual - network.match(other, features.coarsest)).abs().max() > 1e-3


def test_there_is_no_batch_norm():
    layers = [m for m in RGMPLite().modules() if "Norm" in type(m).__name__]
    assert not layers


def test_the_visual_memory_is_the_configs(image, masks):
    plain, recurrent = _filled(), _filled(visual_memory=True)
    assert not plain.has_memory
    assert recurrent.has_memory
    with torch.inference_mode():
        features = plain.encode(image, masks)
        state = torch.ones(2, 16, 2, 3)
        first = plain.match(features, features.coarsest)
        assert torch.equal(first, plain.match(features, features.coarsest, state))
        fresh = recurrent.match(features, features.coarsest)
        assert (fresh - recurrent.match(features, features.coarsest, state)).abs().max() > 1e-3
        zeros = torch.zeros_like(state)
        torch.testing.assert_close(fresh, recurrent.match(features, features.coarsest, zeros))


def test_the_gated_unit_is_the_equations():
    """Ballas et al. 2015 written out for one pixel, where a 3×3 filter is its middle."""
    unit = ConvGRU(2)
    unit.load_state_dict(filled_state(unit.state_dict()))
    x, h = torch.randn(1, 2, 1, 1), torch.randn(1, 2, 1, 1)
    with torch.inference_mode():
        new = unit(x, h).flatten()

    def middle(conv: torch.nn.Conv2d, inputs: torch.Tensor) -> torch.Tensor:
        assert conv.bias is not None
        return conv.weight[:, :, 1, 1] @ inputs + conv.bias

    x, h = x.flatten(), h.flatten()
    z, r = torch.sigmoid(middle(unit.gates, torch.cat([x, h]))).chunk(2)
    candidate = torch.tanh(middle(unit.candidate, torch.cat([x, r * h])))
    torch.testing.assert_close(new, (1 - z) * h + z * candidate)


@pytest.mark.parametrize("config", [{"mask_stride": 2}, {"coarsest": 8}])
def test_impossible_shapes_are_named(config):
    with pytest.raises(OptionError, match="mask_stride must be 1 or 4"):
        RGMPLiteConfig(**config)
