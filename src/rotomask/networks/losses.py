"""Losses on aggregated probabilities, each for every clip of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 1e-7


def bootstrapped_cross_entropy(
    probabilities: Tensor,
    labels: Tensor,
    hardest: float,
    *,
    balanced: bool = False,
    per_clip: bool = False,
) -> Tensor:
    """Mean cross-entropy of the hardest pixels of the batch, as each clip's part of it.

    Args:
        probabilities: B×O+1×..., float32, sums to 1 over objects.
        labels: B×..., int64, 0..O.
        hardest: Part of the pixels that count, 0 to 1; 1 is the plain mean.
        balanced: Whether every object of a clip, and its background, weighs the same whatever its
            size: pixels weigh the inverse of their class's part of the clip, the mean weight is 1.
        per_clip: Whether each clip has hardest pixels of its own; otherwise an easy clip in a batch
            of hard ones has none.

    Returns:
        B losses whose mean is the batch's.
    """
    each = F.nll_loss(torch.log(probabilities.clamp_min(LEAST)), labels, reduction="none")
    each = each.flatten(1)
    if balanced:
        each = each * class_weights(labels, probabilities.shape[1]).flatten(1)
    if hardest >= 1:
        return each.mean(1)
    # Every 16th pixel gives the threshold: sorting them all takes as long as the decoder.
    pixels = each.detach() if per_clip else each.detach().flatten()[None]
    sample = pixels[:, ::16].sort(dim=1, descending=True).values
    threshold = sample[:, min(sample.shape[1] - 1, int(hardest * sample.shape[1])), None]
    hard = (each >= threshold).float()
    if per_clip:
        return (each * hard).sum(1) / hard.sum(1)
    return (each * hard).sum(1) / hard.sum() * len(each)


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights of pixels, inverse to how often their class is in the clip: B×..., mean 1."""
    flat = labels.flatten(1)
    counts = F.one_hot(flat, classes).sum(1).float()
    present = (counts > 0).sum(1, keepdim=True)
    of_class = flat.shape[1] / (present * counts.clamp_min(1))
    return of_class.gather(1, flat).view(labels.shape)


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice overlap, averaged over the objects of each clip.

    Args:
        probabilities: B×O+1×..., float32.
        labels: B×..., int64, 0..O.

    Returns:
        B losses, 0 to 1.
    """
    objects = probabilities[:, 1:].flatten(2)
    truth = F.one_hot(labels.flatten(1), probabilities.shape[1]).movedim(-1, 1)[:, 1:].float()
    overlap = (objects * truth).sum(-1)
    total = objects.sum(-1) + truth.sum(-1)
    # A pixel's worth of smoothing: an object that is rightly absent costs nothing.
    return (1 - (2 * overlap + 1) / (total + 1)).mean(1)
