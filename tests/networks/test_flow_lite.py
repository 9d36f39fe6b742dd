"""Matching and the parts of the flow network, against slow loops and known motions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rotomask.errors import OptionError, WeightsError
from rotomask.networks.flow_lite import (
    FlowLite,
    FlowLiteConfig,
    FlowUpdate,
    InitialFlow,
    bilinear_weights,
    unit_features,
    warp,
)
from rotomask.networks.layers.local_correlation import displacements, local_correlation


def test_correlation_is_the_product_with_every_neighbour():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn((2, 2, 3, 5, 6), generator=generator)
    matched = local_correlation(first, second, 2)
    assert matched.shape == (2, 25, 5, 6)
    for k, (dx, dy) in enumerate(displacements(2).int().tolist()):
        for y in range(5):
            for x in range(6):
                inside = 0 <= y + dy < 5 and 0 <= x + dx < 6
                other = second[:, :, y + dy, x + dx] if inside else torch.zeros(2, 3)
                expected = (first[:, :, y, x] * other).sum(1)
                torch.testing.assert_close(matched[:, k, y, x], expected)


def test_gradients_of_correlation_are_those_of_differences():
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn((2, 1, 2, 4, 3), generator=generator, dtype=torch.float64)
    first.requires_grad_()
    second.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: local_correlation(a, b, 1), (first, second))


def test_warping_takes_what_is_at_the_flow():
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    flow = torch.zeros((1, 2, 4, 5))
    flow[:, 0], flow[:, 1] = 1.5, 1
    moved = warp(x, flow)
    torch.testing.assert_close(moved[0, 0, :3, :3], x[0, 0, 1:, 1:4] + 0.5)
    assert (moved[0, 0, 3] == 0).all(), "below the border there is nothing"


def test_an_untrained_update_goes_where_the_features_are_alike():
    features = unit_features(
        torch.randn((1, 16, 12, 12), generator=torch.Generator().manual_seed(2))
    )
    update = FlowUpdate(3, 4, 8, trust=0.999)
    torch.nn.init.constant_(update.sharpness, 1.0)
    moved = torch.roll(features, (2, -1), (2, 3))  # down by 2, to the left by 1
    with torch.no_grad():
        _, change = update(
            features, moved, torch.zeros((1, 4, 12, 12)), torch.zeros((1, 2, 12, 12))
        )
    inner = change[0, :, 3:-3, 3:-3]
    assert (inner[0] + 1).abs().max() < 0.02
    assert (inner[1] - 2).abs().max() < 0.02


def test_upsampling_begins_as_bilinear_interpolation():
    weights = bilinear_weights()
    torch.testing.assert_close(weights.sum(0), torch.ones(16))
    network = FlowLite().eval()
    flow = torch.randn((1, 2, 6, 7), generator=torch.Generator().manual_seed(3))
    hidden = torch.zeros((1, 32, 6, 7))
    with torch.no_grad():
        fine = network.upsample(flow, hidden, torch.zeros((1, 64, 6, 7)))
    expected = 4 * F.interpolate(flow, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(fine, expected, atol=0.1, rtol=0.02)


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_the_network_gives_flow_of_the_size_of_the_image_at_every_level(size):
    network = FlowLite().eval()
    first, second = torch.rand((2, 2, 3, *size), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        levels = network.levels(first, second)
    shapes = [tuple(flow.shape) for flow in levels]
    assert shapes == [(2, 2, size[0] // s, size[1] // s) for s in (32, 16, 8, 4, 1)]
    assert all(flow.isfinite().all() for flow in levels)


def test_a_start_is_where_the_fine_levels_go_on():
    network = FlowLite().eval()
    images = torch.rand((2, 1, 3, 64, 64), generator=torch.Generator().manual_seed(5))
    given = torch.full((1, 2, 64, 64), 300.0)  # beyond any window: nothing there is alike
    with torch.no_grad():
        started = network.levels(images[0], images[1], InitialFlow(given))
        part = network.levels(images[0], images[1], InitialFlow(given, torch.ones(1)))
        alone = network.levels(images[0], images[1], InitialFlow(given, torch.zeros(1)))
        without = network.levels(images[0], images[1])
    assert len(started) == 3
    assert len(part) == len(alone) == 5
    assert (started[-1] - 300).abs().max() < 60
    torch.testing.assert_close(started[-1], part[-1])
    torch.testing.assert_close(alone[-1], without[-1])


def test_it_is_small():
    assert sum(p.numel() for p in FlowLite().parameters()) <= 1_000_000
    with pytest.raises(OptionError, match="must be at least 1"):
        FlowLiteConfig(radius=0)


def test_still_pictures_of_one_colour_give_no_numbers_that_are_none():
    image = torch.full((1, 3, 64, 64), 0.5)
    with torch.no_grad():
        assert FlowLite()(image, image).isfinite().all()


def test_weights_of_another_network_are_refused():
    from rotomask.catalog import load_network, shipped_weights

    with pytest.raises(WeightsError, match="checkpoint of embedding, not of flow-lite"):
        load_network("flow-lite", shipped_weights("embedding"))


def test_standardised_features_do_not_depend_on_light():
    from rotomask.networks.flow_lite import standardise

    x = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(standardise(3 * x + 2), standardise(x), atol=2e-3, rtol=0)
    assert np.isclose(standardise(x).std(correction=0).item(), 1, atol=1e-2)
