"""Losses on aggregated probabilities."""

import torch
import torch.nn.functional as F
from torch import Tensor


def bootstrapped_cross_entropy(probabilities: Tensor, labels: Tensor, hardest: float) -> Tensor:
    """Mean cross-entropy of the hardest pixels.

    Args:
        probabilities: B×O+1×H×W, float32, sums to 1 over objects.
        labels: B×H×W, int64, 0..O.
        hardest: Part of the pixels that count, 0 to 1; 1 is the plain mean.

    Returns:
        A scalar.
    """
    loss = F.nll_loss(torch.log(probabilities.clamp_min(1e-7)), labels, reduction="none").flatten()
    if hardest >= 1:
        return loss.mean()
    # Every 16th pixel gives the threshold: sorting them all takes as long as the decoder.
    sample = loss.detach()[::16].sort(descending=True).values
    threshold = sample[min(len(sample) - 1, int(hardest * len(sample)))]
    hard = (loss >= threshold).float()
    return (loss * hard).sum() / hard.sum()


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice overlap, averaged over the objects of a batch.

    Args:
        probabilities: B×O+1×H×W, float32.
        labels: B×H×W, int64, 0..O.

    Returns:
        A scalar, 0 to 1.
    """
    objects = probabilities[:, 1:].flatten(2)
    truth = F.one_hot(labels, probabilities.shape[1]).movedim(-1, 1)[:, 1:].flatten(2).float()
    overlap = (objects * truth).sum(-1)
    total = objects.sum(-1) + truth.sum(-1)
    # A pixel's worth of smoothing: an object that is rightly absent costs nothing.
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
