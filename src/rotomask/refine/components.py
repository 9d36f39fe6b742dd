"""Connected components under two thresholds: weak pixels count where strong ones vouch for them.

From the one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.4: as in
Canny's edge detector, pixels above a low threshold are kept only in connected components that hold
a pixel above a high one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities
from rotomask.errors import OptionError, ShapeError

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ComponentsConfig:
    """The two thresholds, on an object's probability."""

    low: float = 0.4
    """A pixel at least so probable may belong to the object."""
    high: float = 0.8
    """A component of such pixels is kept if it holds one at least so probable."""

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise OptionError(
                f"thresholds must be 0 < low <= high <= 1, got low {self.low} and high {self.high}"
            )


def strong_components(
    probability: npt.NDArray[np.float32],
    config: ComponentsConfig | None = None,
    region: BoolMask | None = None,
) -> BoolMask:
    """Where one object is: its components that are strong somewhere.

    Components of strong pixels that do not touch the region are dropped first; then those of weak
    pixels within the region are added where they touch what is left.

    Args:
        probability: The object's probability, H×W float32, 0 to 1.
        config: The thresholds.
        region: Where the object is expected, such as its detection's box, H×W bool; None:
            everywhere.

    Returns:
        H×W bool.

    Raises:
        ShapeError: If an array has the wrong shape.

    Example:
        >>> row = np.array([[0.5, 0.9, 0.5, 0.0, 0.5]], np.float32)
        >>> strong_components(row).tolist()
        [[True, True, True, False, False]]
    """
    config = config or ComponentsConfig()
    if probability.ndim != 2 or (region is not None and region.shape != probability.shape):
        other = "" if region is None else f" and {region.shape}"
        raise ShapeError(
            f"an object's probability is H×W, its region too, got {probability.shape}{other}"
        )
    strong, weak = probability >= config.high, probability >= config.low
    if region is not None:
        strong = touching(strong, region)
        weak = strong | (weak & region)
    return touching(weak, strong)


def filter_components(
    probabilities: Probabilities, frame: Frame, config: ComponentsConfig | None = None
) -> Probabilities:
    """Probabilities whose most probable objects are those of `strong_components`.

    An object's probability outside its components goes to the background; within, the low
    threshold becomes one half, so that the object is the most probable label from there on.

    Args:
        probabilities: Distribution over background and objects, C×H×W float32.
        frame: Not used: a refinement is given it (`segmenters.wrappers.Refined`).
        config: The thresholds.

    Returns:
        C×H×W float32, sums to 1 over the first axis.
    """
    config = config or ComponentsConfig()
    filtered = np.empty_like(probabilities)
    for k, probability in enumerate(probabilities[1:], start=1):
        kept = strong_components(probability, config)
        at, known = [0, config.low, 1], [0, 0.5, 1]
        filtered[k] = np.where(kept, np.interp(probability, at, known), 0)
    total = filtered[1:].sum(0)
    filtered[1:] /= np.maximum(total, 1)
    filtered[0] = np.maximum(1 - total, 0)
    return filtered


def touching(mask: BoolMask, seeds: BoolMask) -> BoolMask:
    """The 8-connected components of a mask that hold a seed."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    found = np.unique(labels[seeds & mask])
    return np.asarray(np.isin(labels, found))
