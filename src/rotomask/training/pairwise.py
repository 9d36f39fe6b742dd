"""The loss that makes embeddings of one instance alike and of two instances differ."""

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_DIFFERENCE = 1e-4
"""Below this 1 - R counts as this: its logarithm has no bound."""


def pair_loss(squared_distance: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy of the similarity R of pairs against being of one instance.

    Li et al. 2018, eq. 1 and 2: with R = 2 / (1 + exp(d²)), -log R = softplus(d²) - log 2 and
    -log(1 - R) = -log tanh(d²/2), which stay exact where exp(d²) does not.

    Args:
        squared_distance: d² of each pair, >= 0, float32.
        same: Whether the pair is of one instance, bool, of the same shape.

    Returns:
        The loss of each pair, of the same shape.
    """
    attraction = F.softplus(squared_distance) - torch.log(squared_distance.new_tensor(2.0))
    difference = torch.tanh(squared_distance / 2).clamp_min(SMALLEST_DIFFERENCE)
    return torch.where(same, attraction, -torch.log(difference))


def sampled_pair_loss(
    embedding: Tensor,
    labels: Tensor,
    *,
    samples: int,
    background: float,
    generator: torch.Generator,
) -> Tensor:
    """Mean pair loss over pixels sampled in equal numbers from every instance.

    Equal numbers weigh an instance's pairs inversely to its size, as eq. 2 asks. Same and different
    pairs count half each.

    Args:
        embedding: B×E×h×w, float32.
        labels: B×h×w, int64: 0 background, k = instance k, negative: not to be sampled.
        samples: Pixels drawn from each instance, and from the background.
        background: Weight of pairs of two background pixels: they are alike in being no object,
            yet of many things.
        generator: Of the sampling, on the CPU.

    Returns:
        A scalar.
    """
    losses = [
        _image_loss(e.flatten(1).T, k.flatten(), samples, background, generator)
        for e, k in zip(embedding, labels, strict=True)
    ]
    return torch.stack(losses).mean()


def neighbour_pair_loss(embedding: Tensor, labels: Tensor, *, apart: int = 2) -> Tensor:
    """Mean pair loss of pixels a few apart, across boundaries and inside instances alike.

    Args:
        embedding: B×E×h×w, float32.
        labels: B×h×w, int64; pairs with a negative label do not count.
        apart: Distance of the pixels of a pair, px of the map.

    Returns:
        A scalar; 0 without any pair.
    """
    losses, same = [], []
    for axis in (1, 2):
        length = labels.shape[axis] - apart
        first, second = labels.narrow(axis, 0, length), labels.narrow(axis, apart, length)
        known = (first >= 0) & (second >= 0)
        step = embedding.narrow(axis + 1, 0, length) - embedding.narrow(axis + 1, apart, length)
        equal = (first == second)[known]
        losses.append(pair_loss(step.square().sum(1)[known], equal))
        same.append(equal)
    return _balanced_mean(torch.cat(losses), torch.cat(same))


def _image_loss(
    points: Tensor, labels: Tensor, samples: int, background: float, generator: torch.Generator
) -> Tensor:
    chosen = []
    for k in labels.unique().tolist():
        if k >= 0:
            places = (labels == k).nonzero()[:, 0]
            draw = torch.randint(len(places), (samples,), generator=generator)
            chosen.append(places[draw.to(places.device)])
    if not chosen:
        return points.sum() * 0
    index = torch.cat(chosen)
    points, labels = points[index], labels[index]
    distance = (points[:, None] - points[None]).square().sum(-1)
    same = labels[:, None] == labels[None]
    weight = torch.where((labels[:, None] == 0) & (labels[None] == 0), background, 1.0)
    return _balanced_mean(pair_loss(distance, same), same, weight)


def _balanced_mean(losses: Tensor, same: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of the means over same and over different pairs; those without a pair count 0."""
    weights = torch.ones_like(losses) if weight is None else weight
    halves = [
        (losses * weights * kind).sum() / (weights * kind).sum().clamp_min(1e-6)
        for kind in (same.float(), 1 - same.float())
    ]
    return (halves[0] + halves[1]) / 2
