"""Mean, recall and decay of a measure over the frames of a sequence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RECALL_THRESHOLD = 0.5
"""Frames with a value above this count for the recall."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The DAVIS benchmark's statistics of a measure over frames; NaN if no frame was scored."""

    mean: float
    recall: float
    """Fraction of the frames with a value above 0.5."""
    decay: float
    """Mean of the first quarter minus mean of the last quarter: the loss over the sequence."""


def summarize(values: npt.ArrayLike) -> Statistics:
    """Mean, recall and decay of one object's values over the scored frames.

    Perazzi et al. 2016 (DAVIS), sec. 4. Neighbouring quarters share the frame between them, as in
    the DAVIS tools. The Python tool stores the bin edges in 8 bits and is wrong above 256 frames;
    this function is not. NaN, a frame without a value, is ignored.

    Args:
        values: T values in the order of the frames.

    Example:
        >>> summarize([1.0, 0.75, 0.75, 0.25])
        Statistics(mean=0.6875, recall=0.75, decay=0.375)
    """
    series = np.asarray(values, np.float64)
    valid = series[~np.isnan(series)]
    if valid.size == 0:
        return Statistics(mean=float("nan"), recall=float("nan"), decay=float("nan"))
    # The five edges of the quarters as in the DAVIS tools: evenly from 1 to T, halves rounded up as
    # Matlab does (np.round rounds them to even), then counted from 0. Both edges belong to a
    # quarter.
    edges = np.round(np.linspace(1, len(series), 5) + 1e-10).astype(int) - 1
    first, last = series[edges[0] : edges[1] + 1], series[edges[3] : edges[4] + 1]
    return Statistics(
        mean=float(valid.mean()),
        recall=float((valid > RECALL_THRESHOLD).mean()),
        decay=nan_mean(first) - nan_mean(last),
    )


def nan_mean(values: npt.ArrayLike) -> float:
    """Mean of the values that are not NaN; NaN, without np.nanmean's warning, if there are none."""
    series = np.asarray(values, np.float64)
    valid = series[~np.isnan(series)]
    return float(valid.mean()) if valid.size else float("nan")
