"""Interface of every semi-supervised method: follows annotated objects through one video."""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask, Probabilities, most_probable

WorkingAhead = contextlib.AbstractContextManager[Callable[[Frame], None] | None]
"""Context of `Segmenter.working_ahead`."""
OnLearning = Callable[[float], None]
"""Callback with the fraction of learning from an annotated frame that is done, 0..1."""


class Segmenter(ABC):
    """Cuts objects out of one video, a frame at a time.

    Call `start` with an annotated frame, then `step` for each further frame in order. Calling
    `start` again begins a new video.

    Example:
        >>> import rotomask
        >>> segmenter = rotomask.load_model("stm-lite")
        >>> frame = np.zeros((48, 64, 3), np.uint8)
        >>> mask = np.zeros((48, 64), np.int32)
        >>> mask[10:30, 20:40] = 7
        >>> segmenter.start(frame, mask)
        >>> segmenter.step(frame).shape, segmenter.object_ids
        ((2, 48, 64), (7,))
    """

    is_memoryless: ClassVar[bool] = False
    """True if a frame's masks do not depend on the frames between it and the annotated ones."""
    online_lesson: ClassVar[Literal["space-time", "reference-guided"] | None] = None
    """Kind of online learning in `training.online`; None: it cannot learn online."""

    @property
    @abstractmethod
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""

    @abstractmethod
    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference; H×W bool is object 1.

        Raises:
            ShapeError: If frame or mask has the wrong shape or dtype, or their sizes differ.
            MaskError: If the mask is empty.
        """

    @abstractmethod
    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame.

        Returns:
            O+1×H×W, float32, sums to 1 over the first axis.

        Raises:
            ShapeError: If the frame's size differs from the reference frame's.
        """

    @abstractmethod
    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object.

        Args:
            frame: The next frame, as for `step`.
            mask: True labels of the objects in `object_ids`.
            object_ids: Objects that the mask annotates; by default those that appear in it. An id
                listed here without a pixel in the mask is absent from this frame. Other objects are
                segmented, outside the annotated pixels.

        Returns:
            As for `step`, with the annotated objects exactly as in the mask. New ids are appended
            to `object_ids`.
        """

    @abstractmethod
    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting.

        Memory can be rebuilt this way from frames that were finished; it is not exactly that of a
        segmenter that segmented them, which has probabilities in place of labels.
        """

    def add_reference(  # noqa: B027
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one.

        Call it after `start`, before the first `step`. A space-time memory keeps the frame to the
        end, unless it is full of objects; each makes it slower. Other methods, which learn from the
        frame they start at, do nothing, as this implementation.

        Args:
            frame: Any frame of the video, before or after those that are followed.
            mask: True labels of the objects in `object_ids`.
            object_ids: Objects that the mask annotates; by default those that appear in it. Those
                that are not followed are left out.

        Raises:
            ShapeError: As for `add`.
        """

    def report_learning(self, on_learning: OnLearning | None) -> None:  # noqa: B027
        """Set the callback with which `start` and `add` report progress in learning.

        Most segmenters do not learn and never call it.
        """

    def working_ahead(self) -> WorkingAhead:
        """Let what `step` does with a frame alone be done before its turn, beside other frames.

        Within the block PyTorch computes with fewer threads outside the one that works ahead.

        Returns:
            A context that gives a function, which any thread may call: it takes a frame as soon as
            it is read, and `step` must be given the same array. The context gives None if nothing
            can be done ahead, as in most segmenters.
        """
        return contextlib.nullcontext()

    def twin(self) -> "Segmenter":
        """Second segmenter of the same kind, to be started on a video of its own.

        It shares whatever no video changes, above all the network. This implementation shares all
        attributes, which suits segmenters whose `start` replaces all the others.
        """
        return copy.copy(self)

    def labels(self, probabilities: Probabilities) -> npt.NDArray[np.int32]:
        """Most probable object id of every pixel, H×W int32."""
        return most_probable(probabilities, self.object_ids)
