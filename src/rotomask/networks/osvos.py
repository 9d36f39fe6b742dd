"""OSVOS: a one-shot appearance network.

Caelles et al. 2017, "One-shot video object segmentation". A VGG-16 classifies every pixel as object
or not; a parent network, trained on many videos, is fine-tuned on the one annotated frame of the
video at hand. Each stage but the first has a side output of its own, which training supervises; the
answer is fused from the side features.

Parameters bear the names of the authors' PyTorch code, so that `checkpoints.load_into` takes their
parent network as it is. `SLIM` is the simpler form of "One-shot segmentation with detector boxes"
(paper 4, sec. 3.1 and 4): side features one channel deep, fused, without losses of their own.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

# Widths of the 3×3 convolutions of each VGG-16 stage; each stage but the first halves the size.
VGG16_STAGES = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)

MEAN_BGR = (104.00699, 116.66877, 122.67892)


@dataclass(frozen=True, kw_only=True)
class OSVOSConfig:
    """The shape of the network; as published unless said otherwise."""

    side_channels: int = 16
    """Depth of the side features."""
    side_kernel: int = 3
    """Side of the convolutions that make them, px."""
    supervised_sides: bool = True
    """Whether each side has an output of its own, for deep supervision."""


SLIM = OSVOSConfig(side_channels=1, side_kernel=1, supervised_sides=False)


class SideLogits(NamedTuple):
    """Foreground logits of images B×3×H×W, all at the images' size."""

    fused: Tensor
    """B×1×H×W, the answer."""
    sides: tuple[Tensor, ...]
    """B×1×H×W of each stage but the first, finest first; training supervises them too. None without
    supervised sides."""


class OSVOS(nn.Module):
    """The network: tensors in, tensors out; images of any size."""

    def __init__(self, config: OSVOSConfig | None = None) -> None:
        super().__init__()
        self.config = config or OSVOSConfig()
        depth, kernel = self.config.side_channels, self.config.side_kernel
        self.stages = nn.ModuleList()
        c_in = 3
        for i, widths in enumerate(VGG16_STAGES):
            self.stages.append(_stage(c_in, widths, halve=i > 0))
            c_in = widths[-1]
        sides = VGG16_STAGES[1:]
        self.side_prep = nn.ModuleList(
            nn.Conv2d(widths[-1], depth, kernel, padding=kernel // 2) for widths in sides
        )
        strides = [2**i for i in range(1, len(VGG16_STAGES))]
        self.upscale = nn.ModuleList(Upscale(depth, stride) for stride in strides)
        supervised = strides if self.config.supervised_sides else []
        self.score_dsn = nn.ModuleList(nn.Conv2d(depth, 1, 1) for _ in supervised)
        self.upscale_ = nn.ModuleList(Upscale(1, stride) for stride in supervised)
        self.fuse = nn.Conv2d(depth * len(sides), 1, 1)

    def forward(self, image: Tensor) -> SideLogits:
        """Foreground logits.

        Args:
            image: B×3×H×W, float, as `preprocess` gives it.

        Returns:
            The fused logits and those of each side output, B×1×H×W.
        """
        height, width = image.shape[-2:]
        x = self.stages[0](image)
        features, sides = [], []
        for i, stage in enumerate(self.stages[1:]):
            x = stage(x)
            side = self.side_prep[i](x)
            features.append(center_crop(self.upscale[i](side), height, width))
            if self.config.supervised_sides:
                score = self.upscale_[i](self.score_dsn[i](side))
                sides.append(center_crop(score, height, width))
        fused: Tensor = self.fuse(torch.cat(features, dim=1))
        return SideLogits(fused, tuple(sides))


def preprocess(image: Tensor) -> Tensor:
    """RGB images B×3×H×W, 0..1, as the published weights want them: BGR, 0-255, mean taken out."""
    mean = torch.tensor(MEAN_BGR, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return image.flip(1) * 255 - mean


class Upscale(nn.ConvTranspose2d):
    """Bilinear upsampling by `stride` as a transposed convolution, each channel on its own.

    The weights are kept dense and are never trained: published files hold them so.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 2 * stride, stride=stride, bias=False)
        self.weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Set the weights to the bilinear kernel."""
        kernel = bilinear_kernel(self.kernel_size[0])
        identity = torch.eye(self.in_channels)
        with torch.no_grad():
            self.weight.copy_(identity[:, :, None, None] * kernel)


def bilinear_kernel(size: int) -> Tensor:
    """Weights of a transposed convolution that upsamples by size / 2 bilinearly, size×size.

    Example:
        >>> bilinear_kernel(4)[0] * 16
        tensor([1., 3., 3., 1.])
    """
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    ramp = 1 - distance / (size / 2)
    return ramp[:, None] * ramp


def center_crop(x: Tensor, height: int, width: int) -> Tensor:
    """The middle height×width of B×C×H×W; of an odd surplus, the larger half goes at the end."""
    top = (x.shape[-2] - height) // 2
    left = (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def _stage(c_in: int, widths: tuple[int, ...], *, halve: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    if halve:
        # Odd sizes round up, so that the upsampled maps cover the image.
        layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
    for c_out in widths:
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True)]
        c_in = c_out
    return nn.Sequential(*layers)
