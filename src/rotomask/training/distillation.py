"""Distillation of relations: which positions of frames look alike to another network.

Tung and Mori 2019 ("Similarity-preserving knowledge distillation"), on positions in place of
images. VGG-16 starts from an edge detector here, whose deep features tell little about things. The
encoder of `oneshot` began with ImageNet and was trained on video: what it finds alike, in one frame
or in two of a video, the other network learns to find alike. Only similarities are compared, so
that the two need neither the same channels nor layers between them.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.catalog import load_network
from rotomask.networks.oneshot_lite import OneShotLite
from rotomask.networks.osvos import OSVOS

STRIDE = 16
"""Stride at which positions are compared, px."""


class RelationTeacher:
    """The shipped `oneshot`, whose encoder's relations a VGG-16 learns."""

    def __init__(self) -> None:
        network = load_network("oneshot")
        assert isinstance(network, OneShotLite)
        self._network = network.eval().requires_grad_(False)

    def loss(self, student: OSVOS, stages: list[Tensor], image: Tensor) -> Tensor:
        """Mean squared difference of the relations in the two deepest stages, a scalar.

        Args:
            student: The network that learns; it says where to compute.
            stages: Its `stage_features` of the frames, at strides 2, 4, 8 and 16.
            image: The frames, B×3×H×W, 0..1, sides multiples of 32.
        """
        self._network.to(next(student.parameters()).device)
        with torch.no_grad():
            pyramid, deep = self._network.encode(image)
            levels = [pyramid.stride8, pyramid.stride16, deep]
            fine, middle, coarse = (relations(x, image.shape[-2:]) for x in levels)
            # Each stage learns from the level of its own stride and from the next deeper one.
            targets = ((fine + middle) / 2, (middle + coarse) / 2)
        pairs = zip(stages[-2:], targets, strict=True)
        losses = [F.mse_loss(relations(x, image.shape[-2:]), target) for x, target in pairs]
        return torch.stack(losses).mean()


def relations(features: Tensor, size: Sequence[int]) -> Tensor:
    """Correlations of the features at all positions of a batch, at stride 16.

    Args:
        features: B×C×h×w.
        size: Height and width of the frames, px.

    Returns:
        N×N, -1..1, where N = B·H/16·W/16.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    x = features.float()
    if x.shape[-1] > width:
        x = F.adaptive_avg_pool2d(x, (height, width))
    elif x.shape[-1] < width:
        x = F.interpolate(x, (height, width), mode="bilinear", align_corners=False)
    vectors = x.permute(0, 2, 3, 1).flatten(0, 2)  # N×C
    # Without the mean, features after a ReLU would all be alike.
    vectors = F.normalize(vectors - vectors.mean(0), dim=1)
    return vectors @ vectors.T
