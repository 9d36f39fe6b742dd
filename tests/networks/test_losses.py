"""Losses on foreground logits, against their formulas written out."""

import pytest
import torch

from rotomask.networks.losses import balanced_cross_entropy, foreground_loss


@pytest.mark.parametrize(
    ("balanced", "dice"), [(True, 0.0), (False, 0.0), (False, 1.0), (True, 2.0)]
)
def test_the_loss_is_the_one_that_is_asked_for(balanced, dice):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 8, 9, generator=generator)
    truth = (torch.rand(1, 1, 8, 9, generator=generator) < 0.2).float()
    p, share = torch.sigmoid(logits), truth.mean()
    weight = torch.where(truth > 0, 1 - share, share) if balanced else torch.ones_like(truth)
    entropy = -(truth * p.log() + (1 - truth) * (1 - p).log())
    overlap = (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    expected = (weight * entropy).mean() + dice * (1 - overlap)
    found = foreground_loss(logits, truth, dice, balanced=balanced)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_several_images_are_a_mean():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 1, 8, 9, generator=generator)
    truth = (torch.rand(3, 1, 8, 9, generator=generator) < 0.3).float()
    for balanced in (False, True):
        alone = [
            foreground_loss(logits[i : i + 1], truth[i : i + 1], 1.0, balanced=balanced)
            for i in range(3)
        ]
        joint = foreground_loss(logits, truth, 1.0, balanced=balanced)
        assert float(joint) == pytest.approx(float(sum(alone)) / 3, rel=1e-5)


def test_balanced_cross_entropy_weighs_both_classes_the_same():
    truth = torch.zeros(1, 1, 10, 10)
    truth[..., :1] = 1
    miss_object = balanced_cross_entropy(torch.full((1, 1, 10, 10), -3.0), truth)
    miss_background = balanced_cross_entropy(torch.full((1, 1, 10, 10), 3.0), truth)
    assert float(miss_object) == pytest.approx(float(miss_background), rel=1e-5)
