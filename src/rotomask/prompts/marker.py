"""Interface of markers, which make the mask of one frame from prompts."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, Probabilities, check_frame, most_probable
from rotomask.errors import ShapeError
from rotomask.networks.layers.aggregation import aggregate
from rotomask.prompts.checks import check_prompts
from rotomask.prompts.drawing import View, draw_prompt
from rotomask.prompts.kinds import Box, Prompt, RoughMask, is_exact, is_positive, is_stroke

Probability = npt.NDArray[np.float32]
"""Foreground probability of one object, H×W, 0 to 1."""

CERTAIN = 0.99
"""Probability of an object at its positive prompts, and one minus that at its negative ones."""
OBEYED_RADIUS_PX = 3
"""Radius around a click within which the mask is set to what it says."""


class Marker(ABC):
    """Marks objects in one frame at a time: `open` a frame, then get the `mask` of prompts.

    The mask is a function of the frame and the list of prompts: the same list gives the same mask,
    whether given at once or prompt by prompt. Results of `open` and of earlier calls are reused, so
    that a further prompt takes little time.
    """

    def __init__(self) -> None:
        self._frame: Frame | None = None

    @property
    def frame(self) -> Frame:
        """The open frame.

        Raises:
            ShapeError: If none is open.
        """
        if self._frame is None:
            raise ShapeError("no frame is open; call open(frame) first")
        return self._frame

    def open(self, frame: Frame) -> None:
        """Open a frame, H×W×3 uint8 RGB, and compute what does not depend on prompts.

        Raises:
            ShapeError: If it has another shape or dtype.
        """
        check_frame(frame)
        self._frame = frame
        self.prepare(frame)

    def mask(self, prompts: Sequence[Prompt]) -> Probabilities:
        """Probabilities of the objects that have prompts.

        Args:
            prompts: Prompts on the open frame, in the order given.

        Returns:
            O+1×H×W, float32, sums to 1 over the first axis: background, then the objects in the
            order of `object_ids`.

        Raises:
            PromptError: If a prompt is outside the frame, has no area or contradicts another.
            ShapeError: If no frame is open.
        """
        prompts = tuple(prompts)
        size = self.frame.shape[:2]
        check_prompts(prompts, (size[0], size[1]))
        # One object at a time, O × H×W; `aggregate` then makes them and the background sum to 1.
        layers = [
            obey_prompts(self._told_probability(own), own)
            for own in (prompts_of_object(prompts, k) for k in object_ids(prompts))
        ]
        merged = aggregate(torch.from_numpy(np.stack(layers)))
        return np.asarray(merged.numpy(), np.float32)

    def labels(self, prompts: Sequence[Prompt]) -> npt.NDArray[np.int32]:
        """The most probable object id of every pixel, H×W int32; errors as for `mask`."""
        return most_probable(self.mask(prompts), object_ids(prompts))

    def twin(self) -> Self:
        """Second marker of the same kind, for another frame; they share the network."""
        # Shallow: both share the network.
        twin = copy.copy(self)
        twin._frame = None
        return twin

    def prepare(self, frame: Frame) -> None:  # noqa: B027 - GrabCut prepares nothing
        """Compute what all masks of a frame share, such as features."""

    def _told_probability(self, prompts: tuple[Prompt, ...]) -> Probability:
        """Foreground probability of one object by its prompts other than brushes, H×W."""
        told = tuple(prompt for prompt in prompts if not is_exact(prompt))
        rough = [prompt for prompt in told if isinstance(prompt, RoughMask)]
        is_brush_alone = len(told) == len(rough) < len(prompts)
        if any(map(is_positive, told)) and not is_brush_alone:
            return self.object_probability(told)
        # Nothing says what belongs to the object but brushes, and the mask that they change.
        probability = np.zeros(self.frame.shape[:2], np.float32)
        for prompt in rough:
            probability = prompt.mask.astype(np.float32)
        return probability

    @abstractmethod
    def object_probability(self, prompts: tuple[Prompt, ...]) -> Probability:
        """Foreground probability of one object in the open frame, H×W float32.

        Args:
            prompts: Prompts of one object, checked, with a positive one and without brushes;
                those on other objects are among them as negative ones.
        """


def object_ids(prompts: Sequence[Prompt]) -> tuple[int, ...]:
    """Ids of the objects that have prompts, in rising order."""
    return tuple(sorted({prompt.object_id for prompt in prompts}))


def prompts_of_object(prompts: Sequence[Prompt], object_id: int) -> tuple[Prompt, ...]:
    """Prompts for one object: its own, and positive strokes on other objects as negative ones.

    Boxes and masks of other objects are left out, as boxes overlap and masks are rough.
    """
    seen: list[Prompt] = []
    for prompt in prompts:
        if prompt.object_id == object_id:
            seen.append(prompt)
        elif is_stroke(prompt) and prompt.positive:
            seen.append(replace(prompt, positive=False, object_id=object_id))
    return tuple(seen)


def obey_prompts(probability: Probability, prompts: Sequence[Prompt]) -> Probability:
    """Probability with the prompts enforced: certain at clicks, strokes and polygons.

    Where prompts overlap, later ones count. Outside a box the object is ruled out, with a margin.
    """
    height, width = probability.shape
    view = View.whole((height, width))
    obeyed = probability.copy()
    for prompt in prompts:
        if isinstance(prompt, RoughMask):
            continue
        if isinstance(prompt, Box):
            # In the order given: a click outside a box that came before it wins, as it is drawn
            # later.
            obeyed = _clip_to_box(obeyed, prompt)
            continue
        canvas = np.zeros((height, width), np.uint8)
        draw_prompt(canvas, prompt, view, OBEYED_RADIUS_PX)
        sure = canvas > 0
        if prompt.positive:  # at least certain: a higher probability stays
            obeyed[sure] = np.maximum(obeyed[sure], CERTAIN)
        else:
            obeyed[sure] = np.minimum(obeyed[sure], 1 - CERTAIN)
    return obeyed


def _clip_to_box(probability: Probability, box: Box, margin: float = 0.05) -> Probability:
    """Probability without the object outside a box a tenth larger, as users draw boxes roughly."""
    grown = Box(
        box.x - margin * box.width,
        box.y - margin * box.height,
        (1 + 2 * margin) * box.width,
        (1 + 2 * margin) * box.height,
    )
    height, width = probability.shape
    inside = np.zeros((height, width), np.uint8)
    draw_prompt(inside, grown, View.whole((height, width)))
    return np.where(inside > 0, probability, np.minimum(probability, 1 - CERTAIN))


def drop_specks(probability: Probability, prompts: Sequence[Prompt]) -> Probability:
    """Probability without small foreground components that no positive prompt touches.

    A component is small if it has less than 1 % of the foreground.
    """
    foreground = probability > 0.5
    count, components, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    if count <= 2:  # the background and at most one component
        return probability
    height, width = probability.shape
    touched = np.zeros((height, width), np.uint8)
    for prompt in prompts:
        if is_stroke(prompt) and prompt.positive:
            draw_prompt(touched, prompt, View.whole((height, width)), OBEYED_RADIUS_PX)
    # A small part that the user pointed at is no speck.
    safe = set(np.unique(components[touched > 0]).tolist())
    least = 0.01 * foreground.sum()
    small = [k for k in range(1, count) if k not in safe and stats[k, cv2.CC_STAT_AREA] < least]
    if not small:
        return probability
    return np.where(np.isin(components, small), np.minimum(probability, 0.01), probability)
