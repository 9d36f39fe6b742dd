"""The interface of unsupervised methods: a `Discoverer` finds the objects of a whole video."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities, most_probable
from rotomask.segmenters.follow import FrameSource

OnFrames = Callable[[int], None]
"""Callback with the number of frames processed so far, counted over all passes."""

Refine = Callable[[Probabilities, Frame], Probabilities]
"""Refines probabilities O+1×H×W with the help of their frame, such as `dense_crf`."""


@dataclass(frozen=True)
class FrameList:
    """A `FrameSource` of frames in memory."""

    images: Sequence[Frame]

    def __len__(self) -> int:
        return len(self.images)

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """The frames from `start` to before `stop`, in reverse order if `reverse`."""
        selected = self.images[start:stop]
        return iter(selected[::-1] if reverse else selected)


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """An object proposal: the mask of one discovered object in its clearest frame."""

    object_id: int
    """1 for the best object, 2 for the second, and so on."""
    score: float
    """Confidence that this is a main object of the video, 0 to 1."""
    frame_index: int
    """Index of the object's clearest frame."""
    frame: Frame
    """That frame, H×W×3 uint8 RGB."""
    mask: npt.NDArray[np.bool_]
    """The object's mask in that frame, H×W."""


class Discovery(ABC):
    """The result of a discoverer for one video: the masks of its objects."""

    object_ids: tuple[int, ...]
    """Ids of the objects, 1, 2, ..., the best first; empty if nothing was discovered."""

    @abstractmethod
    def frames(self) -> Iterator[Probabilities]:
        """Probabilities of background and objects in every frame, in order.

        Returns:
            For each frame O+1×H×W float32, background first, sums to 1 over the first axis.
        """

    @abstractmethod
    def masks_at(self, index: int) -> Probabilities:
        """The probabilities of one frame, as in `frames`."""

    @abstractmethod
    def clearest_frame(self, object_ids: tuple[int, ...] | None = None) -> int:
        """Index of the frame in which the given objects together (by default all) are clearest."""

    @abstractmethod
    def proposals(self) -> tuple[Proposal, ...]:
        """Proposals of all objects, each in its clearest frame, the best object first."""

    def labels(self, probabilities: Probabilities) -> npt.NDArray[np.int32]:
        """The most probable object id of every pixel, H×W int32."""
        return most_probable(probabilities, self.object_ids)


class Discoverer(ABC):
    """Base class of unsupervised methods: they find the main objects of a video by themselves."""

    refine: Refine | None = None
    """Refinement of the masks of each frame that is asked for; None: none."""

    @abstractmethod
    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> Discovery:
        """Find the objects of a video; the whole video is read.

        Memory grows by a few kilobytes per frame, whatever the size of the frames.

        Args:
            source: The video.
            objects: Largest number of objects.
            on_frames: Called after each frame of each pass.

        Raises:
            OptionError: If `objects` is below 1.
            InputError: If the video has no frames.
            ShapeError: If a frame has the wrong shape or dtype, or another size than the first.
        """
