"""Segmenters whose network is first trained on the reference frames of each video.

RGMP (Oh et al. 2018), sec. 4.3. `training.online` has the function that trains on one frame,
`training.references` the one that trains on several.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
from torch import Tensor, nn

from rotomask.arrays import Frame, Mask, Probabilities, as_labels, check_frame, check_mask
from rotomask.errors import MaskError
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.framing import ids_in
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.wrappers import Wrapper

Learn = Callable[[NetworkSegmenter[Any, Any], Frame, Mask, OnLearning | None], nn.Module]
"""Trained copy of a segmenter's network, from the segmenter, an annotated frame with its mask, and
a callback for progress."""

Wrap = Callable[[Segmenter], Segmenter]
"""A segmenter that runs the given one, and twins of it."""

LearnT = TypeVar("LearnT")


class Learned(Wrapper, Generic[LearnT]):
    """Segmenter whose network is a copy, trained on the video that it follows.

    The given network is not changed.

    Args:
        parent: Segmenter with the network before training.
        learn: Trains a copy of its network.
    """

    def __init__(self, parent: NetworkSegmenter[Any, Any], learn: LearnT) -> None:
        super().__init__(parent.with_network(parent.network))
        self.parent, self.learn = parent, learn
        self.learnt: dict[str, Tensor] | None = None
        """Weights of the network's trained part; None: it has learned nothing yet."""
        self._learnt_from = ""
        self._on_learning: OnLearning | None = None

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Set the callback that is told how far learning is."""
        self._on_learning = on_learning

    def twin(self) -> Segmenter:
        """Second segmenter of the same kind, which is trained on its own video."""
        return type(self)(self.parent, self.learn)

    def take_learnt(self, learnt: Mapping[str, Tensor]) -> None:
        """Follow with weights that were learned before, as `state.restore` needs it.

        Args:
            learnt: The attribute `learnt` of such a segmenter.
        """
        self._follow_with(self._network_with(learnt))

    def _learned_network(self, digest: str, learn: Callable[[], nn.Module]) -> nn.Module:
        """Trained copy of the network.

        Args:
            digest: Hash of what it learns from. Passes to both sides of a frame learn the same, and
                the second of them has it already.
            learn: Trains it.
        """
        if self.learnt is not None and digest == self._learnt_from:
            return self._network_with(self.learnt)
        network = learn()
        part: nn.Module = network.trainable_part()  # type: ignore[operator]
        self.learnt, self._learnt_from = dict(part.state_dict()), digest
        return network

    def _network_with(self, learnt: Mapping[str, Tensor]) -> nn.Module:
        network: Any = copy.deepcopy(self.parent.network)
        network.trainable_part().load_state_dict(learnt)
        return cast(nn.Module, network)

    def _follow_with(self, network: nn.Module) -> None:
        self.segmenter = self.parent.with_network(network)


class OnlineLearned(Learned[Learn]):
    """Segmenter that follows each video with a network trained on its reference frame.

    The given network is not changed: every video has its own copy. Objects and corrections added
    later are followed, but not trained on.

    Args:
        parent: Segmenter with the network before training.
        learn: Trains a copy of its network.
    """

    def __init__(self, parent: NetworkSegmenter[Any, Any], learn: Learn) -> None:
        super().__init__(parent, learn)
        self._wrap: Wrap | None = None

    def __repr__(self) -> str:
        """Segmenter and learning function."""
        return f"{self.segmenter!r}, online learning {self.learn!r}"

    def within(self, wrap: Wrap) -> "OnlineLearned":
        """The same with the learned segmenter in a wrapper, all of which has the one network.

        Args:
            wrap: Wraps a segmenter, such as `wrappers.Flipped`.
        """
        wrapped = OnlineLearned(self.parent, self.learn)
        wrapped._wrap = wrap
        wrapped.segmenter = wrap(wrapped.segmenter)
        return wrapped

    def twin(self) -> Segmenter:
        """Second segmenter of the same kind, which is trained on its own video."""
        twin = OnlineLearned(self.parent, self.learn)
        return twin if self._wrap is None else twin.within(self._wrap)

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video: train on this frame and its mask, and take them as the reference."""
        check_frame(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        network = self._learned_network(
            KnownFrame(frame, mask).digest,
            lambda: self.learn(self.parent, frame, mask, self._on_learning),
        )
        self._follow_with(network)
        self.segmenter.start(frame, mask)

    def _follow_with(self, network: nn.Module) -> None:
        super()._follow_with(network)
        if self._wrap is not None:
            self.segmenter = self._wrap(self.segmenter)


@dataclass(frozen=True, eq=False)
class KnownFrame:
    """A frame whose mask is known."""

    frame: Frame
    labels: Mask
    """H×W integers."""
    object_ids: tuple[int, ...] | None = None
    """Objects that the mask annotates; None: those that appear in it."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects that the mask annotates."""
        return ids_in(self.labels) if self.object_ids is None else self.object_ids

    @property
    def digest(self) -> str:
        """Hash of its content, 64 hexadecimal digits."""
        content = hashlib.sha256(np.ascontiguousarray(self.frame).tobytes())
        content.update(np.ascontiguousarray(self.labels, dtype=np.int32).tobytes())
        content.update(repr(self.ids).encode())
        return content.hexdigest()


LearnFromAll = Callable[
    [NetworkSegmenter[Any, Any], Sequence[KnownFrame], OnLearning | None], nn.Module
]
"""Trained copy of a segmenter's network, from the segmenter, its reference frames, and a callback
for progress."""


class ReferenceLearned(Learned[LearnFromAll]):
    """Segmenter that follows a video with a network trained on all of its reference frames.

    These are the frame of `start` and those of `add_reference`; it learns before the next call. Of
    one frame alone it learns nothing. The given network is not changed. Frames that are added later
    are followed, but not trained on.

    Args:
        parent: Segmenter with the network before training.
        learn: Trains a copy of its network.
    """

    def __init__(self, parent: NetworkSegmenter[Any, Any], learn: LearnFromAll) -> None:
        super().__init__(parent, learn)
        self._waiting: list[KnownFrame] = []

    def __repr__(self) -> str:
        """Segmenter and learning function."""
        return f"{self.parent!r}, learning from references {self.learn!r}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return ids_in(self._waiting[0].labels) if self._waiting else self.segmenter.object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the first reference."""
        check_frame(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        if not mask.any():
            raise MaskError("the reference mask is empty; mark at least one object in it")
        self._waiting = [KnownFrame(frame, mask)]

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        if not self._waiting:
            self.segmenter.add_reference(frame, mask, object_ids)
            return
        check_frame(frame, self._waiting[0].frame.shape[:2])
        mask = as_labels(mask)
        check_mask(mask, frame)
        given = None if object_ids is None else tuple(object_ids)
        self._waiting.append(KnownFrame(frame, mask, given))

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        self._begin()
        return self.segmenter.step(frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        self._begin()
        return self.segmenter.add(frame, mask, object_ids)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self._begin()
        self.segmenter.observe(frame, mask)

    def _begin(self) -> None:
        """Learn from what was given since `start`, and start with what was learned."""
        if not self._waiting:
            return
        known, self._waiting = self._waiting, []
        first, *others = known
        network: nn.Module = self.parent.network
        if others:
            # In an order of their own, so that passes to both sides learn the same.
            ordered = sorted(known, key=lambda one: one.digest)
            network = self._learned_network(
                " ".join(one.digest for one in ordered),
                lambda: self.learn(self.parent, ordered, self._on_learning),
            )
        self._follow_with(network)
        self.segmenter.start(first.frame, first.labels)
        for one in others:
            self.segmenter.add_reference(one.frame, one.labels, one.object_ids)
