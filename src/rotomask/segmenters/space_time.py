"""Segmenter of every space-time memory network.

Oh et al. 2019 (STM), sec. 3: past frames with their masks are the memory, the current frame is the
query. Memory holds the annotated frames, one frame in `memory_every`, and for STM the previous one.
Unlike in the paper it can be bounded, so that time and memory per frame do not grow with the video.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.networks.layers.aggregation import aggregate, aggregate_in_bands, masks_of_others
from rotomask.segmenters import memory_values
from rotomask.segmenters.ahead import AheadEncoder
from rotomask.segmenters.encoded_frame import (
    EncodedFrame,
    Plan,
    early_plan_for,
    is_remembered,
    part_of,
    planned_parts,
)
from rotomask.segmenters.framing import FramedMasks, Framing, overwrite
from rotomask.segmenters.memory_bank import JoinedMemory, MemoryBank, MemoryFrame, read_joined
from rotomask.segmenters.memory_values import compact, keys_and_values
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig, SpaceTimeNetwork
from rotomask.segmenters.surroundings import (
    ABSENT_LOGIT,
    Window,
    grouped,
    may_go_on_outside,
    near_objects,
    thinned,
    union,
    whole_frame,
    widened,
    window_around,
)
from rotomask.segmenters.views import View
from rotomask.threads import blocks_apart, give_memory_back

PIXELS_AT_ONCE = 4 * 480 * 864
"""Pixels of all objects that are decoded in one batch: features of a pixel take some 0.5 kB."""

KEY_STRIDE = 16
"""Stride of the networks' keys and values."""

MEMORY_OBJECTS = 512
"""Objects in all memory frames together. With many objects fewer frames are remembered, but two at
least, so that memory stays bounded: 100 objects have 5 frames, 256 and more have 2."""


@dataclass
class _LastFrame:
    """The last frame with its masks, at processing size."""

    image: Tensor
    """1×3×H×W, padded."""
    masks: Tensor
    """O×H×W, padded, soft; float16 with many objects."""
    features: Any
    """Output of `encode_frame`; None until it is needed."""
    framing: Framing | None = None
    """Framing of image and masks; None: that of the segmenter."""


