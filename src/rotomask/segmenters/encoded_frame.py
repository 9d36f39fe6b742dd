"""A frame as a space-time network sees it, and what of it is computed before its turn."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rotomask.segmenters import memory_values
from rotomask.segmenters.framing import Framing
from rotomask.segmenters.memory_bank import JoinedMemory
from rotomask.segmenters.space_time_config import SpaceTimeConfig
from rotomask.segmenters.surroundings import (
    Window,
    grown,
    union,
    whole_frame,
    widened,
    window_around,
)

LARGEST_PART = 0.75
"""Largest part of a frame that is encoded alone: a larger one saves little."""


@dataclass(frozen=True)
class Plan:
    """What is computed of a frame before its turn.

    The masks of the frame before are not known then; they are expected near the ones before those.
    """

    not_stored: ClassVar[frozenset[str]] = frozenset({"memory"})

    region: Window | None = None
    """Part that is encoded; None: the whole frame."""
    read: Window | None = None
    """Part for which memory is read; None: nothing is read before its turn."""
    memory: tuple[JoinedMemory, ...] | None = None
    """What is read."""


@dataclass
class EncodedFrame:
    """A frame as the network sees it."""

    framing: Framing
    """By which the image was made."""
    image: Tensor
    """1×3×H×W uint8, padded."""
    features: Any
    """Output of `encode_frame` for the region."""
    region: Window
    plan: Plan
    readout: Tensor | None = None
    """Of the plan's window and memory, O×Cv×h×w."""

    @property
    def whole(self) -> Window:
        """The window of the whole frame."""
        return whole_frame(self.image.shape)

    @property
    def whole_features(self) -> Any:
        """Features of the whole frame; None if only a part was encoded."""
        return self.features if self.region == self.whole else None


def planned_parts(
    index: int, masks: Tensor, config: SpaceTimeConfig
) -> tuple[Window | None, Window | None]:
    """The part of a frame that is encoded before its turn, None for all, and the part that is read.

    The second is None where nothing is read before the turn.

    Args:
        index: Number of the frame.
        masks: Soft masks of the frame two before, O×H×W.
        config: Settings of the segmenter.
    """
    is_many = len(masks) > memory_values.OBJECTS_AT_ONCE
    if config.margin is None or config.use_previous or is_many:
        return None, None
    everywhere = index % config.whole_every == 0
    read = whole_frame(masks.shape) if everywhere else _expected_part(masks, config.margin)
    # The memory holds the whole frame: what else is there keeps look-alikes apart.
    is_whole = is_remembered(index, config) or _is_large(read, masks.shape)
    return None if is_whole else read, read


def early_plan_for(index: int, plan_before: Plan, config: SpaceTimeConfig) -> Plan | None:
    """What of a frame can be computed while the one two before is segmented; None: nothing.

    A frame that will be remembered is encoded whole, wherever the objects are. That takes up to
    three times as long as a part does, and would be waited for if it began a frame later.

    Args:
        index: Number of the frame.
        plan_before: Plan of the frame before it.
        config: Settings of the segmenter.
    """
    follows_part = plan_before.region is not None
    return Plan() if follows_part and is_remembered(index, config) else None


def is_remembered(index: int, config: SpaceTimeConfig) -> bool:
    """True if a frame will be put into memory."""
    return index % config.memory_every == 0


def _expected_part(masks: Tensor, margin: float) -> Window:
    """Where objects are looked for two frames on."""
    frame = whole_frame(masks.shape)
    near = union([grown(window_around(mask, margin), frame) for mask in masks])
    return widened(near, frame)


def _is_large(part: Window, shape: torch.Size) -> bool:
    """True if nothing is gained by encoding a part of a frame ...×H×W alone."""
    return part.area > LARGEST_PART * whole_frame(shape).area


def part_of(image: Tensor, window: Window) -> Tensor:
    """A window of an image, in the layout of its own that the network computes in."""
    if window == whole_frame(image.shape):
        return image
    return image[(..., *window)].contiguous(memory_format=torch.channels_last)
