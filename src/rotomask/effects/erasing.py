"""Effect: the object erased."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rotomask.effects import options
from rotomask.effects.options import Settings

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Erase(Settings):
    """Settings of `erase`."""

    margin: float = options.number(
        1.2, 0, 10, "How far beyond the object's edge is erased.", unit="%"
    )
    below: float = options.number(
        2, 0, 20, "How far below it, where it meets the ground.", unit="%"
    )
    shadow: bool = options.flag(True, "Erase its shadow, too: what other frames show brighter.")
    amount: float = options.number(1, 0, 1, "1: gone; less: a ghost of the object stays.")


def erase(image: Pixels, plate: Pixels, settings: Erase) -> Pixels:
    """The frame with its background in the object's place: H×W×3 uint8.

    Args:
        image: H×W×3 uint8 RGB.
        plate: H×W×3: the same frame without the object.
        settings: How.
    """
    if settings.amount >= 1:
        return plate.copy()
    mixed = image + (plate.astype(np.float32) - image) * np.float32(settings.amount)
    return mixed.round().astype(np.uint8)
