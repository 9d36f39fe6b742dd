"""`Conv2d` gives what PyTorch's layers give, in whichever way it is computed."""

import platform

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rotomask.networks.layers import convolution
from rotomask.networks.layers.convolution import Activation, Conv2d

ACTIVATIONS: dict[Activation | None, nn.Module] = {
    None: nn.Identity(),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
}


def of_pytorch(layer: Conv2d, x: Tensor) -> Tensor:
    y = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, 1, layer.groups)
    activated: Tensor = ACTIVATIONS[layer.activation](y)
    return activated


def assert_same(ours: Tensor, expected: Tensor) -> None:
    assert ours.dtype == expected.dtype
    tolerance = 1e-5 if ours.dtype == torch.float32 else 1e-2
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance * 10)


@settings(max_examples=60)
@given(
    channels=st.sampled_from([(1, 1, 1), (3, 8, 1), (16, 24, 1), (12, 12, 12)]),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    size=st.tuples(st.integers(0, 2), st.integers(5, 20), st.integers(5, 20)),
    activation=st.sampled_from(list(ACTIVATIONS)),
    is_bfloat16=st.booleans(),
    is_channels_last=st.booleans(),
)
def test_infers_what_pytorch_infers(
    channels: tuple[int, int, int],
    kernel: int,
    stride: int,
    padding: int,
    size: tuple[int, int, int],
    activation: Activation | None,
    is_bfloat16: bool,
    is_channels_last: bool,
) -> None:
    torch.manual_seed(0)
    c_in, c_out, groups = channels
    layer = Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, activation=activation)
    layer.eval()
    batch, height, width = size
    x = 5 * torch.randn(batch, c_in, height, width)
    if is_channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, is_bfloat16):
        assert_same(layer(x), of_pytorch(layer, x))


@pytest.fixture
def layer() -> Conv2d:
    torch.manual_seed(0)
    return Conv2d(4, 6, 3, 1, 1, activation="relu6").eval()


X = torch.randn(1, 4, 9, 7, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_operator_is_used_here(layer: Conv2d) -> None:
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    assert (layer._onednn_type(X) == torch.float32) == is_x86


def test_gradients_are_those_of_pytorch(layer: Conv2d) -> None:
    layer.train()
    layer(X).sum().backward()
    assert layer.weight.grad is not None
    ours = layer.weight.grad.clone()
    layer.weight.grad = None
    of_pytorch(layer, X).sum().backward()
    torch.testing.assert_close(ours, layer.weight.grad)


@torch.no_grad()
def test_another_activation_and_padding_for_one_call(layer: Conv2d) -> None:
    expected = F.conv2d(X, layer.weight, layer.bias, 1, (0, 1))
    assert_same(layer.convolve(X, None, (0, 1)), expected)
    assert_same(layer.convolve(X, "relu", (0, 1)), expected.relu())


@pytest.mark.filterwarnings("ignore:.*jit.trace:DeprecationWarning")
@torch.no_grad()
def test_a_traced_layer_takes_any_size(layer: Conv2d) -> None:
    traced = torch.jit.trace(layer, (X,))
    assert "mkldnn" not in str(traced.graph)
    larger = torch.randn(1, 4, 20, 30)
    assert_same(traced(larger), layer(larger))


@torch.no_grad()
def test_without_the_operator_the_layer_is_pytorchs(
    layer: Conv2d, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = layer(X)
    monkeypatch.setattr(convolution, "_has_onednn", lambda: False)
    assert layer._onednn_type(X) is None
    assert_same(layer(X), ours)
