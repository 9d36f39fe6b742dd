"""The light PSPNet's body: pooled deep features brought back to stride 4, coarse to fine."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_pooling import PyramidPooling
from rotomask.networks.layers.resnet import ResidualBlock


class DecodedPyramid(NamedTuple):
    """Features before their last activation, as `ResidualBlock` gives them; coarse to fine."""

    stride16: Tensor
    stride8: Tensor
    stride4: Tensor


class PyramidDecoder(nn.Module):
    """From the encoder's features to decoded ones, with the deepest pooled (PSPNet)."""

    def __init__(
        self, deep_channels: int, widths: tuple[int, int, int], *, pooling: bool = True
    ) -> None:
        super().__init__()
        c4, c8, c16 = EfficientNetLite0.channels
        d16, d8, d4 = widths
        self.pool = PyramidPooling(deep_channels, d16) if pooling else None
        self.fuse16 = nn.Conv2d((d16 if pooling else deep_channels) + c16, d16, 3, padding=1)
        self.refine16 = ResidualBlock(d16)
        self.fuse8 = nn.Conv2d(d16 + c8, d8, 3, padding=1)
        self.refine8 = ResidualBlock(d8)
        self.fuse4 = nn.Conv2d(d8 + c4, d4, 3, padding=1)
        self.refine4 = ResidualBlock(d4)

    def decode(self, pyramid: Pyramid, deep: Tensor) -> DecodedPyramid:
        """Features of B frames, the deepest B×C×h×w at any stride, decoded."""
        stride4, stride8, stride16 = pyramid
        if self.pool is not None:
            deep = self.pool(deep)
        x16 = self.refine16(self.fuse16(torch.cat([_resize(deep, stride16), stride16], 1)))
        x8 = self.refine8(self.fuse8(torch.cat([_resize(x16, stride8), stride8], 1)))
        x4 = self.refine4(self.fuse4(torch.cat([_resize(x8, stride4), stride4], 1)))
        return DecodedPyramid(x16, x8, x4)


def upsample_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """B×C×h×w -> B×C×H×W float32, bilinearly."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False).to(like.dtype)
