"""A frame as a space-time network sees it, and what of it is computed before its turn."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rotomask.segmenters.framing import Framing
from rotomask.segmenters.memory_bank import JoinedMemory
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
    """1×3×H×W, padded."""
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


def expected_part(masks: Tensor, margin: float) -> Window:
    """Where objects are looked for two frames on.

    Args:
        masks: Soft masks of the frame two before, O×H×W.
        margin: As in `window_around`.
    """
    frame = whole_frame(masks.shape)
    near = union([grown(window_around(mask, margin), frame) for mask in masks])
    return widened(near, frame)


def is_large(part: Window, shape: torch.Size) -> bool:
    """True if nothing is gained by encoding a part of a frame ...×H×W alone."""
    return part.area > LARGEST_PART * whole_frame(shape).area


def part_of(image: Tensor, window: Window) -> Tensor:
    """A window of an image, in the layout of its own that the network computes in."""
    if window == whole_frame(image.shape):
        return image
    return image[(..., *window)].contiguous(memory_format=torch.channels_last)
