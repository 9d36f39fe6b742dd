"""Number of clicks (NoC): clicks that a mask needs to reach a given IoU.

Sofiiuk et al. 2021 (RITM), sec. 4, counted as in their code: at most 20 clicks; a failure
counts 20.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rotomask.errors import OptionError

MOST_CLICKS = 20
"""Maximum number of clicks on an image, and the count of a failure."""


def number_of_clicks(ious: Sequence[float], target: float, most: int = MOST_CLICKS) -> int:
    """Number of the first click, from 1, after which the IoU is at least `target`; else `most`.

    Args:
        ious: IoU after each click.
        target: 0 to 1.
        most: Maximum number of clicks.

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
    """Number of images."""
    noc85: float
    """Mean number of clicks to an IoU of 0.85."""
    noc90: float
    """Mean number of clicks to an IoU of 0.9."""
    failed85: int
    """Number of images that need 20 clicks or more to an IoU of 0.85."""
    failed90: int
    """Number of images that need 20 clicks or more to an IoU of 0.9."""
    iou: tuple[float, ...]
    """Mean IoU over the images after each click."""


def click_scores(curves: Sequence[Sequence[float]], most: int = MOST_CLICKS) -> ClickScores:
    """Scores of the IoU curves of all images.

    Args:
        curves: IoU after each click, one list per image. A shorter list keeps its last value, as
            the mask does when no pixel is wrong.
        most: Maximum number of clicks.

    Raises:
        OptionError: If there are no curves, or one is empty.
    """
    if not curves or any(len(curve) == 0 for curve in curves):
        raise OptionError(
            "click scores need one list of IoUs per image, none of them empty; got "
            f"{[len(curve) for curve in curves]}"
        )
    # Images×clicks
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
