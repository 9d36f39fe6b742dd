"""A convolutional gated recurrent unit: a recurrent state of feature maps over a video."""

import torch
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d


class ConvGRU(nn.Module):
    """A 3×3 convolutional gated recurrent unit (Ballas et al. 2015; RGMP, sec. 4.3).

    Args:
        channels: Channels of the input and of the state, which is also the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.candidate = Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor, state: Tensor | None) -> Tensor:
        """Input and previous state, each B×C×h×w (state None: zeros) -> new state B×C×h×w."""
        previous = torch.zeros_like(x) if state is None else state.to(x.dtype)
        update, reset = torch.sigmoid(self.gates(torch.cat([x, previous], 1))).chunk(2, dim=1)
        candidate = torch.tanh(self.candidate(torch.cat([x, reset * previous], 1)))
        return previous + update * (
            candidate - previous
        )  # (1 - update)·previous + update·candidate
