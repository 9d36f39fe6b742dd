"""A segmenter whose masks follow from its last one alone, for tests of what surrounds it."""

import time
from collections.abc import Sequence

import numpy as np

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.segmenters.base import Segmenter


class Shifting(Segmenter):
    """Moves the mask by a pixel a frame; quick, and any lost frame shows in all later ones."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._ids: tuple[int, ...] = ()

    @property
    def object_ids(self) -> tuple[int, ...]:
        return self._ids

    def start(self, frame: Frame, mask: Mask) -> None:
        self._ids = tuple(int(k) for k in np.unique(mask) if k)
        self._mask = np.array(mask)

    def step(self, frame: Frame) -> Probabilities:
        time.sleep(self.seconds)
        self._mask = np.roll(self._mask, 1, axis=1)
        return self._probabilities()

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        self._ids = tuple(sorted({*self._ids, *(int(k) for k in np.unique(mask) if k)}))
        self._mask = np.where(mask > 0, mask, np.roll(self._mask, 1, axis=1))
        return self._probabilities()

    def observe(self, frame: Frame, mask: Mask) -> None:
        self._mask = np.array(mask)

    def _probabilities(self) -> Probabilities:
        return np.stack([self._mask == k for k in (0, *self._ids)]).astype(np.float32)
