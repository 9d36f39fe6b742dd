"""A segmenter that looks at the objects' neighbourhood of large frames, and at the whole at times.

A frame of 1080 or 2160 lines that is reduced to 480 has lost the detail of its objects' edges. Here
a view around all objects is segmented instead, with as many pixels as the reduced frame, so that
it costs the same (`segmenters.views` says which view); its edges are then refined along the
picture at the video's resolution (`matting.guided_alpha`). A second segmenter with the same network
and a memory of its own looks at the whole frame, reduced: every tenth frame, when the objects reach
the border of the view or one of them is gone, and in every frame while all of them are gone. What
it finds outside the view is taken into the masks, and the next view holds it.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from rotomask.arrays import Frame, Mask, Probabilities, as_labels, check_frame, check_mask
from rotomask.matting import guided_alpha
from rotomask.segmenters.base import Segmenter, WorkingAhead
from rotomask.segmenters.framing import FramedMasks
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.views import Box, View, box_of, choose_view, is_well_inside
from rotomask.segmenters.views import next_view as following_view

LOOK_EVERY = 10
"""Frames from one look at the whole frame to the next."""
FOCUS_SIDE = 480
"""Short side of the whole frame where the processing size is the video's own, px."""
EDGE_PX = 1.5
"""How far from the edge of a mask the refinement looks and moves it, px at the view's scale."""
MOST_REFINED = 8
"""With more objects edges are left as they are: each takes its time."""


