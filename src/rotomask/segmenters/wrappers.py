"""Segmenters made of segmenters: refinements at test time that go with every method.

"Towards good practices for video object segmentation" (Yu et al. 2019), sec. 3.4: flip testing,
testing at several scales, and an ensemble of networks, each by averaging the objects'
probabilities. RGMP (Oh et al. 2018), sec. 4.3: a dense CRF over the output. Every part follows the
video on its own, from its own output; only the outputs are composed.
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
"""Makes better probabilities of probabilities O+1×H×W and their frame H×W×3."""


class Ensemble(Segmenter):
    """The average of several segmenters' probabilities; their networks may differ.

    Args:
        members: Segmenters, at least one. No two of them may be the same one.

    Raises:
        OptionError: If there is no member, or one is there twice.
    """

    def __init__(self, members: Sequence[Segmenter]) -> None:
        if not members:
            raise OptionError("an ensemble needs at least one segmenter, got none")
        if len({id(member) for member in members}) < len(members):
            raise OptionError("a segmenter follows one video at a time; give the ensemble twins")
        self.members = tuple(members)

    def __repr__(self) -> str:
        """The members."""
        return f"{type(self).__name__} of {', '.join(map(repr, self.members))}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self.members[0].object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and take this frame and its mask as the reference."""
        for member in self.members:
            member.start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self._average([member.step(frame) for member in self.members])

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask: a correction, or a new object."""
        return self._average([member.add(frame, mask, object_ids) for member in self.members])

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        for member in self.members:
            member.observe(frame, mask)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Have the learning of each member reported."""
        for member in self.members:
            member.report_learning(on_learning)

    def twin(self) -> Segmenter:
        """Another of the same kind, that shares the networks."""
        return Ensemble([member.twin() for member in self.members])

    def _average(self, outputs: Sequence[Probabilities]) -> Probabilities:
        """Objects are matched by their ids, whatever order a member has them in."""
        total = outputs[0].copy()
        for member, probabilities in zip(self.members[1:], outputs[1:], strict=True):
            row = {k: index for index, k in enumerate(member.object_ids, start=1)}
            total += probabilities[[0, *(row[k] for k in self.object_ids)]]
        average: Probabilities = total / np.float32(len(outputs))
        return average


class Wrapper(Segmenter):
    """Base of what changes one segmenter: hands every call on, and a subclass overrides some.

    Args:
        segmenter: What segments.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self.segmenter.object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and take this frame and its mask as the reference."""
        self.segmenter.start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self.segmenter.step(frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask: a correction, or a new object."""
        return self.segmenter.add(frame, mask, object_ids)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self.segmenter.observe(frame, mask)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Have `start` and `add` report how far learning is."""
        self.segmenter.report_learning(on_learning)

    def twin(self) -> Segmenter:
        """Another of the same kind, to be started on a video of its own; shares the network."""
        twin = copy.copy(self)
        twin.segmenter = self.segmenter.twin()
        return twin


class Mirrored(Wrapper):
    """Shows a segmenter the video's mirror image, and mirrors its probabilities back."""

    def __repr__(self) -> str:
        """The segmenter inside."""
        return f"mirrored {self.segmenter!r}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and take this frame and its mask as the reference."""
        self.segmenter.start(_mirror(frame), _mirror(mask))

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return np.ascontiguousarray(self.segmenter.step(_mirror(frame))[..., ::-1])

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask: a correction, or a new object."""
        mirrored = self.segmenter.add(_mirror(frame), _mirror(mask), object_ids)
        return np.ascontiguousarray(mirrored[..., ::-1])

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self.segmenter.observe(_mirror(frame), _mirror(mask))


class Flipped(Ensemble):
    """Flip testing: the average over the video and its mirror image, at twice the cost.

    Args:
        segmenter: What segments; its twin sees the mirror image.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__([segmenter, Mirrored(segmenter.twin())])


class MultiScale(Ensemble):
    """The average over several processing sizes.

    Args:
        make: Gives a segmenter that processes frames at so many times the usual size, such as
            ``lambda scale: load_model("stm-lite", scale=scale)``. Its frames and outputs have the
            video's own size. It is called once a scale, at once.
        scales: The paper has 0.75 and 1.

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
    """A segmenter whose probabilities are refined, one frame at a time; it does not see that.

    Args:
        segmenter: What segments.
        refine: Such as ``partial(dense_crf, config=DenseCRFConfig())`` or `filter_components`.
    """

    def __init__(self, segmenter: Segmenter, refine: Refine) -> None:
        super().__init__(segmenter)
        self.refine = refine

    def __repr__(self) -> str:
        """The segmenter and what refines it."""
        name = getattr(self.refine, "__name__", repr(self.refine))
        return f"{self.segmenter!r}, refined by {name}"

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self.refine(self.segmenter.step(frame), frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask; that part is not refined."""
        probabilities = self.segmenter.add(frame, mask, object_ids)
        given = set(np.unique(mask)) - {0} if object_ids is None else set(object_ids)
        rows = [1 + self.object_ids.index(k) for k in given]
        return _restore(self.refine(probabilities, frame), probabilities, rows)


def _restore(refined: Probabilities, given: Probabilities, rows: Sequence[int]) -> Probabilities:
    """The refined distribution with some labels' rows as given; the others share the rest."""
    result = refined.copy()
    result[rows] = 0
    others = result.sum(0)
    # Where the refinement left nothing to the others, they stay as they were.
    result = np.where(others > 1e-6, result / np.maximum(others, 1e-6), given)
    result[rows] = 0
    result *= 1 - given[rows].sum(0)
    result[rows] = given[rows]
    return result


def _mirror(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Left and right exchanged, of H×W or H×W×3."""
    return np.ascontiguousarray(array[:, ::-1])
