"""OSVOS: one-shot video object segmentation with a VGG-16.

Caelles et al. 2017, "One-shot video object segmentation". A VGG-16 classifies every pixel as
foreground or background. A parent network, trained on many videos, is fine-tuned on the annotated
frame of each test video. Every stage but the first has a side output, which training supervises;
the final output is fused from the side features.

Parameters have the names of the authors' PyTorch code, so that `checkpoints.load_into` loads their
parent network unchanged. `SLIM` is the simpler variant of "One-shot segmentation with detector
boxes" (paper 4, sec. 3.1 and 4): side features with one channel, fused, without side losses.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Widths of the 3×3 convolutions of each VGG-16 stage; each stage but the first halves the size.
VGG16_STAGES = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)

MEAN_BGR = (104.00699, 116.66877, 122.67892)


@dataclass(frozen=True, kw_only=True)
class OSVOSConfig:
    """The shape of the network; the defaults are the published values."""

    side_channels: int = 16
    """Channels of the side features."""
    side_kernel: int = 3
    """Kernel size of the convolutions that compute the side features, px."""
    supervised_sides: bool = True
    """Predict logits from each side's features too, for deep supervision."""


SLIM = OSVOSConfig(side_channels=1, side_kernel=1, supervised_sides=False)


class SideLogits(NamedTuple):
    """Foreground logits of images B×3×H×W, all at the size of the images."""

    fused: Tensor
    """The network's output, B×1×H×W."""
    sides: tuple[Tensor, ...]
    """Side outputs, each B×1×H×W, for deep supervision; empty in a network without them."""


class OSVOS(nn.Module):
    """The VGG-16 network: images of any size to foreground logits."""

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
        side_convolutions = [
            nn.Conv2d(widths[-1], depth, kernel, padding=kernel // 2) for widths in sides
        ]
        self.side_prep = nn.ModuleList(side_convolutions)
        strides = [2**i for i in range(1, len(VGG16_STAGES))]
        # `upscale` enlarges the side features, `upscale_` the logits predicted from them.
        self.upscale = nn.ModuleList(Upscale(depth, stride) for stride in strides)
        supervised = strides if self.config.supervised_sides else []
        self.score_dsn = nn.ModuleList(nn.Conv2d(depth, 1, 1) for _ in supervised)
        self.upscale_ = nn.ModuleList(Upscale(1, stride) for stride in supervised)
        self.fuse = nn.Conv2d(depth * len(sides), 1, 1)
        if depth == 1:
            # The output begins as the sum of the sides. The fusion learns at a hundredth of the
            # rate: a random weight near 0 would stay there, and that side would hardly learn.
            nn.init.ones_(self.fuse.weight)
            # The features, of images 0..255, are large: with PyTorch's own weights the first
            # logits would be too.
            for convolution in side_convolutions:
                nn.init.normal_(convolution.weight, std=1e-3)

    def trainable_part(self) -> "OSVOS":
        """The part that fine-tuning trains: all of it; its input is what `prepare` gives."""
        return self

    def prepare(self, image: Tensor) -> Tensor:
        """Input of the trainable part for RGB images B×3×H×W, 0..1; see `preprocess`."""
        return preprocess(image)

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Parameters and their learning rates, as an optimiser takes them.

        As in OSVOS, in training and fine-tuning alike: biases have twice the weights' rate, side
        outputs a tenth, the fusion a hundredth. The bilinear upsampling is never trained.
        """
        groups = []
        for name, parameter in self.named_parameters():
            if name.startswith("upscale"):
                continue
            factor = {"fuse": 0.01, "score_dsn": 0.1}.get(name.partition(".")[0], 1.0)
            if name.endswith("bias"):
                factor *= 2
            groups.append({"params": [parameter], "lr": rate * factor})
        return groups

    def forward(self, image: Tensor) -> SideLogits:
        """Foreground logits.

        Args:
            image: Output of `preprocess`, B×3×H×W, float.

        Returns:
            Fused logits and those of the side outputs, finest first, each B×1×H×W.
        """
        return self.fuse_stages(self.stage_features(image), image.shape[-2:])

    def fuse_stages(self, stages: list[Tensor], size: torch.Size) -> SideLogits:
        """Foreground logits from the `stage_features` of images of this height and width."""
        height, width = size
        features, sides = [], []
        for i, x in enumerate(stages):
            side = self.side_prep[i](x)
            # A transposed convolution overshoots the image by up to two strides: crop to it.
            features.append(center_crop(self.upscale[i](side), height, width))
            if self.config.supervised_sides:
                score = self.upscale_[i](self.score_dsn[i](side))
                sides.append(center_crop(score, height, width))
        fused: Tensor = self.fuse(torch.cat(features, dim=1))
        return SideLogits(fused, tuple(sides))

    def stage_features(self, image: Tensor) -> list[Tensor]:
        """Features of the stages with a side output, at strides 2, 4, 8 and 16.

        Args:
            image: Output of `preprocess`, B×3×H×W, float.
        """
        features = []
        x = self.stages[0](image)  # the first stage has no side output
        for stage in self.stages[1:]:
            x = stage(x)
            features.append(x)
        return features


def preprocess(image: Tensor) -> Tensor:
    """RGB images B×3×H×W, 0..1, in the published weights' form: BGR, 0..255, mean subtracted."""
    mean = torch.tensor(MEAN_BGR, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return image.flip(1) * 255 - mean


class Upscale(nn.ConvTranspose2d):
    """Bilinear upsampling by `stride`, as a transposed convolution that is never trained.

    Channels do not mix, but the weight is stored dense, C×C×2s×2s, as in the published files.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, 2 * stride, stride=stride, bias=False)
        self.weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Set the weights to the bilinear kernel."""
        kernel = bilinear_kernel(self.kernel_size[0])
        identity = torch.eye(
            self.in_channels
        )  # the kernel from each channel to itself, 0 elsewhere
        with torch.no_grad():
            self.weight.copy_(identity[:, :, None, None] * kernel)


def bilinear_kernel(size: int) -> Tensor:
    """Kernel of a transposed convolution that upsamples bilinearly by size / 2: size×size.

    Example:
        >>> bilinear_kernel(4)[0] * 16
        tensor([1., 3., 3., 1.])
    """
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    ramp = 1 - distance / (size / 2)
    return ramp[:, None] * ramp


def center_crop(x: Tensor, height: int, width: int) -> Tensor:
    """The central height×width of B×C×H×W; an odd excess is cut more at the bottom and right."""
    top = (x.shape[-2] - height) // 2
    left = (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def _stage(c_in: int, widths: tuple[int, ...], *, halve: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    if halve:
        # Odd sizes round up, so that the upsampled maps cover the whole image.
        layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
    for c_out in widths:
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True)]
        c_in = c_out
    return nn.Sequential(*layers)
