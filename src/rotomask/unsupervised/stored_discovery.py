"""A discovery whose scores are stored small and compressed, and enlarged on request."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities
from rotomask.segmenters.follow import FrameSource
from rotomask.unsupervised.base import Discovery, OnFrames, Proposal, Refine

LEAST_PROBABILITY = 0.1
"""Pixels with a lower probability of an object are ignored by `certainty`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredScores:
    """The compressed scores of one frame, at the size of the network's output."""

    compressed: bytes
    """Scores of the O objects as uint8, compressed by zlib."""
    shape: tuple[int, ...]
    """O×h×w."""
    clarity: npt.NDArray[np.float64]
    """Clarity of each object in this frame, O, 0 to 1."""

    def scores(self) -> Probabilities:
        """O+1×h×w float32 in steps of 1/255, background first."""
        levels = np.frombuffer(zlib.decompress(self.compressed), np.uint8).reshape(self.shape)
        objects = levels.astype(np.float32) / 255
        background = np.clip(1 - objects.sum(0, keepdims=True), 0, 1)
        return np.concatenate([background, objects])


def store_scores(scores: Probabilities, clarity: Sequence[float]) -> StoredScores:
    """Compress a frame's scores to about a tenth of a byte per pixel of the map.

    Args:
        scores: O+1×h×w, background first.
        clarity: Clarity of each object, O, 0 to 1.
    """
    # The background is not stored: it is what the objects leave of 1.
    levels = np.floor(scores[1:] * 255 + 0.5).astype(np.uint8)
    return StoredScores(
        compressed=zlib.compress(levels.tobytes(), 1),
        shape=levels.shape,
        clarity=np.array(clarity, float),
    )


def certainty(probability: npt.NDArray[np.float32]) -> float:
    """Mean of |2p - 1| over an object's pixels, 0 to 1; 0 if no pixel is above 0.5."""
    # The wide background, of which every method is certain, would hide all differences.
    likely = probability[probability >= LEAST_PROBABILITY]
    if not (likely > 0.5).any():
        return 0.0
    return float(np.abs(2 * likely - 1).mean())


class StoredDiscovery(Discovery):
    """A discovery with stored scores; each frame is enlarged and refined when it is requested.

    Args:
        source: The video.
        stored: Scores of every frame.
        object_scores: Score of each object, the best first.
        refine: Refinement of the enlarged probabilities; None: none.
    """

    def __init__(
        self,
        source: FrameSource,
        stored: Sequence[StoredScores],
        object_scores: Sequence[float],
        refine: Refine | None,
    ) -> None:
        self._source, self._stored, self._refine = source, stored, refine
        self._object_scores = tuple(object_scores)
        self.object_ids = tuple(range(1, len(object_scores) + 1))

    def frames(self) -> Iterator[Probabilities]:
        """The objects' probabilities in every frame, in order."""
        for stored, frame in zip(self._stored, self._source.frames(), strict=True):
            yield self._probabilities(stored, frame)

    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`."""
        return self._probabilities(self._stored[index], self._frame(index))

    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """Index of the frame with the highest clarity of the least clear of the objects."""
        rows = [k - 1 for k in (self.object_ids if object_ids is None else object_ids)]
        # The least clear of the objects counts: all are followed from this frame.
        return int(np.argmax([stored.clarity[rows].min() for stored in self._stored]))

    def proposals(self) -> tuple[Proposal, ...]:
        """Proposals of all objects, each in its clearest frame, the best object first."""
        return tuple(self._proposal(k) for k in self.object_ids)

    def _proposal(self, object_id: int) -> Proposal:
        index = self.clearest_frame((object_id,))
        frame = self._frame(index)
        labels = self.labels(self._probabilities(self._stored[index], frame))
        return Proposal(
            object_id=object_id,
            score=self._object_scores[object_id - 1],
            frame_index=index,
            frame=frame,
            mask=labels == object_id,
        )

    def _frame(self, index: int) -> Frame:
        return next(self._source.frames(index, index + 1))

    def _probabilities(self, stored: StoredScores, frame: Frame) -> Probabilities:
        probabilities = enlarge_scores(stored.scores(), (frame.shape[0], frame.shape[1]))
        return probabilities if self._refine is None else self._refine(probabilities, frame)


def enlarge_scores(scores: Probabilities, size: tuple[int, int]) -> Probabilities:
    """Scores O+1×h×w resized to a frame's (height, width), O+1×H×W float32; they still sum to 1."""
    rows = [cv2.resize(row, size[::-1], interpolation=cv2.INTER_LINEAR) for row in scores]
    # Interpolation keeps the sum of 1 only up to rounding.
    probabilities = np.stack([np.asarray(row, np.float32) for row in rows])
    probabilities /= probabilities.sum(0)
    return probabilities


class FrameCounter:
    """Counts processed frames and reports the count to a callback."""

    def __init__(self, on_frames: OnFrames | None) -> None:
        self.on_frames, self.frames = on_frames, 0

    def add(self) -> None:
        """Count one frame."""
        self.frames += 1
        if self.on_frames is not None:
            self.on_frames(self.frames)
