"""Convolutions that compute with 8-bit integers, as fake quantisation that a back end compiles.

The inputs of a layer are rounded to 256 levels of a stored range, its weights to 255 levels of each
output channel's own. PyTorch only simulates this, at float speed; OpenVINO reads it as an integer
convolution, which processors with VNNI compute three times as fast. Layers without a stored range
stay in float: those that see masks beside features of a much larger range, and the last one.
`tools/calibrate_int8.py` measures the ranges.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import WeightsError
from rotomask.networks.layers.convolution import Conv2d, activate

Ranges = Mapping[str, tuple[float, float]]
"""Name of a convolution -> smallest and largest input, with 0 between them."""

LEVELS = 256
SMALLEST_RANGE = 1e-3


class Int8Conv2d(nn.Module):
    """A convolution of 8-bit inputs and weights, simulated in float.

    Args:
        convolution: The layer in float.
        low: Smallest input; those below are raised to it.
        high: Largest input.
    """

    weight_steps: Tensor
    weight_zeros: Tensor

    def __init__(self, convolution: nn.Conv2d, low: float, high: float) -> None:
        super().__init__()
        self.convolution = convolution
        self.step = max(high - low, SMALLEST_RANGE) / (LEVELS - 1)
        # The integer that stands for 0.0: padding with zeros stays exact.
        self.zero = round(-low / self.step)
        # One step for each output channel, symmetric: its largest weight becomes 127.
        steps = convolution.weight.detach().abs().amax((1, 2, 3)) / (LEVELS / 2 - 1)
        self.register_buffer("weight_steps", steps.clamp(min=1e-12))
        self.register_buffer("weight_zeros", torch.zeros(len(steps), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C'×H/stride×W/stride."""
        layer = self.convolution
        x = torch.fake_quantize_per_tensor_affine(x, self.step, self.zero, 0, LEVELS - 1)
        weight = torch.fake_quantize_per_channel_affine(
            layer.weight, self.weight_steps, self.weight_zeros, 0, -LEVELS // 2, LEVELS // 2 - 1
        )
        y = F.conv2d(
            x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups
        )
        return activate(y, layer.activation) if isinstance(layer, Conv2d) else y


def quantised(network: nn.Module, ranges: Ranges) -> nn.Module:
    """A copy of a network whose convolutions with a range are `Int8Conv2d`.

    Raises:
        WeightsError: If a range is stored for a layer that is no convolution of the network.
    """
    network = copy.deepcopy(network)
    layers = dict(network.named_modules())
    for name, (low, high) in ranges.items():
        layer = layers.get(name)
        if not isinstance(layer, nn.Conv2d):
            raise WeightsError(f"{name}, which has a range for int8, is no convolution here")
        parent, _, attribute = name.rpartition(".")
        setattr(layers[parent], attribute, Int8Conv2d(layer, low, high))
    return network


def read_ranges(path: Path) -> dict[str, tuple[float, float]]:
    """Ranges in a file of `tools/calibrate_int8.py`.

    Raises:
        WeightsError: If the file is missing or damaged.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["ranges"]
        return {str(name): (float(low), float(high)) for name, (low, high) in stored.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"cannot read the ranges for int8 in {path}: {error}") from error
