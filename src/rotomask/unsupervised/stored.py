"""What a discoverer keeps of a video: the small, compressed scores of every frame."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities
from rotomask.segmenters.follow import FrameSource
from rotomask.unsupervised.base import Discovery, OnFrames, Proposal

Refine = Callable[[Probabilities, Frame], Probabilities]
"""Makes O+1×H×W probabilities follow the edges of the frame."""

SEEN = 0.1
"""Pixels with at least this probability of an object are looked at to tell how clear it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KeptScores:
    """The scores of one frame, at the size of the maps."""

    compressed: bytes
    shape: tuple[int, ...]
    clarity: npt.NDArray[np.float64]
    """How clear each object is, 0 to 1."""

    def scores(self) -> Probabilities:
        """O+1×h×w, float32, in steps of 1/255, background first."""
        stored = np.frombuffer(zlib.decompress(self.compressed), np.uint8).reshape(self.shape)
        objects = stored.astype(np.float32) / 255
        rest = np.clip(1 - objects.sum(0, keepdims=True), 0, 1)
        return np.concatenate([rest, objects])


def keep_scores(scores: Probabilities, clarity: Sequence[float]) -> KeptScores:
    """Compress a frame's scores to about a tenth of a byte a pixel of the map.

    Args:
        scores: O+1×h×w, background first.
        clarity: How clear each object is, O, 0 to 1.
    """
    stored = np.floor(scores[1:] * 255 + 0.5).astype(np.uint8)
    return KeptScores(
        compressed=zlib.compress(stored.tobytes(), 1),
        shape=stored.shape,
        clarity=np.array(clarity, float),
    )


def certainty(probability: npt.NDArray[np.float32]) -> float:
    """How far from undecided an object's pixels are, 0 to 1; 0 where there is none."""
    seen = probability[probability >= SEEN]
    if not (seen > 0.5).any():
        return 0.0
    return float(np.abs(2 * seen - 1).mean())


class StoredDiscovery(Discovery):
    """Objects whose scores are kept small, and brought to the frames' size when asked for."""

    def __init__(
        self,
        source: FrameSource,
        kept: Sequence[KeptScores],
        object_scores: Sequence[float],
        refine: Refine | None,
    ) -> None:
        self._source, self._kept, self._refine = source, kept, refine
        self._object_scores = tuple(object_scores)
        self.object_ids = tuple(range(1, len(object_scores) + 1))

    def frames(self) -> Iterator[Probabilities]:
        """The objects' probabilities in every frame, in order."""
        for kept, frame in zip(self._kept, self._source.frames(), strict=True):
            yield self._finish(kept, frame)

    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`."""
        return self._finish(self._kept[index], self._frame(index))

    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """The frame in which some objects together (by default all) are clearest."""
        rows = [k - 1 for k in (self.object_ids if object_ids is None else object_ids)]
        return int(np.argmax([kept.clarity[rows].min() for kept in self._kept]))

    def proposals(self) -> tuple[Proposal, ...]:
        """Every object in its clearest frame, the best first."""
        return tuple(self._proposal(k) for k in self.object_ids)

    def _proposal(self, object_id: int) -> Proposal:
        index = self.clearest_frame((object_id,))
        frame = self._frame(index)
        labels = self.labels(self._finish(self._kept[index], frame))
        return Proposal(
            object_id=object_id,
            score=self._object_scores[object_id - 1],
            frame_index=index,
            frame=frame,
            mask=labels == object_id,
        )

    def _frame(self, index: int) -> Frame:
        return next(self._source.frames(index, index + 1))

    def _finish(self, kept: KeptScores, frame: Frame) -> Probabilities:
        probabilities = enlarge_scores(kept.scores(), (frame.shape[0], frame.shape[1]))
        return probabilities if self._refine is None else self._refine(probabilities, frame)


def enlarge_scores(scores: Probabilities, size: tuple[int, int]) -> Probabilities:
    """Scores O+1×h×w at a frame's (height, width): they still sum to 1."""
    rows = [cv2.resize(row, size[::-1], interpolation=cv2.INTER_LINEAR) for row in scores]
    probabilities = np.stack([np.asarray(row, np.float32) for row in rows])
    probabilities /= probabilities.sum(0)
    return probabilities


class FrameCounter:
    """Counts the frames that were looked at, and says so."""

    def __init__(self, on_frames: OnFrames | None) -> None:
        self.on_frames, self.frames = on_frames, 0

    def add(self) -> None:
        """One more frame."""
        self.frames += 1
        if self.on_frames is not None:
            self.on_frames(self.frames)
