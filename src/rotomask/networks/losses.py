"""Losses on aggregated probabilities, one value per clip of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_PROBABILITY = 1e-7
"""Lower bound of probabilities, so that their logarithm stays finite."""


def bootstrapped_cross_entropy(
    probabilities: Tensor,
    labels: Tensor,
    hardest: float,
    *,
    balanced: bool = False,
    per_clip: bool = False,
) -> Tensor:
    """Mean cross-entropy of the hardest pixels, as the contribution of each clip.

    Args:
        probabilities: B×O+1×..., float32, sums to 1 over objects.
        labels: B×..., int64, 0..O.
        hardest: Fraction of the pixels that count, 0 to 1; 1 is the plain mean.
        balanced: Give every object of a clip, and its background, the same total weight; see
            `class_weights`.
        per_clip: Select the hardest pixels of each clip. Otherwise they are selected over the
            batch, and an easy clip among hard ones may have none.

    Returns:
        B losses; their mean is the loss of the batch.
    """
    log_probabilities = torch.log(probabilities.clamp_min(MIN_PROBABILITY))
    entropy = F.nll_loss(log_probabilities, labels, reduction="none").flatten(1)  # B×N pixels
    if balanced:
        entropy = entropy * class_weights(labels, probabilities.shape[1]).flatten(1)
    # Nothing to select.
    if hardest >= 1:
        return entropy.mean(1)
    # The threshold is that quantile of every 16th pixel: sorting them all takes as long as the
    # decoder. B×N pixels, or 1×B·N for the whole batch.
    pixels = entropy.detach() if per_clip else entropy.detach().flatten()[None]
    sample = pixels[:, ::16].sort(dim=1, descending=True).values
    threshold = sample[:, min(sample.shape[1] - 1, int(hardest * sample.shape[1])), None]
    hard = (entropy >= threshold).float()  # B×N, from thresholds B×1 or 1×1
    if per_clip:
        return (entropy * hard).sum(1) / hard.sum(1)
    # Divided by the pixels of the whole batch; times B, so that the mean over clips is the sum.
    return (entropy * hard).sum(1) / hard.sum() * len(entropy)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights of pixels, inverse to the size of their class in the clip, with a mean of 1.

    Args:
        labels: B×..., int64, below `classes`.
        classes: Number of classes, background included.

    Returns:
        B×..., float32, like `labels`.
    """
    flat = labels.flatten(1)  # B×N
    counts = F.one_hot(flat, classes).sum(1).float()  # B×classes
    present = (counts > 0).sum(1, keepdim=True)
    # Each class in the clip gets the total weight N / present, so that all weights sum to N.
    weights = flat.shape[1] / (present * counts.clamp_min(1))  # B×classes
    return weights.gather(1, flat).view(labels.shape)


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice coefficient, averaged over the objects of each clip.

    Args:
        probabilities: B×O+1×..., float32.
        labels: B×..., int64, 0..O.

    Returns:
        B losses, 0 to 1.
    """
    objects = probabilities[:, 1:].flatten(2)  # B×O×N
    # One-hot labels B×N×O+1, moved to B×O+1×N, without the background.
    truth = F.one_hot(labels.flatten(1), probabilities.shape[1]).movedim(-1, 1)[:, 1:].float()
    overlap = (objects * truth).sum(-1)  # B×O
    total = objects.sum(-1) + truth.sum(-1)
    # Smoothed by one pixel: an absent object that is not predicted has a loss of 0, not 0 / 0.
    return (1 - (2 * overlap + 1) / (total + 1)).mean(1)


def foreground_loss(
    logits: Tensor, foreground: Tensor, dice: float = 0.0, *, balanced: bool = False
) -> Tensor:
    """Cross-entropy plus `dice` times the Dice loss, a scalar.

    Args:
        logits: B×1×H×W.
        foreground: B×1×H×W float, 0 or 1.
        dice: Weight of the Dice loss.
        balanced: Whether the cross-entropy is `balanced_cross_entropy`.
    """
    if balanced:
        loss = balanced_cross_entropy(logits, foreground)
    else:
        loss = F.binary_cross_entropy_with_logits(logits.float(), foreground)
    if dice > 0:
        probability = torch.sigmoid(logits.float())
        both = torch.cat([1 - probability, probability], 1)  # background first, B×2×H×W
        loss = loss + dice * dice_loss(both, foreground[:, 0].long()).mean()
    return loss


def balanced_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Class-balanced cross-entropy (Xie and Tu 2015, eq. 2; OSVOS, eq. 2), a mean over pixels.

    Args:
        logits: B×1×H×W.
        truth: B×1×H×W, 0 or 1.

    Returns:
        A scalar. Foreground pixels are weighted by the fraction of background pixels, and the
        reverse, so that both classes count the same.
    """
    fraction = truth.mean((1, 2, 3), keepdim=True)  # of foreground, B×1×1×1
    weight = torch.where(truth > 0.5, 1 - fraction, fraction)
    entropy = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (weight * entropy).mean()
