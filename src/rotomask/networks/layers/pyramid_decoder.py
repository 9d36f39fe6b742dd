"""The decoder of the light PSPNet: pooled deep features upsampled to stride 4, coarse to fine."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_pooling import PyramidPooling
from rotomask.networks.layers.resnet import ResidualBlock


class DecodedPyramid(NamedTuple):
    """Decoded features, coarse to fine; apply ReLU before a prediction, as `ResidualBlock` does."""

    stride16: Tensor
    """B×d16×H/16×W/16."""
    stride8: Tensor
    """B×d8×H/8×W/8."""
    stride4: Tensor
    """B×d4×H/4×W/4."""


class PyramidDecoder(nn.Module):
    """Decode the encoder's features, the deepest after pyramid pooling (PSPNet).

    Args:
        deep_channels: Channels of the deepest features.
        widths: Channels (d16, d8, d4) of the decoder at strides 16, 8 and 4.
        pooling: Apply pyramid pooling to the deepest features.
    """

    def __init__(
        self, deep_channels: int, widths: tuple[int, int, int], *, pooling: bool = True
    ) -> None:
        super().__init__()
        c4, c8, c16 = EfficientNetLite0.channels
        d16, d8, d4 = widths
        self.pool = PyramidPooling(deep_channels, d16) if pooling else None
        self.fuse16 = Conv2d((d16 if pooling else deep_channels) + c16, d16, 3, padding=1)
        self.refine16 = ResidualBlock(d16)
        self.fuse8 = Conv2d(d16 + c8, d8, 3, padding=1)
        self.refine8 = ResidualBlock(d8)
        self.fuse4 = Conv2d(d8 + c4, d4, 3, padding=1)
        self.refine4 = ResidualBlock(d4)

    def decode(self, pyramid: Pyramid, deep: Tensor) -> DecodedPyramid:
        """Decoded features of B frames.

        Args:
            pyramid: The encoder's features at strides 4, 8 and 16; skip connections.
            deep: The deepest features, B×C×h×w, at stride 16 or 32.
        """
        stride4, stride8, stride16 = pyramid
        if self.pool is not None:
            deep = self.pool(deep)  # B×d16×h×w
        # Each step resizes to the next skip and concatenates with it.
        x16 = self.refine16(self.fuse16(torch.cat([_resize(deep, stride16), stride16], 1)))
        x8 = self.refine8(self.fuse8(torch.cat([_resize(x16, stride8), stride8], 1)))
        x4 = self.refine4(self.fuse4(torch.cat([_resize(x8, stride4), stride4], 1)))
        return DecodedPyramid(x16, x8, x4)


def upsample_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits B×C×h×w -> B×C×H×W float32, bilinear."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False).to(like.dtype)
