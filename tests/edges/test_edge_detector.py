"""edges-lite: flow that adds nothing at first, frames of any size, errors."""

import numpy as np
import pytest
import torch

from rotomask.catalog import load_edge_detector, names, shipped_weights
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.errors import OptionError, ShapeError
from rotomask.networks.hepspnet import EdgeConfig, HEPSPNet

SMALL = EdgeConfig(decoder_channels=(16, 12, 8), flow=True)


def test_flow_adds_nothing_until_it_is_trained():
    torch.manual_seed(0)
    network = HEPSPNet(SMALL).eval()
    image, flow = torch.rand(1, 3, 64, 96), torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        plain, moving = network(image), network(image, flow)
        torch.testing.assert_close(plain.fused, moving.fused)
        assert network.flow_encoder is not None
        for parameter in network.flow_encoder.join[0].parameters():
            parameter.fill_(0.1)
        changed = network(image, flow)
    assert not torch.allclose(plain.fused, changed.fused)


def test_gradients_reach_the_flow_from_the_first_step():
    network = HEPSPNet(SMALL)
    network(torch.rand(1, 3, 32, 32), torch.randn(1, 3, 32, 32)).fused.sum().backward()
    assert network.flow_encoder is not None
    gradients = [parameter.grad for parameter in network.flow_encoder.join.parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_the_fusion_begins_as_the_mean_of_the_sides():
    network = HEPSPNet(SMALL).eval()
    with torch.inference_mode():
        assert network.fuse.bias is not None
        network.fuse.bias.zero_()
        logits = network(torch.rand(1, 3, 48, 64))
    assert [side.shape for side in logits.sides] == [(1, 1, 48, 64)] * 3
    torch.testing.assert_close(logits.fused, torch.stack(logits.sides).mean(0))


@pytest.mark.parametrize("size", [(50, 70), (96, 64), (17, 200)])
def test_maps_have_the_frames_size(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    detector = EdgeDetector(HEPSPNet(SMALL), size=48)
    found = detector.detect(frame, np.ones((*size, 2), np.float32))
    for values in found:
        assert values.shape == size
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1


def test_a_flow_of_another_size_is_refused():
    frame = np.zeros((32, 48, 3), np.uint8)
    with pytest.raises(ShapeError, match="frame's size"):
        EdgeDetector(HEPSPNet(SMALL)).detect(frame, np.zeros((32, 40, 2), np.float32))


def test_names_that_are_unknown_or_of_another_kind_are_refused():
    with pytest.raises(OptionError, match="known edge detectors: edges-lite"):
        load_edge_detector("edges")
    with pytest.raises(OptionError, match="known edge detectors: edges-lite, edges-flow-lite"):
        load_edge_detector("stm-lite")


@pytest.mark.parametrize("name", names("edges"))
def test_shipped_weights_are_small(name):
    weights = shipped_weights(name)
    assert weights is not None
    assert weights.stat().st_size < 4_000_000
