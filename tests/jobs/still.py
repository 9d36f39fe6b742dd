"""A segmenter whose masks follow from its last one alone, for tests of what surrounds it."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

import rotomask
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


def cut_in_process(
    video: Path, mask: Path, out: Path, seconds: float, **options: Any
) -> BaseProcess:
    """A process of its own that cuts, with so many seconds for each frame.

    It is forked from a process that has imported everything and opened no video: a fork of the
    test's own process would inherit decoders without their threads.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rotomask.jobs.cut", "tests.jobs.still"])
    process = context.Process(target=_cut, args=(video, mask, out, seconds, options))
    process.start()
    return process


def _cut(video: Path, mask: Path, out: Path, seconds: float, options: dict[str, Any]) -> None:
    rotomask.cut(video, mask, out, segmenter=Shifting(seconds), **options)
