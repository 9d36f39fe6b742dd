"""Loss on pairs of pixels: similar embeddings within an instance, different ones across."""

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_DIFFERENCE = 1e-4
"""Lower bound of 1 - R, so that its logarithm stays finite."""


def pair_loss(squared_distance: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy of the similarity R of each pair: -log R if same, else -log(1 - R).

    Li et al. 2018, eq. 1 and 2, with R = 2 / (1 + exp(d²)).

    Args:
        squared_distance: d² of each pair, >= 0, float32.
        same: True for pairs within one instance, bool, of the same shape.

    Returns:
        The loss of each pair, of the same shape.
    """
    # -log R = softplus(d²) - log 2, and 1 - R = tanh(d²/2): exp(d²) would overflow above d² = 88.
    attraction = F.softplus(squared_distance) - torch.log(squared_distance.new_tensor(2.0))
    difference = torch.tanh(squared_distance / 2).clamp_min(MIN_DIFFERENCE)
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

    Equal numbers weight an instance's pairs inversely to its size, as eq. 2 requires. Pairs within
    an instance and pairs across instances each contribute half of the loss.

    Args:
        embedding: B×E×h×w, float32.
        labels: B×h×w, int64: 0 background, k = instance k, negative: not to be sampled.
        samples: Pixels sampled from each instance, and from the background.
        background: Weight of pairs of two background pixels. Below 1, because the background is
            made of many things that need not look alike.
        generator: Source of the samples, on the CPU.

    Returns:
        A scalar.
    """
    losses = [
        # E×h×w -> hw×E, and hw labels.
        _image_loss(e.flatten(1).T, k.flatten(), samples, background, generator)
        for e, k in zip(embedding, labels, strict=True)
    ]
    return torch.stack(losses).mean()


def neighbour_pair_loss(embedding: Tensor, labels: Tensor, *, apart: int = 2) -> Tensor:
    """Mean pair loss of pixels at a small distance, in x and in y.

    Args:
        embedding: B×E×h×w, float32.
        labels: B×h×w, int64; pairs with a negative label do not count.
        apart: Distance between the pixels of a pair, px of the map.

    Returns:
        A scalar; 0 without any pair.
    """
    losses, same = [], []
    for axis in (1, 2):  # of the labels; the embedding has its channels before them
        length = labels.shape[axis] - apart
        first, second = labels.narrow(axis, 0, length), labels.narrow(axis, apart, length)
        valid = (first >= 0) & (second >= 0)
        difference = embedding.narrow(axis + 1, 0, length) - embedding.narrow(
            axis + 1, apart, length
        )
        equal = (first == second)[valid]  # N pairs, flat
        losses.append(pair_loss(difference.square().sum(1)[valid], equal))
        same.append(equal)
    return _balanced_mean(torch.cat(losses), torch.cat(same))


def _image_loss(
    points: Tensor, labels: Tensor, samples: int, background: float, generator: torch.Generator
) -> Tensor:
    """Mean pair loss of one image: points hw×E, labels hw."""
    sampled = []
    for k in labels.unique().tolist():
        if k >= 0:
            positions = (labels == k).nonzero()[:, 0]
            # With replacement: an instance may have fewer pixels than samples.
            draw = torch.randint(len(positions), (samples,), generator=generator)
            sampled.append(positions[draw.to(positions.device)])
    if not sampled:
        return points.sum() * 0  # a zero that still has a gradient
    index = torch.cat(sampled)  # N = samples × instances
    points, labels = points[index], labels[index]
    # All pairs, N×N. torch.cdist would lose precision near 0, where the gradient matters most.
    distance = (points[:, None] - points[None]).square().sum(-1)
    same = labels[:, None] == labels[None]
    weight = torch.where((labels[:, None] == 0) & (labels[None] == 0), background, 1.0)
    return _balanced_mean(pair_loss(distance, same), same, weight)


def _balanced_mean(losses: Tensor, same: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of the mean over same pairs and that over different pairs; an empty mean is 0."""
    weights = torch.ones_like(losses) if weight is None else weight
    halves = [
        # Means over N×N pairs of one kind; without any pair of it 0 over the clamp.
        (losses * weights * kind).sum() / (weights * kind).sum().clamp_min(1e-6)
        for kind in (same.float(), 1 - same.float())
    ]
    return (halves[0] + halves[1]) / 2
