"""Local correlation: dot products of each pixel with a window of pixels in another frame."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def local_correlation(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """The cost volume of PWC-Net (Sun et al. 2018, eq. 2), summed, not averaged, over channels.

    Args:
        first: Features of the first frame, B×C×h×w.
        second: Features of the second frame, B×C×h×w.
        radius: Largest displacement in x and in y, pixels of the feature map.

    Returns:
        B×(2·radius + 1)²×h×w: the dot product of pixel p of the first frame with p + d of the
        second. Displacements d are ordered row by row from (-radius, -radius), as in
        `displacements`. 0 where p + d is outside the frame.
    """
    volume: Tensor = _LocalCorrelation.apply(first, second, radius)  # type: ignore[no-untyped-call]
    return volume


def displacements(radius: int) -> Tensor:
    """Displacement (x, y) of each channel of `local_correlation`: (2·radius + 1)²×2 float32, px."""
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


class _LocalCorrelation(torch.autograd.Function):
    """The correlation with a hand-written backward pass.

    Autograd would pad the gradient of each displacement's slice to the size of the padded map. Here
    the gradients accumulate in place, in one buffer per input.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, radius: int) -> Tensor:
        # Zeros around: displacements out of the frame correlate with nothing.
        padded = F.pad(second, (radius,) * 4)
        ctx.save_for_backward(first, padded)
        ctx.radius = radius
        height, width = first.shape[2:]
        origins = _window_origins(radius)
        volume = first.new_empty((len(first), len(origins), height, width))
        for k, (y, x) in enumerate(origins):
            torch.sum(first * padded[:, :, y : y + height, x : x + width], 1, out=volume[:, k])
        return volume

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        gradient: Tensor = gradients[0]
        first, padded = ctx.saved_tensors
        height, width = first.shape[2:]
        first_gradient, padded_gradient = torch.zeros_like(first), torch.zeros_like(padded)
        for k, (y, x) in enumerate(_window_origins(ctx.radius)):
            channel = gradient[:, k : k + 1]  # B×1×h×w, broadcast over the C channels
            first_gradient.addcmul_(channel, padded[:, :, y : y + height, x : x + width])
            padded_gradient[:, :, y : y + height, x : x + width].addcmul_(channel, first)
        radius = ctx.radius
        # What reached the zero padding has no input to go to.
        inner = padded_gradient[:, :, radius : radius + height, radius : radius + width]
        return first_gradient, inner, None


def _window_origins(radius: int) -> list[tuple[int, int]]:
    """Top-left corners (y, x), in the padded map, of the h×w slice of each displacement."""
    side = 2 * radius + 1
    return [(y, x) for y in range(side) for x in range(side)]
