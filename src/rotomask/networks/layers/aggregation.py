"""Merging the objects' separate probabilities into one distribution a pixel."""

from typing import Literal

import torch
from torch import Tensor

from rotomask.errors import OptionError

Aggregation = Literal["soft", "winner-take-all", "naive"]

EPSILON = 1e-7


def aggregate(
    object_probabilities: Tensor,
    method: Aggregation = "soft",
    *,
    background: Tensor | None = None,
) -> Tensor:
    """One distribution over background and objects for every pixel.

    The background's own probability is that of no object, the product of all (1 - p), unless it is
    given.

    - ``soft``: Oh et al. 2018 (RGMP), eq. 1: a softmax of logits, that is odds p / (1 - p),
      normalised to sum to 1.
    - ``winner-take-all``: the same, with every object but the strongest set to 0 first
      (RGMP, sec. 3.3, "hard" decision).
    - ``naive``: the probabilities divided by their sum, without odds.

    Args:
        object_probabilities: Foreground probability of each object on its own, O×H×W or B×O×H×W,
            float, 0 to 1.
        method: How they are merged.
        background: The background's own probability, 1×H×W or B×1×H×W: RGMP has 1 - p of the merged
            foreground.

    Returns:
        The same shape with one more object in front, the background; sums to 1 over objects.

    Raises:
        OptionError: If the method is unknown.

    Example:
        >>> aggregate(torch.full((2, 1, 1), 0.5)).flatten()
        tensor([0.1429, 0.4286, 0.4286])
    """
    axis = object_probabilities.ndim - 3
    p = object_probabilities.float()
    if method == "winner-take-all":
        p = torch.where(p == p.amax(axis, keepdim=True), p, torch.zeros_like(p))
    none = torch.prod(1 - p, dim=axis, keepdim=True) if background is None else background.float()
    everything = torch.cat([none, p], dim=axis).clamp(EPSILON, 1 - EPSILON)
    if method == "naive":
        return everything / everything.sum(axis, keepdim=True)
    if method not in ("soft", "winner-take-all"):
        raise OptionError(f"unknown aggregation {method!r}; use soft, winner-take-all or naive")
    return torch.softmax(torch.logit(everything), dim=axis)
