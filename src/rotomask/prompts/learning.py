"""Adaptation of click-lite to one frame by its prompts.

Sofiiuk et al. 2020 (f-BRS): at a click the true label is known. If the network's mask contradicts
its prompts, a scale and an offset per channel of its fused features are fitted to them. The weights
are fixed, and only the decoder behind these features runs again, forward and backward.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.networks.click_lite import ClickFeatures, ClickLite, Modulation


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """Settings of fitting the modulation."""

    steps: int = 10
    """Maximum number of steps; fitting ends when the mask agrees with the prompts."""
    learning_rate: float = 0.05
    """Learning rate of Adam."""
    keep: float = 1.0
    """Weight of the term that keeps the output near that of the unmodulated network."""


def learn_modulation(
    network: ClickLite, features: ClickFeatures, maps: Tensor, config: LearningConfig
) -> Modulation | None:
    """Modulation under which the mask agrees with the prompts; None if it does without one.

    Args:
        network: Network; its parameters do not change.
        features: Features of one image.
        maps: Maps of the prompts, 1×4×H×W, 0..1: positive, negative, box, previous mask.
        config: Settings.
    """
    positive, negative = maps[:, 0] > 0.5, maps[:, 1] > 0.5  # 1×H×W each
    with torch.no_grad():
        prompts = network.prompts(maps)
        # Once: only `finish` runs in every step.
        fused = network.fuse(features, prompts, maps)
        first = network.finish(features, prompts, fused).logits
    if _is_obeyed(first, positive, negative):
        return None
    shape = (1, network.fused_channels, 1, 1)
    scale = torch.ones(shape, device=maps.device, requires_grad=True)
    offset = torch.zeros(shape, device=maps.device, requires_grad=True)
    optimiser = torch.optim.Adam([scale, offset], lr=config.learning_rate)
    usual = torch.sigmoid(first)
    with torch.enable_grad():
        for _ in range(config.steps):
            modulation = Modulation(scale, offset)
            logits = network.finish(features, prompts, fused, modulation).logits
            if _is_obeyed(logits.detach(), positive, negative):
                break
            # Zero while the output is that of the unmodulated network.
            drift = F.binary_cross_entropy_with_logits(logits, usual) - _entropy(usual)
            loss = _disobedience(logits, positive, negative) + config.keep * drift
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Modulation(scale.detach(), offset.detach())


def _is_obeyed(logits: Tensor, positive: Tensor, negative: Tensor) -> bool:
    """True if nine tenths of the prompts' pixels have the label of their prompt."""
    wrong = (positive & (logits < 0)) | (negative & (logits > 0))
    return bool(wrong.sum() <= 0.1 * (positive | negative).sum())


def _disobedience(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Sum of the mean squared errors at positive and at negative prompts (f-BRS, eq. 1)."""
    p = torch.sigmoid(logits)
    missed = ((1 - p).square() * positive).sum() / positive.sum().clamp_min(1)
    extra = (p.square() * negative).sum() / negative.sum().clamp_min(1)
    return missed + extra


def _entropy(p: Tensor) -> Tensor:
    """Mean entropy of probabilities: the minimum of a cross-entropy with them as the target."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).mean()
