"""Unsupervised, then propagated: found where it is clearest, followed from there both ways."""

import zlib
from collections.abc import Iterator

import numpy as np

from rotomask.arrays import Probabilities
from rotomask.segmenters.base import Segmenter
from rotomask.unsupervised.base import (
    Discoverer,
    Discovery,
    FrameSource,
    OnFrames,
    Proposal,
)


class PropagatingDiscoverer(Discoverer):
    """A discoverer finds the objects, a segmenter follows them from their clearest frame."""

    def __init__(self, discoverer: Discoverer, segmenter: Segmenter) -> None:
        self.discoverer, self.segmenter = discoverer, segmenter

    def __repr__(self) -> str:
        """Both parts."""
        return f"{self.discoverer}, then {self.segmenter}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> "PropagatedDiscovery":
        """Look at the whole video."""
        found = self.discoverer.discover(source, objects=objects, on_frames=on_frames)
        return PropagatedDiscovery(source, found, self.segmenter)


class PropagatedDiscovery(Discovery):
    """The masks of the clearest frame, followed to both ends when they are asked for."""

    def __init__(self, source: FrameSource, found: Discovery, segmenter: Segmenter) -> None:
        self._source, self._found, self._segmenter = source, found, segmenter
        self.reference_index = found.clearest_frame()
        """The frame that the segmenter starts from."""
        first = found.labels(found.masks_at(self.reference_index))
        self._reference = first
        # An object that wins no pixel there cannot be followed.
        self.object_ids = tuple(k for k in found.object_ids if (first == k).any())

    def frames(self) -> Iterator[Probabilities]:
        """The objects' probabilities in every frame, in order.

        The frames before the clearest one are made first, and kept compressed until their turn.
        """
        index = self.reference_index
        if not self.object_ids:
            for frame in self._source.frames():
                yield np.ones((1, *frame.shape[:2]), np.float32)
            return
        earlier = [
            _packed(p) for p in self._follow(self._source.frames(0, index + 1, reverse=True))
        ]
        size = self._reference.shape
        for packed in reversed(earlier[1:]):
            yield _unpacked(packed, (1 + len(self.object_ids), *size))
        yield from self._follow(self._source.frames(index))

    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`; it takes all frames on the way there."""
        for t, probabilities in enumerate(self.frames()):
            if t == index:
                return probabilities
        raise IndexError(index)

    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """The frame in which some objects together (by default all) are clearest."""
        return self._found.clearest_frame(object_ids)

    def proposals(self) -> tuple[Proposal, ...]:
        """Every object in its clearest frame, the best first."""
        return self._found.proposals()

    def _follow(self, frames: Iterator[np.ndarray]) -> Iterator[Probabilities]:
        for t, frame in enumerate(frames):
            if t:
                yield self._segmenter.step(frame)
            else:
                self._segmenter.start(frame, self._reference)
                rows = [self._reference == k for k in (0, *self.object_ids)]
                yield np.stack(rows).astype(np.float32)


def _packed(probabilities: Probabilities) -> bytes:
    return zlib.compress(np.floor(probabilities * 255 + 0.5).astype(np.uint8).tobytes(), 1)


def _unpacked(packed: bytes, shape: tuple[int, ...]) -> Probabilities:
    stored = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape).astype(np.float32)
    probabilities: Probabilities = stored / np.maximum(stored.sum(0), 1)
    return probabilities
