"""The contract of every method that needs no annotation: a whole video in, its objects out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities
from rotomask.segmenters.follow import FrameSource

OnFrames = Callable[[int], None]
"""Told how many frames a discoverer has looked at, all its passes counted."""


@dataclass(frozen=True)
class FrameList:
    """Frames in memory as a source."""

    images: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.images)

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """The frames start, start + 1, ... before stop, or the same backwards."""
        chosen = self.images[start:stop]
        return iter(chosen[::-1] if reverse else chosen)


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """One object that a discoverer found, as the mask of the frame in which it is clearest."""

    object_id: int
    """1 for the best, 2 for the second ..."""
    score: float
    """How sure the discoverer is that this is what the video is about, 0 to 1."""
    frame_index: int
    frame: Frame
    """That frame, H×W×3 uint8 RGB."""
    mask: npt.NDArray[np.bool_]
    """H×W."""


class Discovery(ABC):
    """What a discoverer found in one video."""

    object_ids: tuple[int, ...]
    """The objects, 1, 2, ..., the best first; empty where nothing was found."""

    @abstractmethod
    def frames(self) -> Iterator[Probabilities]:
        """The objects' probabilities in every frame, in order.

        Returns:
            Of each frame O+1×H×W, float32, background first, sums to 1 over the first axis.
        """

    @abstractmethod
    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`."""

    @abstractmethod
    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """The frame in which some objects together (by default all) are clearest."""

    @abstractmethod
    def proposals(self) -> tuple[Proposal, ...]:
        """Every object in its clearest frame, the best first."""

    def labels(self, probabilities: Probabilities) -> npt.NDArray[np.int32]:
        """The most probable object id of every pixel, H×W int32."""
        ids = np.array((0, *self.object_ids), dtype=np.int32)
        labels: npt.NDArray[np.int32] = ids[probabilities.argmax(axis=0)]
        return labels


class Discoverer(ABC):
    """Finds the objects of a video that nobody marked."""

    @abstractmethod
    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> Discovery:
        """Look at the whole video.

        Memory is bounded by a few kilobytes a frame, whatever the frames' size.

        Args:
            source: The video.
            objects: Most objects to find; fewer are found where there are fewer.
            on_frames: Called after each frame of each pass.

        Raises:
            OptionError: If `objects` is below 1.
            InputError: If the video has no frame.
            ShapeError: If a frame has the wrong shape or dtype, or another size than the first.
        """
