"""OSVOS against the authors' own code: the same names, the same numbers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.networks.osvos import MEAN_BGR, OSVOS, SLIM, Upscale, center_crop, preprocess
from tests.golden import fill, golden_shapes, golden_tensors


@pytest.fixture(scope="module")
def network() -> OSVOS:
    network = OSVOS()
    fill(network)
    return network


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return golden_tensors("osvos_official_io.npz")


@pytest.fixture(scope="module")
def ours(network: OSVOS, golden: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.inference_mode():
        logits = network(golden["image"])
    return {"fused": logits.fused} | {f"side{i}": side for i, side in enumerate(logits.sides)}


@pytest.mark.parametrize("name", ["side0", "side1", "side2", "side3", "fused"])
def test_equals_the_authors_network(
    name: str, ours: dict[str, Tensor], golden: dict[str, Tensor]
) -> None:
    tolerance = 1e-4 * golden[name].abs().max().item()
    torch.testing.assert_close(ours[name], golden[name], rtol=0, atol=tolerance)


def test_names_and_shapes_are_the_published_ones(network: OSVOS) -> None:
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert shapes == golden_shapes("osvos_keys.json")


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_upscale_starts_as_bilinear_interpolation(stride: int) -> None:
    x = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    upscale = Upscale(3, stride)
    height, width = 6 * stride, 5 * stride
    ours = center_crop(upscale(x), height, width)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inner = (..., slice(stride, -stride), slice(stride, -stride))  # borders mix with zeros
    torch.testing.assert_close(ours[inner], expected[inner])
    assert not upscale.weight.requires_grad


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (33, 47), (50, 17)])
def test_any_size_goes_in_and_comes_out(network: OSVOS, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, *size))
    assert {tuple(x.shape) for x in (logits.fused, *logits.sides)} == {(1, 1, *size)}


def test_preprocess_takes_rgb_to_centred_bgr() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    expected = torch.tensor([0.0, 0, 255]) - torch.tensor(MEAN_BGR)
    torch.testing.assert_close(preprocess(red).flatten(), expected)


def test_fine_tuning_reaches_all_but_the_upsampling() -> None:
    network = OSVOS()
    logits = network(torch.rand(1, 3, 32, 32))
    (logits.fused.sum() + torch.stack(logits.sides).sum()).backward()
    without = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert without == {"upscale", "upscale_"}


def test_the_slim_form_has_sides_one_channel_deep_and_no_outputs_of_theirs(golden):
    torch.manual_seed(0)
    slim = OSVOS(SLIM)
    shapes = {name: tuple(value.shape) for name, value in slim.named_parameters()}
    assert shapes["side_prep.0.weight"] == (1, 128, 1, 1)
    assert shapes["fuse.weight"] == (1, 4, 1, 1)
    assert not any("dsn" in name for name in shapes)
    with torch.inference_mode():
        logits = slim(golden["image"])
    assert logits.fused.shape == golden["fused"].shape
    assert logits.sides == ()


def test_the_slim_form_begins_with_the_sum_of_its_sides() -> None:
    slim = OSVOS(SLIM)
    with torch.inference_mode():
        logits = slim(preprocess(torch.rand(1, 3, 64, 64))).fused
    assert slim.fuse.weight.flatten().tolist() == [1.0] * 4
    assert logits.abs().max() < 2  # no side is sure before it learned
