"""ResNet-50 features, with the parameter names of the published STM and RGMP networks.

He et al. 2016, with each stage's stride on its first 3×3 convolution. STM and RGMP name the stages
res2 to res5 and store ImageNet's mean and standard deviation as buffers. This module does the same,
so that their checkpoints load.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.pixels import unit_floats
from rotomask.networks.layers.pretrained import PretrainedEncoder

# For each stage, res2 first: width inside the blocks, number of blocks, stride.
RESNET50_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EXPANSION = 4

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ResNet50(PretrainedEncoder):
    """ResNet-50 without the classifier; returns the features of each stage.

    A method's encoder is a subclass: it adds the convolution of its other inputs, such as a mask,
    to the output of `conv1`, and passes the sum to `stages`.

    Args:
        last_stage: 4 (features down to stride 16) or 5 (down to stride 32).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, last_stage: int = 4) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        c_in = 64
        for number, (width, count, stride) in enumerate(RESNET50_STAGES[: last_stage - 1], start=2):
            # Only the first block of a stage has its stride and projects its input.
            blocks = [Bottleneck(c_in, width, stride)]
            c_in = width * EXPANSION
            blocks += [Bottleneck(c_in, width) for _ in range(count - 1)]
            self.add_module(f"res{number}", nn.Sequential(*blocks))
        self.last_stage = last_stage

    def normalize(self, image: Tensor) -> Tensor:
        """RGB images B×3×H×W, normalised by ImageNet's mean and standard deviation.

        Args:
            image: uint8, or float 0..1.
        """
        return (unit_floats(image) - self.mean) / self.std

    def early_stages(self, count: int) -> list[nn.Module]:
        """None: the published networks train all stages."""
        return []

    def stages(self, x: Tensor) -> list[Tensor]:
        """Features of every stage, finest first.

        Args:
            x: Output of the first convolution, B×64×H/2×W/2.

        Returns:
            B×256×H/4×W/4, B×512×H/8×W/8, B×1024×H/16×W/16 and, with `last_stage` 5,
            B×2048×H/32×W/32.
        """
        x = F.max_pool2d(F.relu(self.bn1(x)), 3, stride=2, padding=1)
        features = []
        for number in range(2, self.last_stage + 1):
            x = self.get_submodule(f"res{number}")(x)
            features.append(x)
        return features


class Bottleneck(nn.Module):
    """A bottleneck block: 1×1 reduction, 3×3 convolution, 1×1 expansion, residual connection."""

    def __init__(self, c_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        c_out = width * EXPANSION
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample: nn.Module | None = None
        if c_in != c_out or stride != 1:  # the input needs the shape of the output for the sum
            projection = nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C'×H/stride×W/stride."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class HiddenLayer(NamedTuple):
    """A convolution, the ReLU behind it, and the convolution that reads the result."""

    writes: nn.Conv2d
    reads: nn.Conv2d
    offset: int = 0
    """First of the input channels of `reads` that are channels of `writes`."""


class ResidualBlock(nn.Module):
    """Pre-activation block: twice ReLU and 3×3 convolution, no norm (Oh et al. 2018, sec. 3.1).

    Args:
        channels: Channels of input and output.
        hidden: Channels between the convolutions; None: as many.
    """

    def __init__(self, channels: int, hidden: int | None = None) -> None:
        super().__init__()
        self.conv1 = Conv2d(channels, hidden or channels, 3, padding=1, activation="relu")
        self.conv2 = Conv2d(hidden or channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C×H×W."""
        residual: Tensor = self.conv2(self.conv1(F.relu(x)))
        return x + residual

    def hidden_layer(self) -> HiddenLayer:
        """The channels between its convolutions."""
        return HiddenLayer(self.conv1, self.conv2)
