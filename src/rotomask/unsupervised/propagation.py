"""Find, then follow: discovered objects are propagated from their clearest frame to both ends."""

import tempfile
import zlib
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, FollowedFrame, FrameSource, Pass, follow
from rotomask.unsupervised.base import Discoverer, Discovery, OnFrames, Proposal

SPOOL_BYTES = 16 << 20
"""Compressed probabilities held in memory; more of them go to a temporary file."""


def clearest_annotation(discovery: Discovery) -> tuple[int, npt.NDArray[np.int32]]:
    """The frame in which all objects together are clearest, and their labels there.

    Returns:
        The frame's index and labels H×W int32, all 0 if nothing was discovered.
    """
    index = discovery.clearest_frame()
    return index, discovery.labels(discovery.masks_at(index))


class PropagatingDiscoverer(Discoverer):
    """A discoverer whose objects a segmenter follows through the video."""

    def __init__(self, discoverer: Discoverer, segmenter: Segmenter) -> None:
        self.discoverer, self.segmenter = discoverer, segmenter

    def __repr__(self) -> str:
        """Both components."""
        return f"{self.discoverer}, then {self.segmenter}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> "PropagatedDiscovery":
        """Find the objects of a video; see `Discoverer.discover`."""
        discovery = self.discoverer.discover(source, objects=objects, on_frames=on_frames)
        return PropagatedDiscovery(source, discovery, self.segmenter)


class PropagatedDiscovery(Discovery):
    """A discovery by propagation: the masks of the clearest frame, followed when requested."""

    def __init__(self, source: FrameSource, discovery: Discovery, segmenter: Segmenter) -> None:
        self._source, self._discovery, self._segmenter = source, discovery, segmenter
        self.reference_index, self._reference = clearest_annotation(discovery)
        """The frame that the segmenter starts from."""
        # An object that wins no pixel there cannot be followed.
        self.object_ids = tuple(k for k in discovery.object_ids if (self._reference == k).any())

    def frames(self) -> Iterator[Probabilities]:
        """Probabilities of background and objects in every frame, in order.

        The frames before the clearest one are segmented first, backwards, and stored compressed
        until it is their turn: in memory up to `SPOOL_BYTES`, then in a temporary file.
        """
        index = self.reference_index
        if not self.object_ids:
            for frame in self._source.frames():
                yield np.ones((1, *frame.shape[:2]), np.float32)
            return
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            earlier = _ProbabilityStack(spool, (1 + len(self.object_ids), *self._reference.shape))
            backward = self._follow(Pass(0, index + 1, reverse=True))
            next(backward)  # the reference frame itself, which the forward pass gives too
            for followed in backward:
                # Backwards, so the stack gives them out in order.
                earlier.push(self._probabilities(followed))
            while earlier:
                yield earlier.pop()
        for followed in self._follow(Pass(index, len(self._source))):
            yield self._probabilities(followed)

    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`; it takes all frames on the way there."""
        for t, probabilities in enumerate(self.frames()):
            if t == index:
                return probabilities
        raise IndexError(index)

    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """Index of the frame in which the given objects together (by default all) are clearest."""
        return self._discovery.clearest_frame(object_ids)

    def proposals(self) -> tuple[Proposal, ...]:
        """Proposals of all objects, each in its clearest frame, the best object first."""
        return self._discovery.proposals()

    def _follow(self, frames: Pass) -> Iterator[FollowedFrame]:
        images = self._source.frames(frames.start, frames.stop, reverse=frames.reverse)
        numbered = zip(frames.indices, images, strict=False)
        return follow(
            self._segmenter, numbered, {self.reference_index: Annotation(self._reference)}
        )

    def _probabilities(self, followed: FollowedFrame) -> Probabilities:
        """O+1×H×W; those of the reference frame are 0 or 1."""
        if followed.probabilities is not None:
            return followed.probabilities
        return np.stack([followed.labels == k for k in (0, *self.object_ids)]).astype(np.float32)


class _ProbabilityStack:
    """Compressed probabilities in a file, last in, first out."""

    def __init__(self, file: IO[bytes], shape: tuple[int, ...]) -> None:
        self._file, self._shape = file, shape
        self._ends = [0]  # where each entry ends, 0 before the first

    def __len__(self) -> int:
        return len(self._ends) - 1

    def push(self, probabilities: Probabilities) -> None:
        stored = np.floor(probabilities * 255 + 0.5).astype(np.uint8)
        self._file.write(zlib.compress(stored.tobytes(), 1))
        self._ends.append(self._file.tell())

    def pop(self) -> Probabilities:
        """In steps of 1/255, scaled to sum to 1 again."""
        end = self._ends.pop()
        # Entries that were given out stay in the file; nothing is pushed after the first pop.
        self._file.seek(self._ends[-1])
        packed = self._file.read(end - self._ends[-1])
        stored = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self._shape)
        scaled = stored.astype(np.float32)
        probabilities: Probabilities = scaled / np.maximum(scaled.sum(0), 1)
        return probabilities