class SpaceTimeSegmenter(NetworkSegmenter[SpaceTimeNetwork, SpaceTimeConfig]):
    """Follows any number of objects through one video with a space-time memory network."""

    default_config = SpaceTimeConfig()
    online_lesson = "space-time"
    _framing: Framing
    _ahead: AheadEncoder[Plan, EncodedFrame] | None = None
    _plan: Plan = Plan()
    """What is computed of the next frame before its turn."""
    _view: View | None = None
    _guidance: Tensor | None = None
    """Masks of the frame before in the present framing, O×H×W; None: those of `_last`."""

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed, before padding, px."""
        return self._reduced_or_enlarged(size, self.config.scale)

    @contextlib.contextmanager
    def working_ahead(self) -> Iterator[Callable[[Frame], None] | None]:
        """As `Segmenter.working_ahead`: frames are encoded ahead, with half of the threads."""
        threads = torch.get_num_threads()
        if threads < 2 or self.runtime.device.type != "cpu":
            yield None
            return
        with AheadEncoder(self._encode, self._complete, threads // 2) as ahead:
            self._ahead = ahead
            torch.set_num_threads(threads - threads // 2)
            try:
                yield ahead.expect
            finally:
                torch.set_num_threads(threads)
                self._ahead = None

    def _encode(self, frame: Frame, plan: Plan) -> EncodedFrame:
        with self.runtime.inference():
            framing = self._framing
            image = framing.image(frame)
            region = plan.region or whole_frame(image.shape)
            features = self.network.encode_frame(part_of(image, region))
            return self._complete(EncodedFrame(framing, image, features, region, Plan()), plan)

    def _complete(self, encoded: EncodedFrame, plan: Plan) -> EncodedFrame:
        """Add what a plan reads of memory to a frame that was encoded by it, or by an early one."""
        if encoded.region != (plan.region or encoded.whole):
            return encoded  # whoever asks for it compares the plans
        with self.runtime.inference():
            encoded.plan = plan
            if plan.read is not None and plan.memory is not None:
                encoded.readout = self._read(plan.memory, encoded, plan.read)
            return encoded

    def look_at(
        self, view: View | None, before: FramedMasks | None = None, *, beyond: bool = False
    ) -> None:
        """Process a part of the frames from the next one on.

        Keys of memory know no positions, so that frames seen in other views stay in memory.

        Args:
            view: The part; None: the whole frame.
            before: Masks of the frame before, if another segmenter knows them; None: its own.
            beyond: Take from `before` only what is outside the view of the own masks.
        """
        self._view = view
        if not self._ids or not hasattr(self, "_last"):
            return
        framing, own = self._new_framing(self.network.stride, view), self.last_masks
        if framing != self._framing:  # else the same object: what is encoded ahead is by it
            self._framing = framing
            self._plan = Plan()  # its windows are those of the framing before
        if framing == own.framing and before is None:
            self._guidance = None
            return
        with self.runtime.inference():
            theirs = None if before is None else before.on(framing)
            own_first = theirs is None or beyond
            self._guidance = own.on(framing, theirs) if own_first else theirs

    @property
    def last_masks(self) -> FramedMasks:
        """Soft masks of the last frame, O×H×W."""
        return FramedMasks(self._last.masks, self._last.framing or self._framing)

    @property
    def _before(self) -> Tensor:
        """Masks of the frame before in the present framing, O×H×W."""
        return self._last.masks if self._guidance is None else self._guidance

    def replace_last_masks(self, better: FramedMasks) -> None:
        """Take better masks of the last frame, where their view has it."""
        own = self.last_masks
        with self.runtime.inference():
            masks = better.on(own.framing, own.masks.float())
        self._last.masks = compact(masks)

    def _start(self, frame: Frame, mask: Mask) -> None:
        self._framing = self._new_framing(self.network.stride, self._view)
        self._guidance, self._plan = None, Plan()
        self._index = 0
        self._bank = MemoryBank(self.config.memory_frames)
        if hasattr(self, "_last"):  # of another video
            del self._last
            give_memory_back()
        with self.runtime.inference():
            self._keep(self._framing.image(frame), self._framing.masks(mask, self._ids), None)
            self._remember(self._ids, is_reference=True)

    def _step(self, frame: Frame) -> Probabilities:
        with self.runtime.inference():
            encoded = self._next(frame)
            probabilities = self._segment(encoded, self._ids)
            is_needed = self._is_due or self.config.use_previous
            features = encoded.whole_features if is_needed else None
            self._keep(encoded.image, probabilities[1:], features)
            return self._framing.output(probabilities)

    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        """As `add`; the given objects are not segmented, but put into memory at once."""
        others = tuple(k for k in self._ids if k not in given)
        with self.runtime.inference():
            encoded = self._next(frame)
            self._admit(given)
            # `full` is the output at the video's size, `masks` the guidance of the next frame at
            # padded processing size; both in the order of `_ids`.
            full = np.zeros((1 + len(self._ids), *self._size), np.float32)
            image = encoded.image
            masks = torch.zeros((len(self._ids), *image.shape[2:]), device=image.device)
            if others:
                probabilities = self._segment(encoded, others)
                masks[[self._ids.index(k) for k in others]] = probabilities[1:].float()
                rows = [0, *(1 + self._ids.index(k) for k in others)]
                full[rows] = self._framing.output(probabilities)
            else:
                full[0] = 1
            # Annotated pixels are taken from the other objects.
            annotated = self._framing.masks(mask, given)
            masks *= 1 - annotated.sum(0).clamp(0, 1)
            masks[[self._ids.index(k) for k in given]] = annotated
            overwrite(full, mask, self._ids, given)
            self._keep(image, masks, encoded.whole_features)
            self._remember(given, is_reference=True)
        return full

    def _observe(self, frame: Frame, mask: Mask) -> None:
        with self.runtime.inference():
            self._memorise_if_due()
            self._index += 1
            self._plan = Plan()
            self._keep(self._framing.image(frame), self._framing.masks(mask, self._ids), None)

    @property
    def _room(self) -> int:
        """Frames that the memory has room for beside the references from elsewhere."""
        return MEMORY_OBJECTS // len(self._ids) - len(self._bank.elsewhere)

    def _add_reference(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> None:
        if self._room <= 2:
            return
        with self.runtime.inference():
            masks = compact(self._framing.masks(mask, self._ids))
            seen = _LastFrame(self._framing.image(frame), masks, None)
            # Its number is of no frame that is followed.
            self._bank.elsewhere += (self._memory_frame(seen, given, -1, is_reference=True),)

    def _keep(self, image: Tensor, masks: Tensor, features: Any) -> None:
        """Take a frame with its masks, in the present framing, as the last one."""
        self._last = _LastFrame(image, compact(masks), features, self._framing)
        self._guidance = None

    def _next(self, frame: Frame) -> EncodedFrame:
        """Update the memory with the previous frame, and encode this one."""
        plan, index = self._plan, self._index + 1
        if plan.read is not None and plan.memory is None:  # of a state that was stored
            plan = replace(plan, memory=self._joined(self._ids))
        region, read = planned_parts(index + 1, self._before, self.config)
        if self._ahead is not None:
            begun = self._ahead.take(frame, plan)
            self._ahead.begin(Plan(region))  # while the previous frame is put into memory
        self._memorise_if_due()
        in_memory = self._bank.frames[-1].index == self._index
        if self.config.use_previous and not in_memory:
            self._bank.previous = self._encode_last(self._ids, is_reference=False)
        else:
            self._bank.previous = None
        self._index = index
        # What is read after a frame that will be remembered is not known yet.
        reads = read is not None and not self._is_due
        self._plan = Plan(region, read, self._joined(self._ids)) if reads else Plan(region)
        if self._ahead is None:
            return self._encode(frame, plan)
        self._ahead.begin(self._plan, early_plan_for(index + 2, self._plan, self.config))
        encoded = begun.result()
        if encoded.framing is not self._framing or encoded.plan != plan:
            # It was begun before the last pass ended, or after another frame.
            encoded = self._ahead.compute(lambda: self._encode(frame, plan))
        return encoded

    @property
    def _is_due(self) -> bool:
        """True if the present frame will be remembered."""
        return is_remembered(self._index, self.config)

    def _memorise_if_due(self) -> None:
        """Add the last frame to the bank if it is one in `memory_every` and not there yet.

        Called when the next frame comes: the last frame of a video is never encoded.
        """
        in_memory = self._bank.frames[-1].index == self._index
        if self._is_due and not in_memory:
            self._remember(self._ids, is_reference=False)

    def _remember(self, ids: tuple[int, ...], *, is_reference: bool) -> None:
        """Add the last frame to the bank with the values of these objects."""
        if self.config.memory_frames is not None:
            self._bank.budget = min(self.config.memory_frames, max(2, self._room))
        self._bank.remember(self._encode_last(ids, is_reference=is_reference))

    def _encode_last(self, ids: tuple[int, ...], *, is_reference: bool) -> MemoryFrame:
        """Keys and values of the last frame for some of its objects."""
        return self._memory_frame(self._last, ids, self._index, is_reference=is_reference)

    def _memory_frame(
        self, seen: _LastFrame, ids: tuple[int, ...], index: int, *, is_reference: bool
    ) -> MemoryFrame:
        if seen.features is None:
            seen.features = self._features_of(seen.image)
        # Encode all objects even if few are asked for: each value depends on the others' masks.
        key, value = keys_and_values(self.network, seen.image, seen.features, seen.masks)
        rows = [self._ids.index(k) for k in ids]
        if len(rows) < len(value):
            key, value = (key[rows] if len(key) > 1 else key), value[rows]
        key, value, log_weight = key.flatten(2), value.flatten(2), None
        if self.config.thin_beyond is not None:
            near = near_objects(seen.masks, KEY_STRIDE, self.config.thin_beyond)
            if not near.all():
                positions, log_weight = thinned(near)
                key, value = key[..., positions], value[..., positions]
        return MemoryFrame(index, ids, key, value, is_reference, log_weight)

    def _features_of(self, image: Tensor) -> Any:
        """Features of a whole image, computed with as many threads as those of frames ahead."""
        if self._ahead is None:
            return self.network.encode_frame(image)
        return self._ahead.compute(lambda: self.network.encode_frame(image))

    def _segment(self, encoded: EncodedFrame, ids: tuple[int, ...]) -> Tensor:
        """Probabilities of the objects with these ids, O+1×H×W at padded processing size."""
        if len(ids) <= memory_values.OBJECTS_AT_ONCE:
            logits, part = self._logits(encoded, ids)  # O×H×W
            inside = aggregate(torch.sigmoid(logits[(..., *part)]), self.config.aggregation)
            if part == encoded.whole:
                return inside
            # Outside of the part all pixels are the same.
            absent = torch.sigmoid(logits.new_full((len(ids), 1, 1), ABSENT_LOGIT))
            outside = aggregate(absent, self.config.aggregation)  # O+1×1×1
            joint = outside.repeat(1, *logits.shape[1:])
            joint[(..., *part)] = inside
            return joint
        with blocks_apart():
            return self._segment_many(encoded, ids)

    def _segment_many(self, encoded: EncodedFrame, ids: tuple[int, ...]) -> Tensor:
        """As `_segment`, float16, of more objects than are decoded at once."""
        joint: Tensor | None = None  # O+1×H×W
        for start in range(0, len(ids), memory_values.OBJECTS_AT_ONCE):
            chunk = ids[start : start + memory_values.OBJECTS_AT_ONCE]
            logits, _ = self._logits(encoded, chunk)  # O×H×W
            if joint is None:
                # Logits, not probabilities: near 1 float16 has steps of 0.0005.
                joint = logits.new_empty((1 + len(ids), *logits.shape[1:]), dtype=torch.float16)
            joint[1 + start : 1 + start + len(chunk)] = logits
        assert joint is not None  # there is an object
        self._bank.forget_joined()  # the next chunk that is read is another
        return aggregate_in_bands(joint, self.config.aggregation, of_logits=True)

    def _logits(self, encoded: EncodedFrame, ids: tuple[int, ...]) -> tuple[Tensor, Window]:
        """Logits of some objects, O×H×W; outside an object's surroundings `ABSENT_LOGIT`.

        The window holds the surroundings of all of them.
        """
        guidance = self._before[[self._ids.index(k) for k in ids]].float()
        if self.config.margin is None or self._index % self.config.whole_every == 0:
            self._encode_whole(encoded)
            readout = self._readout(encoded, ids, encoded.whole)
            logits = self._decode(readout, encoded.features, guidance, masks_of_others(guidance))
            return logits, encoded.whole
        logits = torch.full_like(guidance, ABSENT_LOGIT)
        windows = [window_around(mask, self.config.margin) for mask in guidance]
        self._decode_in(windows, logits, encoded, ids, guidance)
        lost = [
            row
            for row, window in enumerate(windows)
            if window != encoded.whole and may_go_on_outside(logits[row], window)
        ]
        if lost:
            again: list[Window | None] = [None] * len(ids)
            for row in lost:
                again[row] = encoded.whole
            self._decode_in(again, logits, encoded, ids, guidance)
            return logits, encoded.whole
        return logits, union(windows)

    def _decode_in(
        self,
        windows: Sequence[Window | None],
        logits: Tensor,
        encoded: EncodedFrame,
        ids: tuple[int, ...],
        guidance: Tensor,
    ) -> None:
        """Decode each object in its window, into O×H×W; those without a window stay."""
        needed = union([window for window in windows if window is not None])
        read = encoded.plan.read
        if read is not None and read.holds(needed) and self._has_read(encoded, ids):
            limit = read
        else:
            if not encoded.region.holds(needed):
                self._encode_whole(encoded)
            limit = encoded.region
        # Of few sizes; what it shows beyond an object's own window is left out.
        wide = [None if w is None else widened(w, limit) for w in windows]
        outer = union([window for window in wide if window is not None])
        readout = self._readout(encoded, ids, outer)  # O×Cv×h×w of the outer window
        others = masks_of_others(guidance[(..., *outer)])
        for window, rows in grouped(wide):
            decoded = self._decode(
                readout[(rows, slice(None), *window.at(KEY_STRIDE, outer))],
                self.network.crop(encoded.features, *window.inside(encoded.region)),
                guidance[(rows, *window)],
                others[(rows, *window.at(1, outer))],
            )
            for one, row in zip(decoded, rows, strict=True):
                own = windows[row]
                assert own is not None
                logits[(row, *own)] = one[own.at(1, window)]

    def _decode(self, readout: Tensor, features: Any, guidance: Tensor, others: Tensor) -> Tensor:
        """Logits of objects in the same window, O×H×W, in batches that fit into RAM."""
        count = max(1, PIXELS_AT_ONCE // guidance[0].numel())
        batches = zip(*(x.split(count) for x in (readout, guidance, others)), strict=True)
        logits = [self.network.decode(r, features, mine, theirs) for r, mine, theirs in batches]
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _encode_whole(self, encoded: EncodedFrame) -> None:
        """Encode the rest of a frame of which only a part was."""
        if encoded.region != encoded.whole:
            encoded.features = self._features_of(encoded.image)
            encoded.region = encoded.whole

    def _joined(self, ids: tuple[int, ...]) -> tuple[JoinedMemory, ...]:
        return self._bank.joined(ids, self.network.similarity)

    def _readout(self, encoded: EncodedFrame, ids: tuple[int, ...], window: Window) -> Tensor:
        """Memory readout of some objects in a window, O×Cv×h×w."""
        read = encoded.plan.read
        if read is not None and read.holds(window) and self._has_read(encoded, ids):
            assert encoded.readout is not None
            return encoded.readout[(..., *window.at(KEY_STRIDE, read))]
        return self._read(self._joined(ids), encoded, window)

    def _has_read(self, encoded: EncodedFrame, ids: tuple[int, ...]) -> bool:
        """True if what was read before the frame's turn is of these objects and today's memory."""
        return encoded.readout is not None and encoded.plan.memory is self._joined(ids)

    def _read(
        self, memory: tuple[JoinedMemory, ...], encoded: EncodedFrame, window: Window
    ) -> Tensor:
        """As `_readout`, computed now."""
        key = encoded.features.key[(..., *window.at(KEY_STRIDE, encoded.region))]
        readout = read_joined(memory, key.flatten(2), self.config.top_k)
        unflattened: Tensor = readout.unflatten(-1, key.shape[-2:])  # O×Cv×hw -> O×Cv×h×w
        return unflattened
