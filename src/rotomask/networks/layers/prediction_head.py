"""A prediction head: one output map from features that several outputs share."""

import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d


class PredictionHead(nn.Module):
    """A 3×3 convolution and a 1×1 convolution, each after a ReLU, at the features' stride."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.mix = Conv2d(c_in, c_in, 3, padding=1, activation="relu")
        self.predict = Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w -> B×C'×h×w."""
        predicted: Tensor = self.predict(self.mix(F.relu(x)))
        return predicted
