"""Segmenter of every reference-guided network.

Oh et al. 2018 (RGMP), sec. 3.3: the reference frame is encoded once at each scale, every further
frame with the soft mask of the frame before. The probabilities of the scales are averaged, those of
the objects merged, and the result guides the next frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OptionError
from rotomask.networks.layers.aggregation import aggregate_in_bands
from rotomask.networks.layers.pixels import unit_floats
from rotomask.segmenters.framing import with_given
from rotomask.segmenters.network_segmenter import NetworkSegmenter, ProcessingConfig

OBJECTS_AT_ONCE = 8
"""Objects that are encoded and decoded in one batch."""

MANY_OBJECTS = 16
"""With more objects, what is kept of each from frame to frame is float16."""

BLOCK = 8
"""Side of the squares in which distances to a mask are measured, px."""


class ReferenceGuidedNetwork(Protocol):
    """Interface of the networks that the segmenter runs; shapes as in `RGMP`."""

    @property
    def stride(self) -> int: ...  # noqa: D102

    @property
    def has_memory(self) -> bool: ...  # noqa: D102

    def encode(self, image: Tensor, masks: Tensor) -> Any: ...  # noqa: D102

    def match(  # noqa: D102
        self, target: Any, reference: Tensor, state: Tensor | None = None
    ) -> Tensor: ...

    def decode(self, target: Any, matched: Tensor) -> Tensor: ...  # noqa: D102

    def side_logits(self, target: Any, matched: Tensor) -> list[Tensor]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class ReferenceGuidedConfig(ProcessingConfig):
    """Settings of running a reference-guided network over a video."""

    scales: tuple[float, ...] = (0.5, 0.75, 1.0)
    """Factors on that size; every frame is segmented at each of them, and the probabilities are
    averaged (sec. 3.3)."""
    background: Literal["merged", "product"] = "merged"
    """Background probability for several objects: ``merged``, one minus the probability of all
    objects segmented as one (sec. 3.3), at the cost of one more object; ``product``, the product
    over the objects of one minus their probability."""
    reach: float | None = None
    """Maximum distance of an object from its previous mask, as a fraction of the frame's short
    side; a lost object may reappear anywhere. None: no limit, as published."""
    use_reference: bool = True
    """False: the reference stream gets zeros (-Ref of table 5)."""
    use_previous: bool = True
    """False: the target stream gets zeros in place of the previous mask (-Prev of table 5), and
    `reach` is ignored."""

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= 2 for scale in self.scales):
            raise OptionError(f"scales must be above 0 and at most 2, got {self.scales}")
        if self.reach is not None and self.reach <= 0:
            raise OptionError(f"reach must be above 0, or None for everywhere, got {self.reach}")
        if self.background not in ("merged", "product"):
            raise OptionError(f"unknown background {self.background!r}; use merged or product")


@dataclass
class _Scale:
    """State of one scale: one row per object, then that of the merged foreground, R in all."""

    references: Tensor
    """Features of each row's reference frame, R×C×h×w."""
    states: Tensor | None = None
    """State of the visual memory, R×C×h×w."""


