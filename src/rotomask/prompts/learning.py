"""Adapting click-lite to one frame by its own prompts.

Sofiiuk et al. 2020 (f-BRS): at a click the true label is known. Where the network disobeys its
prompts, a scale and an offset of each channel of its fused features are learnt from them, with the
network fixed; only the decoder behind them runs again, forward and backward.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.networks.click_lite import ClickFeatures, ClickLite, Modulation


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """Settings of learning the modulation."""

    steps: int = 10
    """Steps at most; it ends as soon as every prompt is obeyed."""
    learning_rate: float = 0.05
    """Step size (Adam)."""
    keep: float = 1.0
    """Weight of staying near the network's own output, away from the prompts."""


def learn_modulation(
    network: ClickLite, features: ClickFeatures, maps: Tensor, config: LearningConfig
) -> Modulation | None:
    """The modulation under which the network obeys the prompts; None if it does without one.

    Args:
        network: Its parameters do not change.
        features: Of one image.
        maps: The prompts, 1×4×H×W, 0..1.
        config: How.
    """
    positive, negative = maps[:, 0] > 0.5, maps[:, 1] > 0.5
    with torch.no_grad():
        prompts = network.prompts(maps)
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
            drift = F.binary_cross_entropy_with_logits(logits, usual) - _entropy(usual)
            loss = _disobedience(logits, positive, negative) + config.keep * drift
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Modulation(scale.detach(), offset.detach())


def _is_obeyed(logits: Tensor, positive: Tensor, negative: Tensor) -> bool:
    """True if nine tenths of the prompts' pixels are on their side of the outline."""
    wrong = (positive & (logits < 0)) | (negative & (logits > 0))
    return bool(wrong.sum() <= 0.1 * (positive | negative).sum())


def _disobedience(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean squared error of the probability at the prompts of each sign, added (f-BRS, eq. 1)."""
    p = torch.sigmoid(logits)
    missed = ((1 - p).square() * positive).sum() / positive.sum().clamp_min(1)
    extra = (p.square() * negative).sum() / negative.sum().clamp_min(1)
    return missed + extra


def _entropy(p: Tensor) -> Tensor:
    """Mean entropy of probabilities: the least that a cross-entropy with them can be."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).mean()
