"""Convolutions with their activation, computed in one pass in inference on a CPU.

oneDNN, by which PyTorch convolves on x86 processors, can apply an activation while the result is
still in the cache. PyTorch's layers write the result and read it again to clamp it. `torch.compile`
does better by the operator that is called here, but compiling takes longer than many a job.
"""

import functools
import platform
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "relu6"]

# Activation -> oneDNN's name of it, and its arguments.
_ONEDNN: dict[Activation | None, tuple[str, list[float]]] = {
    None: ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


class Conv2d(nn.Conv2d):
    """A convolution and its activation; parameters are those of `torch.nn.Conv2d`.

    Without gradients and on a CPU, oneDNN computes both in one pass.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the filters, px.
        stride: Step of the filters, px.
        padding: Zeros added at each side, px.
        groups: Number of groups of channels that are convolved apart.
        activation: Applied to the output; None: nothing is.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, groups=groups)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C'×H/stride×W/stride, activated."""
        return self.convolve(x, self.activation)

    def convolve(
        self, x: Tensor, activation: Activation | None, padding: tuple[int, int] | None = None
    ) -> Tensor:
        """As the layer, with another activation or other padding.

        Args:
            x: B×C×H×W.
            activation: Applied to the output in place of the layer's own.
            padding: Zeros added above and below, and to the left and right, px; None: the layer's.
        """
        height, width = (int(side) for side in self.padding) if padding is None else padding
        dtype = self._onednn_type(x)
        if dtype is None:
            border = (height, width)
            y = F.conv2d(x, self.weight, self.bias, self.stride, border, 1, self.groups)
            return activate(y, activation)
        fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(dtype),
            self.weight.to(dtype),
            None if self.bias is None else self.bias.to(dtype),
            [height, width],
            list(self.stride),
            [1, 1],
            self.groups,
            *_ONEDNN[activation],
            "",
        )
        return fused

    def _onednn_type(self, x: Tensor) -> torch.dtype | None:
        """Type in which oneDNN computes the layer; None if PyTorch's own layer does."""
        if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[attr-defined,no-untyped-call]
            return None
        if torch.is_grad_enabled() or x.device.type != "cpu" or not x.numel():
            return None
        if not _has_onednn() or not torch.backends.mkldnn.enabled:
            return None
        dtype = x.dtype
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
        if dtype == torch.bfloat16:
            return dtype if _has_onednn_bfloat16() else None
        return dtype if dtype == self.weight.dtype == torch.float32 else None


def activate(x: Tensor, activation: Activation | None) -> Tensor:
    """An activation, applied in place."""
    if activation is None:
        return x
    return F.relu(x, inplace=True) if activation == "relu" else F.relu6(x, inplace=True)


@functools.cache
def _has_onednn() -> bool:
    """True if PyTorch has the operator, on a processor for which it is tested."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    has_operator = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    return is_x86 and torch.backends.mkldnn.is_available() and has_operator


@functools.cache
def _has_onednn_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
