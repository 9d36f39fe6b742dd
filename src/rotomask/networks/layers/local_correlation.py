"""Matching within a window: how alike a pixel is to each of its neighbours in another frame."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def local_correlation(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """The cost volume of PWC-Net (Sun et al. 2018, eq. 2), as a sum over channels.

    Args:
        first: Features of the first frame, B×C×h×w.
        second: Of the second, the same shape.
        radius: Longest displacement in x and in y, pixels of the features.

    Returns:
        B×(2·radius + 1)²×h×w: the dot product of pixel p of the first with p + d of the second, the
        displacements d row by row from (-radius, -radius); 0 where p + d is beyond the border.
    """
    matched: Tensor = _LocalCorrelation.apply(first, second, radius)  # type: ignore[no-untyped-call]
    return matched


def displacements(radius: int) -> Tensor:
    """The (x, y) of each channel of `local_correlation`, (2·radius + 1)²×2 float32."""
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


class _LocalCorrelation(torch.autograd.Function):
    """One product a displacement; the gradients are summed in place, not padded one by one."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, radius: int) -> Tensor:
        padded = F.pad(second, (radius,) * 4)
        ctx.save_for_backward(first, padded)
        ctx.radius = radius
        height, width = first.shape[2:]
        windows = _windows(radius)
        out = first.new_empty((len(first), len(windows), height, width))
        for k, (y, x) in enumerate(windows):
            torch.sum(first * padded[:, :, y : y + height, x : x + width], 1, out=out[:, k])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        gradient: Tensor = gradients[0]
        first, padded = ctx.saved_tensors
        height, width = first.shape[2:]
        to_first, to_padded = torch.zeros_like(first), torch.zeros_like(padded)
        for k, (y, x) in enumerate(_windows(ctx.radius)):
            part = gradient[:, k : k + 1]
            to_first.addcmul_(part, padded[:, :, y : y + height, x : x + width])
            to_padded[:, :, y : y + height, x : x + width].addcmul_(part, first)
        radius = ctx.radius
        inner = to_padded[:, :, radius : radius + height, radius : radius + width]
        return to_first, inner, None


def _windows(radius: int) -> list[tuple[int, int]]:
    side = 2 * radius + 1
    return [(y, x) for y in range(side) for x in range(side)]
