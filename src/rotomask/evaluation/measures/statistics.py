"""From one figure a frame to one a sequence: mean, recall and decay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RECALL_THRESHOLD = 0.5
"""A frame above this counts as recalled."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the DAVIS benchmark says of a series; NaN when no frame was scored."""

    mean: float
    recall: float
    """Share of the frames with a value above 0.5."""
    decay: float
    """Mean of the first quarter less that of the last: what is lost over the sequence."""


def summarize(values: npt.ArrayLike) -> Statistics:
    """Mean, recall and decay of one object's values over the scored frames.

    Perazzi et al. 2016 (DAVIS), sec. 4. Neighbouring quarters share the frame between them, as in
    the DAVIS tools; their Python one holds the bin edges in 8 bits and so goes wrong above 256
    frames, this does not. NaN stands for a frame without a figure and counts for nothing.

    Args:
        values: T figures in the order of the frames.

    Example:
        >>> summarize([1.0, 0.75, 0.75, 0.25])
        Statistics(mean=0.6875, recall=0.75, decay=0.375)
    """
    series = np.asarray(values, np.float64)
    known = series[~np.isnan(series)]
    if known.size == 0:
        return Statistics(mean=float("nan"), recall=float("nan"), decay=float("nan"))
    edges = np.round(np.linspace(1, len(series), 5) + 1e-10).astype(int) - 1
    first, last = series[edges[0] : edges[1] + 1], series[edges[3] : edges[4] + 1]
    return Statistics(
        mean=float(known.mean()),
        recall=float((known > RECALL_THRESHOLD).mean()),
        decay=mean_of_known(first) - mean_of_known(last),
    )


def mean_of_known(values: npt.ArrayLike) -> float:
    """Mean without the NaNs; NaN when there is nothing else."""
    series = np.asarray(values, np.float64)
    known = series[~np.isnan(series)]
    return float(known.mean()) if known.size else float("nan")
