"""Pyramid pooling: context from the whole frame and from its regions (PSPNet)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """The features concatenated with their means over grids of 1, 2, 3 and 6 cells a side.

    Zhao et al. 2017 (PSPNet), sec. 3.2, without batch norm.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        width = c_in // len(BINS)
        self.reduce = nn.ModuleList(Conv2d(c_in, width, 1, activation="relu") for _ in BINS)
        self.fuse = Conv2d(c_in + width * len(BINS), c_out, 3, padding=1, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w -> B×C'×h×w."""
        # Each grid: B×C×h×w -> B×C×bins×bins -> B×C/4×bins×bins -> B×C/4×h×w.
        pooled = [
            F.interpolate(
                conv(F.adaptive_avg_pool2d(x, bins)),
                x.shape[-2:],
                mode="bilinear",
                align_corners=False,
            ).to(x.dtype)
            for conv, bins in zip(self.reduce, BINS, strict=True)
        ]
        fused: Tensor = self.fuse(torch.cat([x, *pooled], 1))
        return fused
