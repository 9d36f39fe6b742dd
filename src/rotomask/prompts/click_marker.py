"""Marker that runs click-lite: one pass of the decoder per prompt, on a view around the object.

The zoom is that of Sofiiuk et al. 2021 (RITM): after the first prompt the network sees the object's
surroundings, enlarged. Unlike there, pixels outside the view keep their previous mask.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rotomask.arrays import Frame
from rotomask.networks.click_lite import ClickFeatures, ClickLite, Modulation
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.prompts.drawing import View, draw_prompt
from rotomask.prompts.kinds import Box, Prompt, RoughMask, Scribble, is_positive
from rotomask.prompts.learning import LearningConfig, learn_modulation
from rotomask.prompts.marker import Marker, Probability, drop_specks
from rotomask.prompts.regions import iou

CLICK_RADIUS_PX = 5
"""Radius of a click's disk in the network's view, as in training."""
STROKE_WIDTH_PX = 5.0
"""Width of a scribble in the network's view: the middle of the widths in training."""
K = TypeVar("K")
V = TypeVar("V")

POSITIVE, NEGATIVE, BOX, PREVIOUS = range(4)
"""Channels of the network's maps."""

EncodedMask = npt.NDArray[np.uint8]
"""Probability times 255, H×W: the input of the next round, rounded as in training."""


@dataclass(frozen=True, kw_only=True)
class ClickMarkerConfig:
    """Settings of running click-lite."""

    long_side: int = 384
    """Long side of a view in the network, px; a multiple of 32."""
    fine_side: int = 512
    """The same from prompt number `fine_from` on, when details are left to correct."""
    fine_from: int = 4
    """Number of an object's prompts, its rough mask apart, from which on `fine_side` holds."""
    margin: float = 1.4
    """Side of a view as a multiple of that of the object's box."""
    least_px: int = 96
    """Shortest side of a view, frame px."""
    zoom_below: float = 0.5
    """Largest view of the object, as a fraction of the frame, for which the first prompt is
    segmented a second time, enlarged."""
    keep_above: float = 0.5
    """Minimum overlap (of the heights times of the widths) of the previous view with the one that
    fits the object; above it the previous view is used again."""
    keep_rough: float = 0.8
    """Minimum IoU of a rough mask, changed where a prompt touches it, and the network's own answer;
    below it the answer replaces the rough mask as a whole."""
    learning: LearningConfig | None = None
    """Settings of adapting the network to the frame's own prompts; None: no adaptation."""
    states: int = 32
    """Number of rounds whose masks are stored, for undo and for several objects."""
    views: int = 6
    """Number of views whose features are stored."""


@dataclass(frozen=True)
class _Round:
    """Result for a list of prompts."""

    mask: EncodedMask
    view: View
    rough: bool = False
    """True if the list begins with a rough mask."""