class ReferenceGuidedSegmenter(NetworkSegmenter[ReferenceGuidedNetwork, ReferenceGuidedConfig]):
    """Follows any number of objects through one video with a reference-guided network."""

    default_config = ReferenceGuidedConfig()
    online_lesson = "reference-guided"

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed at scale 1, px."""
        return self._reduced_or_enlarged(size)

    def learning_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at the largest scale, px."""
        return self._reduced_or_enlarged(size, max(self.config.scales))

    def _start(self, frame: Frame, mask: Mask) -> None:
        self._framing = self._new_framing(self.network.stride)
        with self.runtime.inference():
            image = self._image(frame)
            self._masks = _compact(self._framing.masks(mask, self._ids))
            rows = self._with_merged(self._masks)
            self._scales = [_Scale(self._reference(image, rows, s)) for s in self.config.scales]

    def _step(self, frame: Frame) -> Probabilities:
        with self.runtime.inference():
            probabilities = self._segment(self._image(frame))
            self._masks = _compact(probabilities[1:])
            # Not compacted, the masks are a view of the output's tensor: what the caller gets must
            # not be it.
            is_shared = self._masks.dtype == probabilities.dtype
            return self._framing.output(probabilities, copy=is_shared)

    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        """As `add`; the frame becomes the reference of the objects that the mask shows."""
        before = self._ids
        with self.runtime.inference():
            image = self._image(frame)
            # Before the new ids are admitted: only objects with a reference can be segmented.
            probabilities = self._segment(image)
            self._admit(given)
            annotated = self._framing.masks(mask, given)
            free = 1 - annotated.sum(0).clamp(0, 1)
            new = len(self._ids) - len(before)
            # Rows of zeros for new objects, then annotated pixels taken from the other objects.
            masks = F.pad(probabilities[1:], (0, 0, 0, 0, 0, new)) * free  # O×H×W
            masks[[self._ids.index(k) for k in given]] = annotated
            full = with_given(self._framing.output(probabilities), mask, self._ids, given)
            self._masks = _compact(masks)
            self._take_references(image, before, shown=[k for k in given if (mask == k).any()])
        return full

    def _observe(self, frame: Frame, mask: Mask) -> None:
        with self.runtime.inference():
            if self.network.has_memory:
                image = self._image(frame)
                for stored, scale in zip(self._scales, self.config.scales, strict=True):
                    for _ in self._matches(stored, image, scale):
                        pass  # without decoding: only the visual memory needs the frame
            self._masks = _compact(self._framing.masks(mask, self._ids))

    def _image(self, frame: Frame) -> Tensor:
        """The frame as 1×3×H×W float, 0..1, which can be resized to every scale."""
        return unit_floats(self._framing.image(frame))

    def _take_references(
        self, image: Tensor, before: tuple[int, ...], *, shown: Sequence[int]
    ) -> None:
        """Make this frame the reference of the objects shown, and of the merged foreground."""
        rows = self._with_merged(self._masks)
        fresh = [self._ids.index(k) for k in self._ids if k in shown or k not in before]
        fresh += list(range(len(self._ids), len(rows)))  # the merged foreground's row, if any
        if not fresh:
            return
        other_rows = [i for i in range(len(self._ids)) if i not in fresh]
        for stored, scale in zip(self._scales, self.config.scales, strict=True):
            stored.references = _put_rows(
                stored.references, other_rows, self._reference(image, rows[fresh], scale), fresh
            )
            if stored.states is not None:
                # A new reference has no past: its visual memory starts from zeros, as in the first
                # frame.
                zeros = stored.states.new_zeros((len(fresh), *stored.states.shape[1:]))
                stored.states = _put_rows(stored.states, other_rows, zeros, fresh)

    def _with_merged(self, masks: Tensor) -> Tensor:
        """Masks O×H×W, with their union as one more row if the background needs it: R×H×W."""
        if len(masks) == 1 or self.config.background == "product":
            return masks
        return _joined([masks, masks.sum(0, keepdim=True).clamp(0, 1)])

    def _reference(self, image: Tensor, rows: Tensor, scale: float) -> Tensor:
        """Features of the reference stream at a scale, R×C×h×w."""
        size = self._scaled_size(scale)
        if not self.config.use_reference:
            # An ablation: the stream is there, but sees nothing.
            image, rows = torch.zeros_like(image), torch.zeros_like(rows)
        image, features = _resize(image, size), []
        for chunk in rows.split(OBJECTS_AT_ONCE):
            masks = _resize(chunk.float()[:, None], size)[:, 0]
            coarsest = self.network.encode(image, masks).coarsest
            # Judged by all rows, not by the chunk: chunks of one object must have one type.
            features.append(_compact(coarsest, len(rows)))
        return _joined(features)

    def _segment(self, image: Tensor) -> Tensor:
        """Probabilities O+1×H×W at padded processing size."""
        size = (image.shape[2], image.shape[3])
        count = len(self._ids)
        # Row 0 is left for the background: merged in place, hundreds of objects fit into memory.
        joint: Tensor | None = None  # R+1×H×W
        for stored, scale in zip(self._scales, self.config.scales, strict=True):
            start = 0
            for pair in self._matches(stored, image, scale):
                # At this scale; resized with a channel axis for `interpolate`.
                single = torch.sigmoid(self.network.decode(*pair))[:, None]
                if joint is None:
                    joint = single.new_zeros((1 + self._row_count, *size))
                # Sums over scales in place; divided by their number below. A mean of probabilities,
                # not of logits.
                joint[1 + start : 1 + start + len(single)] += _resize(single, size)[:, 0]
                start += len(single)
        assert joint is not None  # there is an object and a scale
        joint = joint.div_(len(self._scales)).float()
        # A view: what is set to 0 in the rows is 0 in `joint`.
        rows = joint[1:]  # R×H×W
        if self.config.reach is not None and self.config.use_previous:
            self._limit_to_reach(rows, self.config.reach)
        if count == 1:  # eq. 1 is for several objects; it would sharpen a single probability
            return torch.cat([1 - rows, rows])
        background = 1 - rows[count:] if len(rows) > count else None
        return aggregate_in_bands(
            joint[: 1 + count], self.config.aggregation, background=background
        )

    @property
    def _row_count(self) -> int:
        """Objects, and one more if the background needs their merged foreground."""
        objects = len(self._ids)
        return objects if objects == 1 or self.config.background == "product" else objects + 1

    def _limit_to_reach(self, rows: Tensor, reach: float) -> None:
        """Set the probabilities R×H×W to 0 far from each row's previous mask, in place."""
        previous = self._with_merged(self._masks)
        for start in range(0, len(rows), OBJECTS_AT_ONCE):
            part = slice(start, start + OBJECTS_AT_ONCE)
            rows[part] *= self._within_reach(previous[part], reach)

    def _within_reach(self, rows: Tensor, reach: float) -> Tensor:
        """Indicator of the pixels near each row's previous mask, R×H×W, 0 or 1.

        All ones for a row whose previous mask is empty.

        Args:
            rows: Previous masks, R×H×W.
            reach: See `ReferenceGuidedConfig`.
        """
        # Dilation of the masks, on blocks of 8×8 px: a tenth of the time of single pixels.
        blocks = F.max_pool2d((rows > 0.5).float()[:, None], BLOCK)  # R×1×H/8×W/8
        # In blocks; a square of 2·radius + 1 of them is the dilation's kernel.
        radius = max(1, round(reach * min(self._framing.working_size) / BLOCK))
        near = F.max_pool2d(blocks, 2 * radius + 1, stride=1, padding=radius)
        lost = (blocks.flatten(1).amax(1) == 0)[:, None, None, None]  # R×1×1×1
        near = torch.where(lost, torch.ones_like(near), near)
        return F.interpolate(near, rows.shape[-2:])[:, 0]

    def _matches(self, stored: _Scale, image: Tensor, scale: float) -> Iterator[tuple[Any, Tensor]]:
        """Target features and their match with the reference, for a chunk of rows at a time.

        Stores the new state of the visual memory when all chunks were taken.
        """
        size = self._scaled_size(scale)
        scaled, masks = _resize(image, size), self._with_merged(self._masks)
        previous, states = stored.states, []
        for start in range(0, len(masks), OBJECTS_AT_ONCE):
            rows = slice(start, start + OBJECTS_AT_ONCE)
            # Previous soft masks at this scale, B×h×w.
            guidance = _resize(masks[rows].float()[:, None], size)[:, 0]
            if not self.config.use_previous:
                guidance = torch.zeros_like(guidance)
            # The frame again for each chunk: its features depend on the guidance mask, the fourth
            # channel.
            target = self.network.encode(scaled, guidance)
            state = None if previous is None else previous[rows].to(target.coarsest.dtype)
            reference = stored.references[rows].to(target.coarsest.dtype)
            matched = self.network.match(target, reference, state)
            if self.network.has_memory:
                states.append(_compact(matched, len(masks)))
            yield target, matched
        if states:
            stored.states = _joined(states)

    def _scaled_size(self, scale: float) -> tuple[int, int]:
        """Padded processing size at a scale: multiples of the stride, rounded up."""
        height, width = self._masks.shape[-2:]
        stride = self.network.stride
        # -(-a // b) is the ceiling of a / b.
        return -(-int(height * scale) // stride) * stride, -(-int(width * scale) // stride) * stride


def _compact(stored: Tensor, rows: int | None = None) -> Tensor:
    """A tensor that is stored from frame to frame: as float16 if it is for many objects.

    Args:
        stored: One row per object.
        rows: Objects in all; None: as many as the tensor has.
    """
    has_many = (len(stored) if rows is None else rows) > MANY_OBJECTS
    return stored.half() if has_many and stored.dtype == torch.float32 else stored


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Rows of several tensors as one; `torch.cat` takes no float16 where bfloat16 is computed."""
    joined = parts[0].new_empty((sum(map(len, parts)), *parts[0].shape[1:]))
    start = 0
    for part in parts:
        joined[start : start + len(part)] = part
        start += len(part)
    return joined


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """B×C×H×W at another size; like the authors', bilinear without an antialiasing filter."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _put_rows(old: Tensor, others: list[int], new: Tensor, fresh: list[int]) -> Tensor:
    """Tensor with rows `others` of the old one, and the new rows at the indices `fresh`."""
    joined = old.new_zeros((len(others) + len(fresh), *old.shape[1:]))
    joined[others], joined[fresh] = old[others], new.to(old.dtype)
    return joined
