"""Features of several strides that have seen each other: the scale-aware part of Refine-50.

Yu et al. 2019 ("Towards good practices for video object segmentation", sec. 2) name a backbone
that "can well handle the scale variant cases" and say no more of it. `docs/refine-50.md` has our
reading.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.resnet import ResidualBlock


class ScaleRefinement(nn.Module):
    """Adds to levels of a pyramid what all its levels together say.

    Every level is brought to a common width. At each of its positions a refined level then takes a
    weighted mean over all levels, resized to its own stride; the weights, which sum to 1 over the
    levels, are predicted there: an object of any size can be read at the stride that shows it best.
    A residual block refines the mean, and a projection that starts at zero adds it to the level, so
    that a pre-trained backbone first works as it did.

    Args:
        channels: Of each level, finest first.
        width: Common width of the levels while they are refined.
        refined: Places of the levels that are refined; the others are only read.
    """

    def __init__(self, channels: Sequence[int], width: int, refined: Sequence[int]) -> None:
        super().__init__()
        self.refined = tuple(refined)
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.branches = nn.ModuleList(Branch(channels[i], width, len(channels)) for i in refined)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels B×C×h×w, finest first -> the refined ones, of the same shapes."""
        common = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        places = zip(self.branches, self.refined, strict=True)
        return [branch(levels[i], common[i], common) for branch, i in places]


class Branch(nn.Module):
    """Refines one level."""

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.choose = nn.Conv2d(width, levels, 3, padding=1)
        self.refine = ResidualBlock(width)
        self.project = nn.Conv2d(width, channels, 1, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, level: Tensor, own: Tensor, common: Sequence[Tensor]) -> Tensor:
        """The level B×C×h×w, the same at the common width, and all levels at that width."""
        weights = torch.softmax(self.choose(own).float(), 1).to(own.dtype)
        mixed = torch.zeros_like(own)
        for index, other in enumerate(common):
            mixed = mixed + weights[:, index : index + 1] * _resize(
                other, (own.shape[-2], own.shape[-1])
            )
        refined: Tensor = level + self.project(F.relu(self.refine(mixed)))
        return refined


def _resize(level: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarged bilinearly, or reduced to the mean of what each position covers."""
    if level.shape[-2:] == size:
        return level
    if level.shape[-2] > size[0]:
        return F.adaptive_avg_pool2d(level, size)
    return F.interpolate(level, size, mode="bilinear", align_corners=False)
