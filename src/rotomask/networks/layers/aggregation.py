"""Merge the separate probabilities of several objects into one distribution per pixel."""

from typing import Literal

import torch
from torch import Tensor

from rotomask.errors import OptionError

Aggregation = Literal["soft", "winner-take-all", "naive"]

EPSILON = 1e-7


def masks_of_others(masks: Tensor) -> Tensor:
    """For each object the sum of the other objects' masks, ...×O×H×W from the same, at most 1."""
    return (masks.sum(-3, keepdim=True) - masks).clamp(0, 1)


def aggregate(
    object_probabilities: Tensor,
    method: Aggregation = "soft",
    *,
    background: Tensor | None = None,
) -> Tensor:
    """One distribution over background and objects at every pixel.

    By default the background's probability is that no object is there: the product of all (1 - p).

    - ``soft``: soft aggregation, Oh et al. 2018 (RGMP), eq. 1: the softmax of the logits, which
      equals the odds p / (1 - p) divided by their sum.
    - ``winner-take-all``: the same after setting every object but the most probable to 0
      (RGMP, sec. 3.3, "hard" decision).
    - ``naive``: the probabilities divided by their sum, without odds.

    Args:
        object_probabilities: Foreground probability of each object by itself, O×H×W or B×O×H×W,
            float, 0 to 1.
        method: The way of merging.
        background: The background's probability, 1×H×W or B×1×H×W, in place of the product; RGMP
            uses 1 - p of the merged foreground.

    Returns:
        O+1×H×W or B×O+1×H×W, float32, background first; sums to 1 over objects.

    Raises:
        OptionError: If the method is unknown.

    Example:
        >>> aggregate(torch.full((2, 1, 1), 0.5)).flatten()
        tensor([0.1429, 0.4286, 0.4286])
    """
    axis = object_probabilities.ndim - 3  # the object axis, with or without a batch axis before it
    p = object_probabilities.float()
    if method == "winner-take-all":
        # Equal largest ones all stay.
        p = torch.where(p == p.amax(axis, keepdim=True), p, torch.zeros_like(p))
    if background is None:
        # Oh et al. 2018, eq. 1: the probability that no object is there, if objects are
        # independent.
        background = torch.prod(1 - p, dim=axis, keepdim=True)
    # Clamped away from 0 and 1, where the logit is infinite.
    joint = torch.cat([background.float(), p], dim=axis).clamp(EPSILON, 1 - EPSILON)
    if method == "naive":
        return joint / joint.sum(axis, keepdim=True)
    if method not in ("soft", "winner-take-all"):
        raise OptionError(f"unknown aggregation {method!r}; use soft, winner-take-all or naive")
    return torch.softmax(torch.logit(joint), dim=axis)


BAND_BYTES = 16 << 20
"""Bytes of the rows of the frame, as float32, that `aggregate_in_bands` merges at once."""


def aggregate_in_bands(
    joint: Tensor,
    method: Aggregation = "soft",
    *,
    background: Tensor | None = None,
    of_logits: bool = False,
) -> Tensor:
    """As `aggregate`, in place: merging takes six times the memory of what is merged.

    Args:
        joint: O+1×H×W, float32 or float16; rows 1.. are the objects' own probabilities, 0 to 1. It
            is overwritten by the result.
        method: The way of merging.
        background: The background's probability, 1×H×W; see `aggregate`.
        of_logits: Rows 1.. are logits of the probabilities.

    Returns:
        `joint`.
    """
    rows = max(1, BAND_BYTES // (4 * joint[:, 0].numel()))
    for top in range(0, joint.shape[1], rows):
        band = joint[:, top : top + rows]
        own = None if background is None else background[:, top : top + rows]
        objects = torch.sigmoid(band[1:].float()) if of_logits else band[1:]
        # Rows of the frame are independent of each other, so bands give the same values.
        band.copy_(aggregate(objects, method, background=own))
    return joint