class ClickMarker(Marker):
    """Marks objects by click-lite.

    Args:
        network: Network with its weights.
        config: Settings.
        runtime: Device and precision; None: the best available.
    """

    def __init__(
        self,
        network: ClickLite,
        config: ClickMarkerConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__()
        self.config = config or ClickMarkerConfig()
        self.runtime = runtime or choose_runtime()
        self.network = network.eval().to(self.runtime.device)
        self.network.requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._features: OrderedDict[View, ClickFeatures] = OrderedDict()
        self._rounds: OrderedDict[tuple[Prompt, ...], _Round] = OrderedDict()

    def twin(self) -> Self:
        """Second marker that shares the network, for another frame; see `Marker`."""
        twin = super().twin()
        twin._features, twin._rounds = OrderedDict(), OrderedDict()
        return twin

    def prepare(self, frame: Frame) -> None:
        """Encode the whole frame, and drop what is stored of the frame before."""
        self._features.clear()
        self._rounds.clear()
        whole = self._shown(0, 0, frame.shape[1], frame.shape[0], self.config.long_side)
        self._encode(whole)

    def object_probability(self, prompts: tuple[Prompt, ...]) -> Probability:
        """Foreground probability of one object; see `Marker`."""
        # Replay the list from its longest prefix whose round is stored.
        start = len(prompts)
        while start > 0 and prompts[:start] not in self._rounds:
            start -= 1
        state = self._rounds[prompts[:start]] if start > 0 else None
        for count in range(start + 1, len(prompts) + 1):
            state = self._answer(prompts[:count], state)
            _store(self._rounds, prompts[:count], state, self.config.states)
        assert state is not None  # check_prompts refuses an empty list
        _store(self._rounds, prompts, state, self.config.states)
        # A rough mask that nothing follows is to be improved everywhere.
        is_rough = isinstance(prompts[-1], RoughMask)
        mask = self._look(prompts, state)[1] if is_rough else state.mask
        return drop_specks(mask.astype(np.float32) / np.float32(255), prompts)

    def _answer(self, prompts: tuple[Prompt, ...], before: _Round | None) -> _Round:
        """Round of the last prompt, given that of the prompts before it.

        A rough mask is taken as it is: prompts that follow change it where they touch it, until
        the network finds that most of it is wrong.
        """
        last = prompts[-1]
        if isinstance(last, RoughMask):
            height, width = last.mask.shape
            view = self._shown(0, 0, width, height, self._long_side(prompts))
            return _Round(last.mask.astype(np.uint8) * 255, view, True)
        view, new = self._look(prompts, before)
        if before is None or not before.rough or isinstance(last, Box):
            return _Round(new, view, before is not None and before.rough)
        merged = _merge_change(before.mask, new, last)
        # An empty answer says nothing of where the object is.
        if (new > 127).any() and iou(new > 127, merged > 127) < self.config.keep_rough:
            return _Round(new, view)
        return _Round(merged, view, True)

    def _look(self, prompts: tuple[Prompt, ...], before: _Round | None) -> tuple[View, EncodedMask]:
        """The network's mask, and the view in which it looked at the object."""
        height, width = self.frame.shape[:2]
        mask = before.mask if before is not None else np.zeros((height, width), np.uint8)
        old_view = before.view if before is not None else None
        view = self._choose_view(mask, prompts, old_view)
        new = self._run(view, prompts, mask)
        # The first pass saw the whole frame: if the object is small in it, look closer.
        # Masks are bytes, 255 for 1: 127 and less is background.
        if not (mask > 127).any() and _is_whole(view, (height, width)):
            closer = self._choose_view(new, prompts, None)
            extent = (closer.right - closer.left) * (closer.bottom - closer.top)
            if closer != view and extent < self.config.zoom_below * height * width:
                view, new = closer, self._run(closer, prompts, new)
        return view, new

    def _choose_view(self, mask: EncodedMask, prompts: Sequence[Prompt], old: View | None) -> View:
        """View around the object and its prompts; the part of the old view if it still fits."""
        height, width = self.frame.shape[:2]
        long_side = self._long_side(prompts)
        marked = (mask > 127).astype(np.uint8)
        boxes = [p for p in prompts if isinstance(p, Box)]
        if not marked.any() and not boxes:
            return self._shown(0, 0, width, height, long_side)
        whole = View.whole((height, width))
        for prompt in prompts:
            if is_positive(prompt) and not isinstance(prompt, RoughMask):
                draw_prompt(marked, prompt, whole)
        ys, xs = np.nonzero(marked)
        low = np.array([xs.min(), ys.min()], float)
        high = np.array([xs.max(), ys.max()], float) + 1
        # Box of what is marked, with a margin, but never so close that the surroundings cannot be
        # seen.
        side = np.maximum((high - low) * self.config.margin, self.config.least_px)
        left, top = np.maximum(0, np.floor((low + high - side) / 2)).astype(int).tolist()
        ends = np.minimum((width, height), np.ceil((low + high + side) / 2).astype(int))
        right, bottom = ends.tolist()
        view = self._shown(left, top, right, bottom, long_side)
        if (
            old is not None
            and _holds(old, low, high)
            and (_overlap(old, view) >= self.config.keep_above)
        ):
            return self._shown(old.left, old.top, old.right, old.bottom, long_side)
        return view

    def _long_side(self, prompts: Sequence[Prompt]) -> int:
        """Long side of the view for the last of these prompts, px."""
        count = sum(not isinstance(prompt, RoughMask) for prompt in prompts)
        config = self.config
        return config.long_side if count < config.fine_from else config.fine_side

    def _shown(self, left: int, top: int, right: int, bottom: int, long_side: int) -> View:
        """View at the network's size: this long side, both sides multiples of the stride."""
        stride = ClickLite.stride
        # Small views are enlarged as well: the network has learned few sizes of view.
        factor = long_side / max(right - left, bottom - top)
        height = max(1, round((bottom - top) * factor / stride)) * stride
        width = max(1, round((right - left) * factor / stride)) * stride
        return View(left, top, right, bottom, (height, width))

    def _encode(self, view: View) -> ClickFeatures:
        """Features of a view, from the cache or computed."""
        if view in self._features:
            self._features.move_to_end(view)
            return self._features[view]
        enlarges = view.scale[0] > 1
        image = view.crop(self.frame, cv2.INTER_CUBIC if enlarges else cv2.INTER_AREA)
        tensor = torch.from_numpy(np.ascontiguousarray(image)).to(self.runtime.device)
        # h×w×3 uint8 -> 1×3×h×w, 0..1.
        tensor = tensor.movedim(-1, 0)[None].float() / 255
        with torch.no_grad(), self.runtime.autocast():
            features = self.network.encode(tensor.contiguous(memory_format=torch.channels_last))
        _store(self._features, view, features, self.config.views)
        return features

    def _run(self, view: View, prompts: Sequence[Prompt], mask: EncodedMask) -> EncodedMask:
        """Mask after one pass of the network; pixels outside the view do not change."""
        features = self._encode(view)
        maps = torch.from_numpy(prompt_maps(prompts, view, mask)).to(self.runtime.device)
        maps = maps[None].float() / 255
        modulation: Modulation | None = None
        if self.config.learning is not None:
            with self.runtime.autocast():
                # With gradients, so not within the block below.
                modulation = learn_modulation(self.network, features, maps, self.config.learning)
        with torch.no_grad(), self.runtime.autocast():
            logits = self.network(features, maps, modulation).logits[0].float().cpu()
        return _paste(mask, logits, view)


def prompt_maps(prompts: Sequence[Prompt], view: View, mask: EncodedMask) -> npt.NDArray[np.uint8]:
    """Input maps of the network, 4×h×w uint8: positive, negative, box, previous mask."""
    maps = np.zeros((4, *view.size), np.uint8)
    for prompt in prompts:
        if isinstance(prompt, RoughMask):
            continue
        channel = BOX if isinstance(prompt, Box) else POSITIVE if is_positive(prompt) else NEGATIVE
        if isinstance(prompt, Scribble):
            # Strokes of all widths have the same width in the view, as in training.
            width = STROKE_WIDTH_PX / (sum(view.scale) / 2)
            prompt = Scribble(prompt.points, prompt.positive, prompt.object_id, width)
        draw_prompt(maps[channel], prompt, view, CLICK_RADIUS_PX)
    maps[PREVIOUS] = view.crop(mask, cv2.INTER_AREA if view.scale[0] < 1 else cv2.INTER_LINEAR)
    return maps


def _paste(mask: EncodedMask, logits: Tensor, view: View) -> EncodedMask:
    """Mask H×W with the network's logits h×w of a view pasted in."""
    height, width = view.bottom - view.top, view.right - view.left
    # Enlarge logits, not probabilities, whose interpolation would blur the outline.
    large = cv2.resize(logits.numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
    probability = torch.sigmoid(torch.from_numpy(large)).numpy()
    pasted = mask.copy()
    pasted[view.top : view.bottom, view.left : view.right] = np.round(probability * 255)
    return pasted


def _merge_change(old: EncodedMask, new: EncodedMask, prompt: Prompt) -> EncodedMask:
    """The old mask, changed only near the prompt (FocalClick, sec. 3.3).

    Of the pixels that differ between the masks, only the connected components that the prompt
    touches are taken over, so that the rest of a rough mask stays as the user gave it.
    """
    differs = ((old > 127) != (new > 127)).astype(np.uint8)
    _, parts = cv2.connectedComponents(differs)
    height, width = old.shape
    touched = np.zeros((height, width), np.uint8)
    draw_prompt(touched, prompt, View.whole((height, width)), CLICK_RADIUS_PX)
    wanted = np.unique(parts[(touched > 0) & (differs > 0)])
    if len(wanted) == 0:
        return old
    # Take over the soft border around the changed components too.
    region = cv2.dilate(np.isin(parts, wanted).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(region, new, old)


def _overlap(a: View, b: View) -> float:
    """IoU of the heights times that of the widths, 0 to 1."""
    rows = _interval_iou((a.top, a.bottom), (b.top, b.bottom))
    return rows * _interval_iou((a.left, a.right), (b.left, b.right))


def _interval_iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (max(a[1], b[1]) - min(a[0], b[0]))


def _holds(view: View, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> bool:
    """True if a box lies inside a view."""
    starts = low[0] >= view.left and low[1] >= view.top
    return bool(starts and high[0] <= view.right and high[1] <= view.bottom)


def _is_whole(view: View, size: tuple[int, int]) -> bool:
    return (view.left, view.top, view.bottom, view.right) == (0, 0, *size)


def _store(cache: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Store a value in a cache of the `most` recently used ones."""
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
