"""Number of clicks: how many prompts a mask takes to become good.

Sofiiuk et al. 2021 (RITM), sec. 4, as their code counts: at most 20 clicks, a failure costs 20.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rotomask.errors import OptionError

MOST_CLICKS = 20


def number_of_clicks(ious: Sequence[float], target: float, most: int = MOST_CLICKS) -> int:
    """The first click after which the IoU is at least `target`, from 1; `most` if none is.

    Args:
        ious: IoU after each click.
        target: 0 to 1.
        most: Clicks that count.

    Example:
        >>> number_of_clicks([0.6, 0.86, 0.84, 0.91], 0.85)
        2
        >>> number_of_clicks([0.6, 0.7], 0.85)
        20
    """
    reached = np.flatnonzero(np.asarray(ious[:most], float) >= target)
    return int(reached[0]) + 1 if len(reached) else most


@dataclass(frozen=True, kw_only=True)
class ClickScores:
    """Means over the images of a data set."""

    images: int
    noc85: float
    """Mean number of clicks to an IoU of 0.85."""
    noc90: float
    failed85: int
    """Images that do not get there within 20 clicks, or only with the last."""
    failed90: int
    iou: tuple[float, ...]
    """Mean IoU after each click."""


def click_scores(curves: Sequence[Sequence[float]], most: int = MOST_CLICKS) -> ClickScores:
    """Scores of the IoU curves of all images.

    Args:
        curves: IoU after each click, a list an image. A shorter one stays at its last value, as
            the mask does when nothing is left to correct.
        most: Clicks that count.

    Raises:
        OptionError: If there is no curve, or one is empty.
    """
    if not curves or any(len(curve) == 0 for curve in curves):
        raise OptionError("scores of clicks need images, and for each of them an IoU a click")
    full = np.array([[*c[:most], *[c[-1]] * (most - len(c))] for c in curves], float)
    counts = {t: np.array([number_of_clicks(c, t, most) for c in full]) for t in (0.85, 0.9)}
    return ClickScores(
        images=len(full),
        noc85=float(counts[0.85].mean()),
        noc90=float(counts[0.9].mean()),
        failed85=int((counts[0.85] == most).sum()),
        failed90=int((counts[0.9] == most).sum()),
        iou=tuple(full.mean(0).tolist()),
    )
