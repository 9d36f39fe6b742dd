"""Images as bytes and as floats are the same to a network."""

import numpy as np
import pytest
import torch

from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.layers.pixels import unit_floats
from rotomask.networks.layers.resnet import ResNet50


@pytest.fixture
def image() -> torch.Tensor:
    """Every value of a byte, 1×3×16×16."""
    values = np.random.default_rng(0).permuted(
        np.tile(np.arange(256, dtype=np.uint8), (3, 1)), axis=1
    )
    return torch.from_numpy(values.reshape(1, 3, 16, 16))


def test_bytes_become_floats_and_floats_stay(image: torch.Tensor):
    floats = unit_floats(image)
    assert floats.dtype == torch.float32
    np.testing.assert_array_equal(floats.numpy(), image.numpy().astype(np.float32) / 255)
    assert unit_floats(floats) is floats


def test_light_networks_see_the_same_in_bytes_to_the_bit_of_bfloat16(image: torch.Tensor):
    of_bytes = EfficientNetLite0.normalize(image)
    of_floats = EfficientNetLite0.normalize(unit_floats(image))
    np.testing.assert_array_equal(of_bytes.numpy(), (image.numpy().astype(np.float64) - 127) / 128)
    assert torch.equal(of_bytes.bfloat16(), of_floats.bfloat16())
    torch.testing.assert_close(of_bytes, of_floats, rtol=0, atol=1e-6)


def test_published_networks_see_the_same_in_bytes(image: torch.Tensor):
    network = ResNet50(2)
    assert torch.equal(network.normalize(image), network.normalize(unit_floats(image)))
