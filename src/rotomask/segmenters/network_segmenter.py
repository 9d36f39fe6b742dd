"""Base of the segmenters that run one network over a video: device, and checks of each call."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from rotomask.arrays import Frame, Mask, Probabilities, as_labels, check_frame, check_mask
from rotomask.errors import MaskError, RotomaskError
from rotomask.networks.layers.aggregation import Aggregation
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import Enlarge, enlarged_side, working_size
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.framing import Framing, ids_in
from rotomask.segmenters.views import View

Network = TypeVar("Network")
Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class ProcessingConfig:
    """Settings that segmenters of several objects share: sizes, and how objects are merged."""

    size: int | None = 480
    """Short side at which frames are processed, px; smaller frames are not enlarged. None: every
    frame at its own size."""
    enlarge: Enlarge = False
    """Enlarge smaller frames to `size`; ``auto``: where an object of the mask is small
    (`networks.sizing`)."""
    small_factor: float = 1.0
    """Factor on `size` where an object is small and `enlarge` is ``auto``."""
    aggregation: Aggregation = "soft"
    """Rule by which the objects' probabilities are merged (Oh et al. 2018, eq. 1 and its
    alternatives)."""


class NetworkSegmenter(Segmenter, Generic[Network, Config]):
    """Base of segmenters that run a network.

    A subclass implements `working_size`, and `_start`, `_step`, `_add` and `_observe`, whose
    arguments are already checked.

    Args:
        network: Network; it is moved to the runtime's device, set to evaluation mode and frozen.
        config: Settings; None: `default_config`.
        runtime: Device and precision; None: the best available.
    """

    default_config: ClassVar[Any]
    """Settings of a segmenter that is given none."""

    def __init__(
        self,
        network: nn.Module,
        config: Config | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.config: Config = config or self.default_config
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: Network = network.eval().requires_grad_(False)  # type: ignore[assignment]
        self._ids: tuple[int, ...] = ()
        self._size = (0, 0)
        self._enlarged_side: int | None = None

    def __repr__(self) -> str:
        """Network, device, precision and config."""
        name, runtime = type(self.network).__name__, self.runtime
        return f"{name} on {runtime.device}, {runtime.precision}, {self.config}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self._ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        check_frame(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        ids = ids_in(mask)
        if not ids:
            raise MaskError("the reference mask is empty; mark at least one object in it")
        self._ids, self._size = ids, (frame.shape[0], frame.shape[1])
        self.fit_to(mask)
        self._start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        self._check_next(frame)
        return self._step(frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        self._check_next(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        given = tuple(object_ids) if object_ids is not None else ids_in(mask)
        if not given:
            raise MaskError(
                "the added mask is empty; pass object_ids for objects that are absent, or call step"
            )
        return self._add(frame, mask, given)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self._check_next(frame)
        check_mask(mask, frame)
        self._observe(frame, mask)

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        self._check_next(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        known = object_ids if object_ids is not None else ids_in(mask)
        given = tuple(k for k in known if k in self._ids)
        if given:
            self._add_reference(frame, mask, given)

    def fit_to(self, mask: Mask) -> None:
        """Take note of the objects' size, by which ``enlarge="auto"`` decides; `start` does."""
        config: Any = self.config
        if config.enlarge == "auto":
            self._enlarged_side = enlarged_side(mask, config.size, "auto", config.small_factor)

    @abstractmethod
    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed, before padding, px."""

    def _reduced_or_enlarged(self, size: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
        """Height and width by the config's ``size`` and ``enlarge``, px."""
        config: Any = self.config
        if config.enlarge == "auto" and self._enlarged_side is not None:
            return working_size(size, self._enlarged_side, True, scale)
        return working_size(size, config.size, config.enlarge is True, scale)

    def _new_framing(self, stride: int, view: View | None = None) -> Framing:
        """Conversion of the video's frames to tensors whose sides are multiples of `stride`.

        Args:
            stride: Stride of the network.
            view: Part of the frames; None: the whole frame.
        """
        working_size = self.working_size(self._size) if view is None else view.working_size
        return Framing(
            size=self._size,
            working_size=working_size,
            stride=stride,
            device=self.runtime.device,
            view=view,
        )

    def learning_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of frames in online learning, px: the largest that the network gets."""
        return self.working_size(size)

    def with_network(self, network: nn.Module) -> "NetworkSegmenter[Network, Config]":
        """New segmenter with the same settings that runs another network."""
        kind: Any = type(self)
        segmenter: NetworkSegmenter[Network, Config] = kind(network, self.config, self.runtime)
        return segmenter

    @abstractmethod
    def _start(self, frame: Frame, mask: Mask) -> None:
        """As `start`, with `_ids` and `_size` set."""

    @abstractmethod
    def _step(self, frame: Frame) -> Probabilities:
        """As `step`."""

    @abstractmethod
    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        """As `add`, for at least one object id; appends new ones with `_admit`."""

    @abstractmethod
    def _observe(self, frame: Frame, mask: Mask) -> None:
        """As `observe`."""

    def _add_reference(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> None:
        """As `add_reference`, for at least one object that is followed."""

    def _admit(self, given: tuple[int, ...]) -> None:
        """Append the ids that are not followed yet to the object ids."""
        self._ids += tuple(k for k in given if k not in self._ids)

    def _check_next(self, frame: Frame) -> None:
        """Check that the segmenter was started, and with a frame of the same size."""
        if not self._ids:
            raise RotomaskError("start() the segmenter with an annotated frame first")
        check_frame(frame, self._size)
