"""Hysteresis thresholding: keep only connected components with a high probability somewhere.

The one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.4: as in Canny's
edge detector, pixels above a low threshold are kept only in connected components that contain a
pixel above a high threshold.
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
    """The two thresholds of an object's probability."""

    low: float = 0.4
    """Least probability of a weak pixel; other pixels are not the object's."""
    high: float = 0.8
    """Least probability of a strong pixel; a component without one is removed."""

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
    """Mask of one object: its connected components that contain a strong pixel.

    With a region, components of strong pixels that do not touch it are removed first; then weak
    pixels inside the region are added where they are connected to the remaining strong ones.

    Args:
        probability: The object's probability, H×W float32, 0 to 1.
        config: The thresholds.
        region: Where the object can be, such as its detected box, H×W bool; None: everywhere.

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
        raise ShapeError(f"probability and region must both be H×W, got {probability.shape}{other}")
    strong, weak = probability >= config.high, probability >= config.low
    if region is not None:
        # Strong components may extend beyond the region; weak pixels count only inside it.
        strong = connected_to(region, strong)
        weak = strong | (weak & region)
    return connected_to(strong, weak)


def filter_components(
    probabilities: Probabilities, frame: Frame, config: ComponentsConfig | None = None
) -> Probabilities:
    """Probabilities after hysteresis thresholding of every object.

    An object's probability outside its `strong_components` goes to the background. Inside, the low
    threshold is mapped to 0.5, so that a single object is the most probable label from there on.

    Args:
        probabilities: Distribution over background and objects, C×H×W float32.
        frame: Not used; `segmenters.wrappers.Refined` passes it to every refinement.
        config: The thresholds.

    Returns:
        C×H×W float32, sums to 1 over the first axis.
    """
    config = config or ComponentsConfig()
    filtered = np.empty_like(probabilities[1:])
    for k, probability in enumerate(probabilities[1:]):
        filtered[k] = lift_threshold(
            probability, strong_components(probability, config), config.low
        )
    return with_background(filtered)


def lift_threshold(
    probability: npt.NDArray[np.float32], mask: BoolMask, threshold: float
) -> npt.NDArray[np.float32]:
    """The probability inside a mask with the threshold mapped to 0.5, and 0 outside.

    Piecewise linear: 0 stays 0 and 1 stays 1.

    Args:
        probability: H×W, 0 to 1.
        mask: H×W.
        threshold: The probability that becomes 0.5.

    Returns:
        H×W float32, 0 to 1.
    """
    lifted = probability
    if threshold != 0.5:
        lifted = np.interp(probability, [0, threshold, 1], [0, 0.5, 1]).astype(np.float32)
    return np.where(mask, lifted, np.float32(0))


def with_background(objects: npt.NDArray[np.float32]) -> Probabilities:
    """A distribution from separate object probabilities: the background gets the remainder.

    Args:
        objects: O×H×W, 0 to 1. Where they sum to more than 1 they are divided by their sum.

    Returns:
        O+1×H×W float32, background first, sums to 1 over the first axis.
    """
    total = objects.sum(0)
    return np.concatenate([np.maximum(1 - total, 0)[None], objects / np.maximum(total, 1)])


def connected_to(seeds: BoolMask, mask: BoolMask) -> BoolMask:
    """The 8-connected components of a mask that contain a seed, H×W bool."""
    connected = np.zeros(mask.shape, bool)
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    inside = np.s_[y : y + height, x : x + width]
    if not width:
        return connected
    count, labels = cv2.connectedComponents(np.ascontiguousarray(mask[inside]).view(np.uint8))
    # A table of the labels: `np.isin` sorts all pixels. Seeds outside the mask are left out, as
    # they have label 0, the background.
    has_seed = np.zeros(count, bool)
    has_seed[labels[seeds[inside] & mask[inside]]] = True
    connected[inside] = has_seed[labels]
    return connected
