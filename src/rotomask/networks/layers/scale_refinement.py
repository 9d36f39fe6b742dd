"""Scale refinement: mix the features of several strides, the scale-aware part of Refine-50.

Yu et al. 2019 ("Towards good practices for video object segmentation", sec. 2) name a backbone that
"can well handle the scale variant cases" but do not describe it. `docs/papers/refine-50.md`
explains this interpretation.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.resnet import ResidualBlock


class ScaleRefinement(nn.Module):
    """Add to each level of a feature pyramid a learned mixture of all levels.

    Every level is projected to a common width. A refined level then takes, at each position, the
    weighted mean of all levels resized to its own stride. The weights are predicted at that
    position and sum to 1 over the levels, so that an object of any size can be read at the stride
    that shows it best. A residual block refines the mean, and a projection initialised to zero adds
    it to the level, so that a pre-trained backbone is unchanged at first.

    Args:
        channels: Channels of each level, finest first.
        width: Common width at which the levels are mixed.
        refined: Indices of the levels to refine; the others are only read.
    """

    def __init__(self, channels: Sequence[int], width: int, refined: Sequence[int]) -> None:
        super().__init__()
        self.refined = tuple(refined)
        self.lateral = nn.ModuleList(Conv2d(c, width, 1) for c in channels)
        self.branches = nn.ModuleList(Branch(channels[i], width, len(channels)) for i in refined)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels B×C×h×w, finest first -> the levels to refine, with unchanged shapes."""
        common = [lateral(level) for lateral, level in zip(self.lateral, levels, strict=True)]
        branches = zip(self.branches, self.refined, strict=True)
        return [branch(levels[i], common[i], common) for branch, i in branches]


class Branch(nn.Module):
    """The refinement of one level."""

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        self.choose = Conv2d(width, levels, 3, padding=1)
        self.refine = ResidualBlock(width)
        self.project = nn.Conv2d(width, channels, 1, bias=False)
        # The refinement adds nothing at first: a pre-trained network starts as it was.
        nn.init.zeros_(self.project.weight)

    def forward(self, level: Tensor, own: Tensor, common: Sequence[Tensor]) -> Tensor:
        """The refined level, B×C×h×w.

        Args:
            level: The level to refine, B×C×h×w.
            own: The same level at the common width, B×D×h×w.
            common: All levels at the common width, each with its own height and width.
        """
        # One weight per level at each position, B×levels×h×w. Summed level by level: stacking the
        # resized levels would hold B×levels×D×h×w at once.
        weights = torch.softmax(self.choose(own).float(), 1).to(own.dtype)
        mixed = torch.zeros_like(own)
        for index, other in enumerate(common):
            mixed = mixed + weights[:, index : index + 1] * _resize(
                other, (own.shape[-2], own.shape[-1])
            )
        refined: Tensor = level + self.project(F.relu(self.refine(mixed)))
        return refined


def _resize(level: Tensor, size: tuple[int, int]) -> Tensor:
    """The level at another size: bilinear to enlarge, mean of the covered cells to reduce."""
    if level.shape[-2:] == size:
        return level
    if level.shape[-2] > size[0]:
        return F.adaptive_avg_pool2d(level, size)
    return F.interpolate(level, size, mode="bilinear", align_corners=False)