class Focused(Segmenter):
    """Segments a view around the objects, at up to the video's resolution.

    Frames that are not larger than the processing size are segmented whole, with the same bits as
    without.

    Args:
        segmenter: Segments the views, and a copy of it whole frames. A processing size of None,
            the video's own, is replaced by `FOCUS_SIDE`.
        look_every: Frames from one look at the whole frame to the next.
    """

    def __init__(self, segmenter: SpaceTimeSegmenter, look_every: int = LOOK_EVERY) -> None:
        self.look_every = look_every
        side = segmenter.config.size or FOCUS_SIDE
        # Shallow: both share the network and its weights; each has a memory of its own from `start`
        # on.
        self.near, self.whole = copy.copy(segmenter), copy.copy(segmenter)
        self.near.config = replace(segmenter.config, size=side)
        # Looks are rare: every second one is remembered, and objects may be anywhere.
        self.whole.config = replace(segmenter.config, size=side, memory_every=2, margin=None)
        self._size = (0, 0)
        self._area = 0
        """Pixels of a view at its scale; 0: frames are not reduced, and segmented whole."""
        self._view: View | None = None
        self._box: Box | None = None
        """The objects in the last frame; None: all are gone."""
        self._before: Box | None = None
        """The objects in the frame before it."""
        self._shown: frozenset[int] = frozenset()
        self._since_look = 0
        self._last: Literal["near", "both", "whole"] = "near"
        """Which of the two have seen the last frame."""

    def __repr__(self) -> str:
        """The segmenter."""
        return f"{self.near!r}, in the objects' neighbourhood"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self.near.object_ids

    def working_ahead(self) -> WorkingAhead:
        """As the segmenter of views: frames are encoded in the view of the frame before."""
        return self.near.working_ahead()

    def twin(self) -> "Focused":
        """Second segmenter of the same kind, to be started on a video of its own."""
        return Focused(self.near, self.look_every)

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        check_frame(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        self.whole.fit_to(mask)
        height, width = self._size = (frame.shape[0], frame.shape[1])
        working_height, working_width = self.whole.working_size(self._size)
        reduced = working_height * working_width
        box, self._view, self._before = box_of(mask > 0), None, None
        self._area = reduced if reduced < height * width else 0
        if self._area and box is not None:
            self._view = choose_view(box, self._size, self._area)
        self.near.look_at(self._view)
        self.near.start(frame, mask)
        if self._area:
            self.whole.look_at(None)
            self.whole.start(frame, mask)
            self._note(box, "both")

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        if not self._area:
            return self.near.step(frame)
        self._since_look += 1
        box, whole = self._box, None
        is_due = self._view is not None and self._since_look >= self.look_every
        if box is None or is_due:
            whole = self._look(frame)
            box = _joined(box, self.whole.last_masks.box)
        if box is None:
            assert whole is not None
            self._before = None
            self._note(None, "whole")
            return whole
        self._follow_to(box, is_looked_at=whole is not None)
        output = self.near.step(frame)
        if whole is None and self._may_be_outside():
            self._last = "near"
            whole = self._look(frame)
        return self._combined(self._with_edges(output, frame), whole)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects: a correction or a new object."""
        if not self._area:
            return self.near.add(frame, mask, object_ids)
        mask = as_labels(mask)
        self._guide_whole()
        whole = self.whole.add(frame, mask, object_ids)
        box = _joined(_joined(self._box, box_of(mask > 0)), self.whole.last_masks.box)
        if box is not None:
            self._follow_to(box, is_looked_at=True)
        return self._combined(self.near.add(frame, mask, object_ids), whole)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        if not self._area:
            self.near.observe(frame, mask)
            return
        self._since_look += 1
        box = box_of(np.asarray(mask > 0))
        if box is not None:
            self._follow_to(box)
        self.near.observe(frame, mask)
        if self._since_look < self.look_every:
            self._note(box, "near")
            return
        self.whole.observe(frame, mask)
        self._note(box, "both")

    def add_reference(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> None:
        """Learn from another annotated frame of the video, which is not the next one."""
        box = box_of(np.asarray(as_labels(mask) > 0))
        if not self._area or box is None:
            self.near.add_reference(frame, mask, object_ids)
        else:
            self.near.look_at(choose_view(box, self._size, self._area))
            self.near.add_reference(frame, mask, object_ids)
            self.near.look_at(self._view)
        if self._area:
            self.whole.add_reference(frame, mask, object_ids)

    def _guide_whole(self) -> None:
        """Give the segmenter of whole frames the masks of the frame before."""
        self.whole.look_at(None, self.near.last_masks if self._last == "near" else None)

    def _look(self, frame: Frame) -> Probabilities:
        """The whole frame segmented, O+1×H×W at the video's size."""
        self._guide_whole()
        return self.whole.step(frame)

    def _follow_to(self, box: Box, *, is_looked_at: bool = False) -> None:
        """Move the view so that it holds the objects, if it does not.

        Args:
            box: The objects.
            is_looked_at: Whether the masks of `whole` are already those of the frame that comes.
        """
        # Objects that moved go on moving.
        ahead = box if self._before is None else box.joined(box.moved_on_from(self._before))
        self._before = box
        self._view = following_view(self._view, ahead, self._size, self._area)
        if self._last == "near" and not is_looked_at:
            self.near.look_at(self._view)
        else:
            # What was outside the last view, or all of it if there was none.
            has_own = self._last != "whole"
            self.near.look_at(self._view, self.whole.last_masks, beyond=has_own)

    def _may_be_outside(self) -> bool:
        """True if an object has just gone, or the objects reach the border of the view."""
        masks = self.near.last_masks
        if self._view is None:
            return False
        if not self._shown <= self._ids_of(masks):
            return True
        box = masks.box
        return box is not None and not is_well_inside(box, self._view, self._size, margin=0.0)

    def _combined(self, output: Probabilities, whole: Probabilities | None) -> Probabilities:
        """Output of the view with that of the whole frame around it, O+1×H×W.

        Args:
            output: Background outside the view.
            whole: Output of the whole frame; None: it was not looked at.
        """
        masks = self.near.last_masks
        if whole is None:
            self._note(masks.box, "near")
            return output
        self.whole.replace_last_masks(masks)
        self._note(self.whole.last_masks.box, "both")
        if self._view is None:
            return output
        inside = (slice(None), *self._view.slices)
        whole[inside] = output[inside]
        return whole

    def _with_edges(self, output: Probabilities, frame: Frame) -> Probabilities:
        """Probabilities whose edges follow the picture, where the view was reduced."""
        objects = len(self.object_ids)
        if self._view is None or self._view.scale == 1 or objects > MOST_REFINED:
            return output
        scale = self._view.scale
        inside = (slice(None), *self._view.slices)
        image, part = np.ascontiguousarray(frame[self._view.slices]), output[inside]
        refined = np.stack(
            [guided_alpha(image, p, EDGE_PX / scale, scale=scale) for p in part[1:]]
        )  # O×h×w
        total = refined.sum(0)
        if objects > 1:
            refined /= np.maximum(total, 1)
            total = np.minimum(total, 1)
        part[0], part[1:] = 1 - total, refined
        return output

    def _note(self, box: Box | None, last: Literal["near", "both", "whole"]) -> None:
        """Take note of the frame that was segmented."""
        self._box, self._last = box, last
        seen_by = self.near if last == "near" else self.whole
        self._shown = self._ids_of(seen_by.last_masks)
        if last != "near":
            self._since_look = 0

    def _ids_of(self, masks: FramedMasks) -> frozenset[int]:
        """Objects with a pixel."""
        shown = zip(self.object_ids, masks.shown.tolist(), strict=True)
        return frozenset(k for k, is_shown in shown if is_shown)


def _joined(box: Box | None, other: Box | None) -> Box | None:
    return other if box is None else box.joined(other)
