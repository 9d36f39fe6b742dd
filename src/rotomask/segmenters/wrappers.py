"""Segmenters made of segmenters: test-time refinements for every method.

"Towards good practices for video object segmentation" (Yu et al. 2019), sec. 3.4: flip testing,
testing at several scales, and an ensemble of networks, each by averaging the objects'
probabilities. RGMP (Oh et al. 2018), sec. 4.3: a dense CRF over the output. Every member follows
the video from its own output; only the outputs are combined.
"""

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OptionError
from rotomask.segmenters.base import OnLearning, Segmenter

Number = TypeVar("Number", bound=np.generic)

Refine = Callable[[Probabilities, Frame], Probabilities]
"""Refined probabilities O+1×H×W from probabilities and their frame H×W×3."""


class Ensemble(Segmenter):
    """Average of several segmenters' probabilities; their networks may differ.

    Args:
        members: At least one segmenter, all different objects.

    Raises:
        OptionError: If there is no member, or the same one twice.
    """

    def __init__(self, members: Sequence[Segmenter]) -> None:
        if not members:
            raise OptionError("an ensemble needs at least one segmenter, got none")
        if len({id(member) for member in members}) < len(members):
            raise OptionError(
                "the same segmenter is in the ensemble twice, but follows one video at a time; "
                "pass twins (Segmenter.twin)"
            )
        self.members = tuple(members)

    def __repr__(self) -> str:
        """The members."""
        return f"{type(self).__name__} of {', '.join(map(repr, self.members))}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self.members[0].object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        for member in self.members:
            member.start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self._average([member.step(frame) for member in self.members])

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        return self._average([member.add(frame, mask, object_ids) for member in self.members])

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        for member in self.members:
            member.observe(frame, mask)

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        for member in self.members:
            member.add_reference(frame, mask, object_ids)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Set the callback for progress in learning for every member."""
        for member in self.members:
            member.report_learning(on_learning)

    def twin(self) -> Segmenter:
        """Second ensemble, of the members' twins."""
        return Ensemble([member.twin() for member in self.members])

    def _average(self, outputs: Sequence[Probabilities]) -> Probabilities:
        """Mean of the members' outputs, O+1×H×W, in the first member's order of objects."""
        # The outputs are the members' own arrays.
        total = outputs[0].copy()
        # Rows are matched by object id: members may have their objects in another order.
        for member, probabilities in zip(self.members[1:], outputs[1:], strict=True):
            row = {k: index for index, k in enumerate(member.object_ids, start=1)}
            total += probabilities[[0, *(row[k] for k in self.object_ids)]]
        average: Probabilities = total / np.float32(len(outputs))
        return average


class Wrapper(Segmenter):
    """Base of segmenters around another one: forwards every call; a subclass overrides some.

    Args:
        segmenter: The wrapped segmenter.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self.segmenter.object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        self.segmenter.start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self.segmenter.step(frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        return self.segmenter.add(frame, mask, object_ids)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self.segmenter.observe(frame, mask)

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        self.segmenter.add_reference(frame, mask, object_ids)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Set the callback with which `start` and `add` report progress in learning."""
        self.segmenter.report_learning(on_learning)

    def twin(self) -> Segmenter:
        """Second wrapper of the same kind, around a twin of the segmenter."""
        twin = copy.copy(self)
        twin.segmenter = self.segmenter.twin()
        return twin


class Mirrored(Wrapper):
    """Segmenter of the video's mirror image, its probabilities mirrored back."""

    def __repr__(self) -> str:
        """The wrapped segmenter."""
        return f"mirrored {self.segmenter!r}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        self.segmenter.start(_mirror(frame), _mirror(mask))

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        # The mirrored view has a negative stride, which PyTorch does not take.
        return np.ascontiguousarray(self.segmenter.step(_mirror(frame))[..., ::-1])

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        mirrored = self.segmenter.add(_mirror(frame), _mirror(mask), object_ids)
        return np.ascontiguousarray(mirrored[..., ::-1])

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self.segmenter.observe(_mirror(frame), _mirror(mask))

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        self.segmenter.add_reference(_mirror(frame), _mirror(mask), object_ids)


class Flipped(Ensemble):
    """Flip testing: average over the video and its mirror image, at twice the cost.

    Args:
        segmenter: Segments the video; its twin segments the mirror image.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__([segmenter, Mirrored(segmenter.twin())])


class MultiScale(Ensemble):
    """Average over several processing sizes.

    Args:
        make: Makes a segmenter that processes frames at the given factor of its usual size, such as
            ``lambda scale: load_model("stm-lite", scale=scale)``. Its frames and outputs have the
            video's own size. Called once per scale, immediately.
        scales: Factors; 0.75 and 1 in the paper.

    Raises:
        OptionError: If there is no scale, or one is not above 0, or above 4.
    """

    def __init__(self, make: Callable[[float], Segmenter], scales: Sequence[float]) -> None:
        if not scales or not all(0 < scale <= 4 for scale in scales):
            raise OptionError(
                f"scales must be above 0 and at most 4, such as 0.75 and 1, got {list(scales)}"
            )
        super().__init__([make(scale) for scale in scales])


class Refined(Wrapper):
    """Segmenter whose output is refined one frame at a time; the refined masks are not fed back.

    Args:
        segmenter: The wrapped segmenter.
        refine: Refines one frame, such as ``partial(dense_crf, config=DenseCRFConfig())`` or
            `filter_components`.
    """

    def __init__(self, segmenter: Segmenter, refine: Refine) -> None:
        super().__init__(segmenter)
        self.refine = refine

    def __repr__(self) -> str:
        """Segmenter and refinement."""
        name = getattr(self.refine, "__name__", repr(self.refine))
        return f"{self.segmenter!r}, refined by {name}"

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self.refine(self.segmenter.step(frame), frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects, which are not refined."""
        probabilities = self.segmenter.add(frame, mask, object_ids)
        given = set(np.unique(mask)) - {0} if object_ids is None else set(object_ids)
        rows = [1 + self.object_ids.index(k) for k in given]
        return _restore(self.refine(probabilities, frame), probabilities, rows)


def _restore(refined: Probabilities, given: Probabilities, rows: Sequence[int]) -> Probabilities:
    """Refined probabilities with some rows as given, the other rows scaled to sum to 1 with them.

    Args:
        refined: O+1×H×W.
        given: O+1×H×W, before refinement.
        rows: Rows to restore.
    """
    result = refined.copy()
    result[rows] = 0
    others = result.sum(0)  # H×W, all but the given rows
    # Normalise the others among themselves. Where the refinement left them nothing, use their
    # probabilities before it.
    result = np.where(others > 1e-6, result / np.maximum(others, 1e-6), given)
    result[rows] = 0
    result *= 1 - given[rows].sum(0)
    result[rows] = given[rows]
    return result


def _mirror(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Mirror image of H×W or H×W×3, left and right exchanged."""
    return np.ascontiguousarray(array[:, ::-1])
