"""The mask of a frame from the marks on it: prompts of the networks, and strokes that paint."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask
from rotomask.errors import PromptError
from rotomask.jobs.carrying import corrected_mask
from rotomask.prompts import Box, Click, Marker, Polygon, Prompt, Scribble
from rotomask.prompts.checks import check_prompt
from rotomask.prompts.drawing import View, draw_prompt

Labels = npt.NDArray[np.int32]
Placed = tuple[int, Mapping[str, Any]]
"""An object's label, and a mark on it."""

NETWORK, GRABCUT, PAINT = "network", "grabcut", "paint"


def method(mark: Mapping[str, Any]) -> str:
    """What turns a mark into a mask: the network, GrabCut, or the mark as it is."""
    if mark["kind"] in ("click", "box"):
        return NETWORK
    if mark["kind"] == "scribble":
        return GRABCUT if mark.get("method") == GRABCUT else NETWORK
    return PAINT


def prompt_of(mark: Mapping[str, Any], label: int) -> Prompt:
    """A mark of the page as a prompt of `rotomask.prompts`.

    Raises:
        PromptError: If it is of another kind.
    """
    kind, positive = mark["kind"], bool(mark.get("positive", True))
    if kind == "click":
        return Click(mark["x"], mark["y"], positive, label)
    if kind == "box":
        return Box(mark["x"], mark["y"], mark["width"], mark["height"], label)
    if kind in ("scribble", "brush"):
        return Scribble(mark["points"], positive, label, float(mark["width"]))
    if kind == "polygon":
        return Polygon(mark["points"], positive, label)
    raise PromptError(f"a mark of the kind {kind!r} is unknown")


class FrameMarking:
    """Marks of one frame in turn; what was made of the first of them is not made again.

    Args:
        frame: H×W×3.
        marker: Gives a marker by method, with the frame open.
        read: Gives a stored mask by its digest, for marks that copy one.
    """

    def __init__(
        self, frame: Frame, marker: Callable[[str], Marker], read: Callable[[str], Labels]
    ) -> None:
        self.frame, self._marker, self._read = frame, marker, read

    def labels(self, base: Mask | None, marks: Sequence[Placed]) -> Labels:
        """The mask that the marks make of the one before them.

        Clicks, boxes and scribbles between two strokes of the brush are answered together; what
        was painted before them is the rough mask that they improve.

        Args:
            base: H×W; None: empty.
            marks: In order.

        Raises:
            PromptError: If a mark is outside the frame or contradicts another.
        """
        size = (self.frame.shape[0], self.frame.shape[1])
        labels = np.zeros(size, np.int32) if base is None else np.array(base, np.int32)
        for kind, group in groupby(marks, lambda placed: method(placed[1])):
            if kind == PAINT:
                for label, mark in group:
                    self._paint(labels, label, mark)
            else:
                prompts = tuple(prompt_of(mark, label) for label, mark in group)
                labels = corrected_mask(self._marker(kind), labels, prompts)
        return labels

    def _paint(self, labels: Labels, label: int, mark: Mapping[str, Any]) -> None:
        """Do what a stroke, a polygon, a copied or an emptied mask says, in place."""
        kind = mark["kind"]
        if kind == "clear":
            labels[labels == label] = 0
        elif kind == "copy":
            labels[labels == label] = 0
            labels[self._read(mark["mask"]) == mark.get("label", label)] = label
        else:
            prompt = prompt_of(mark, label)
            size = (labels.shape[0], labels.shape[1])
            check_prompt(prompt, size)
            canvas = np.zeros(size, np.uint8)
            draw_prompt(canvas, prompt, View.whole(size))
            covered = canvas > 0
            if mark.get("positive", True):
                labels[covered] = label
            else:
                labels[covered & (labels == label)] = 0
