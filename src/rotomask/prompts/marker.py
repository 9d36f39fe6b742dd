"""Interface of markers: the mask of one frame from its prompts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, Probabilities, check_frame
from rotomask.errors import ShapeError
from rotomask.networks.layers.aggregation import aggregate
from rotomask.prompts.checks import check_prompts
from rotomask.prompts.drawing import View, draw_prompt
from rotomask.prompts.kinds import Box, Click, Painted, Polygon, Prompt, RoughMask, Scribble

Probability = npt.NDArray[np.float32]
"""Foreground probability of one object, H×W, 0 to 1."""

CERTAIN = 0.99
"""Probability of an object at its positive prompts, and one minus that at its negative ones."""
OBEYED_RADIUS_PX = 3
"""Radius around a click within which the mask obeys it."""


class Marker(ABC):
    """Marks objects in one frame at a time: `open` a frame, then ask for the `mask` of prompts.

    The mask is a function of the frame and the list of prompts: the same list gives the same mask,
    whether it was given at once or prompt by prompt. What `open` and earlier calls computed is
    reused, so that one more prompt costs little.
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
        """Take a frame, H×W×3 uint8 RGB, and compute what does not depend on prompts.

        Raises:
            ShapeError: If it has another shape or dtype.
        """
        check_frame(frame)
        self._frame = frame
        self.prepare(frame)

    def mask(self, prompts: Sequence[Prompt]) -> Probabilities:
        """Probabilities of the objects that have prompts.

        Args:
            prompts: On the open frame, in the order in which they were given.

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
        layers = [
            obey_prompts(self.object_probability(own), own)
            for own in (prompts_of_object(prompts, k) for k in object_ids(prompts))
        ]
        merged = aggregate(torch.from_numpy(np.stack(layers)))
        return np.asarray(merged.numpy(), np.float32)

    def labels(self, prompts: Sequence[Prompt]) -> npt.NDArray[np.int32]:
        """The most probable object id of every pixel, H×W int32; errors as for `mask`."""
        ids = np.array((0, *object_ids(prompts)), np.int32)
        return np.asarray(ids[self.mask(prompts).argmax(0)])

    def prepare(self, frame: Frame) -> None:  # noqa: B027 - not every marker has something to do
        """Compute what a frame's masks share."""

    @abstractmethod
    def object_probability(self, prompts: tuple[Prompt, ...]) -> Probability:
        """Foreground probability of one object in the open frame, H×W float32.

        Args:
            prompts: All of one object, checked; other objects' prompts are negative ones of it.
        """


def object_ids(prompts: Sequence[Prompt]) -> tuple[int, ...]:
    """Ids of the objects that have prompts, rising."""
    return tuple(sorted({prompt.object_id for prompt in prompts}))


def prompts_of_object(prompts: Sequence[Prompt], object_id: int) -> tuple[Prompt, ...]:
    """The prompts as one object sees them: what is on another object is not on this one.

    Boxes and masks of other objects say nothing: boxes overlap, and masks are rough.
    """
    seen: list[Prompt] = []
    for prompt in prompts:
        if prompt.object_id == object_id:
            seen.append(prompt)
        elif isinstance(prompt, Click) and prompt.positive:
            seen.append(Click(prompt.x, prompt.y, False, object_id))
        elif isinstance(prompt, Scribble) and prompt.positive:
            seen.append(Scribble(prompt.points, False, object_id, prompt.width_px))
        elif isinstance(prompt, Polygon) and prompt.positive:
            seen.append(Polygon(prompt.points, False, object_id))
        elif isinstance(prompt, Painted) and prompt.positive:
            seen.append(Painted(prompt.mask, False, object_id))
    return tuple(seen)


def obey_prompts(probability: Probability, prompts: Sequence[Prompt]) -> Probability:
    """The probability with what the prompts say put in: certain at clicks, strokes and polygons.

    Later prompts overrule earlier ones where they overlap. A box leaves nothing far outside it.
    """
    height, width = probability.shape
    view = View.whole((height, width))
    obeyed = probability.copy()
    for prompt in prompts:
        if isinstance(prompt, RoughMask):
            continue
        if isinstance(prompt, Box):
            obeyed = _clip_to_box(obeyed, prompt)
            continue
        canvas = np.zeros((height, width), np.uint8)
        draw_prompt(canvas, prompt, view, OBEYED_RADIUS_PX)
        sure = canvas > 0
        if prompt.positive:
            obeyed[sure] = np.maximum(obeyed[sure], CERTAIN)
        else:
            obeyed[sure] = np.minimum(obeyed[sure], 1 - CERTAIN)
    return obeyed


def _clip_to_box(probability: Probability, box: Box, margin: float = 0.05) -> Probability:
    """No object beyond a box that is a tenth larger: users do not draw to the pixel."""
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
    """The probability without small foreground components that no positive prompt touches.

    Small is under 1 % of the foreground.
    """
    foreground = probability > 0.5
    count, components, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    if count <= 2:
        return probability
    height, width = probability.shape
    touched = np.zeros((height, width), np.uint8)
    for prompt in prompts:
        if not isinstance(prompt, Box | RoughMask) and prompt.positive:
            draw_prompt(touched, prompt, View.whole((height, width)), OBEYED_RADIUS_PX)
    safe = set(np.unique(components[touched > 0]).tolist())
    least = 0.01 * foreground.sum()
    small = [k for k in range(1, count) if k not in safe and stats[k, cv2.CC_STAT_AREA] < least]
    if not small:
        return probability
    return np.where(np.isin(components, small), np.minimum(probability, 0.01), probability)
