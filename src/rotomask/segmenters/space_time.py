"""The segmenter of every space-time memory network: what lives through one video.

Oh et al. 2019 (STM), sec. 3: past frames with their masks are memory, the current one is the query.
Memory holds the annotated frames, one frame in `memory_every`, and for STM the previous one; here
it is also bounded, so that time and memory per frame stay flat however long the video is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities, check_frame, check_mask
from rotomask.errors import MaskError, RotomaskError
from rotomask.networks.layers.aggregation import Aggregation, aggregate
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import working_size
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.framing import Framing, ids_in, put_known
from rotomask.segmenters.memory_bank import MemoryBank, MemoryFrame

OBJECTS_AT_ONCE = 16
"""Objects that are encoded or decoded in one batch."""


class SpaceTimeNetwork(Protocol):
    """What the segmenter asks of a network; shapes as in `STMLite` and `STM`."""

    stride: int

    @property
    def similarity(self) -> Similarity: ...  # noqa: D102

    def encode_frame(self, image: Tensor) -> Any: ...  # noqa: D102

    def encode_value(  # noqa: D102
        self, image: Tensor, features: Any, masks: Tensor
    ) -> tuple[Tensor, Tensor]: ...

    def decode(self, readout: Tensor, features: Any, guidance: Tensor) -> Tensor: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class SpaceTimeConfig:
    """How a space-time memory network is run over a video."""

    size: int | None = 480
    """Short side at which frames are processed, px; larger frames are reduced to it, smaller ones
    left. None: every frame at its own size."""
    enlarge: bool = False
    """Whether smaller frames are enlarged to `size`."""
    scale: float = 1.0
    """Factor on the size at which frames would be processed, to test at several scales."""
    memory_every: int = 5
    """One frame in so many is remembered."""
    memory_frames: int = 6
    """Most frames remembered, the reference frames among them, beside the previous frame. 0: with
    `use_previous`, nothing but that one; an ablation."""
    use_previous: bool = False
    """Whether the previous frame is part of the memory, as in STM. Not by default: stm-lite sees
    the previous mask as guidance, and what it got wrong there should not be remembered as well."""
    top_k: int | None = None
    """Read only from the k most similar memory positions; None: from all."""
    aggregation: Aggregation = "soft"
    """How the objects' probabilities are merged."""


@dataclass
class _Seen:
    """The last frame and what is known of its mask, at processing size."""

    image: Tensor
    """1×3×H×W, padded."""
    masks: Tensor
    """O×H×W, padded, soft."""
    features: Any
    """None until they are needed."""


class SpaceTimeSegmenter(Segmenter):
    """Follows any number of objects through one video with a space-time memory network."""

    def __init__(
        self,
        network: torch.nn.Module,
        config: SpaceTimeConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.config = config or SpaceTimeConfig()
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.eval().requires_grad_(False)
        self.network: SpaceTimeNetwork = network  # type: ignore[assignment]
        self._ids: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """Network, device, precision and settings."""
        name, runtime = type(self.network).__name__, self.runtime
        return f"{name} on {runtime.device}, {runtime.precision}, {self.config}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return self._ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and take this frame and its mask as the reference."""
        check_frame(frame)
        check_mask(mask, frame)
        ids = ids_in(mask)
        if not ids:
            raise MaskError("the reference mask is empty; mark at least one object in it")
        self._framing = self._frame_by(frame)
        self._ids = ids
        self._index = 0
        self._bank = MemoryBank(self.config.memory_frames)
        with self.runtime.inference():
            self._seen = _Seen(self._framing.image(frame), self._framing.masks(mask, ids), None)
            self._remember(ids, is_reference=True)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        self._check_started(frame)
        with self.runtime.inference():
            image, features = self._next(frame)
            probabilities = self._segment(features, self._ids)
            self._seen = _Seen(image, probabilities[1:], features)
            return self._framing.output(probabilities)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask: a correction, or a new object."""
        self._check_started(frame)
        check_mask(mask, frame)
        known = tuple(object_ids) if object_ids is not None else ids_in(mask)
        if not known:
            raise MaskError("the added mask is empty; name the object ids that are absent, or step")
        unknown = tuple(k for k in self._ids if k not in known)
        new = tuple(k for k in known if k not in self._ids)
        with self.runtime.inference():
            image, features = self._next(frame)
            full = np.zeros((1 + len(self._ids) + len(new), *self._framing.size), np.float32)
            masks = torch.zeros((len(self._ids + new), *image.shape[2:]), device=image.device)
            if unknown:
                probabilities = self._segment(features, unknown)
                masks[[self._ids.index(k) for k in unknown]] = probabilities[1:]
                rows = [0, *(1 + self._ids.index(k) for k in unknown)]
                full[rows] = self._framing.output(probabilities)
            else:
                full[0] = 1
            self._ids += new
            claimed = self._framing.masks(mask, known)
            masks *= 1 - claimed.sum(0).clamp(0, 1)
            masks[[self._ids.index(k) for k in known]] = claimed
            put_known(full, mask, self._ids, known)
            self._seen = _Seen(image, masks, features)
            self._remember(known, is_reference=True)
        return full

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier answer, without segmenting."""
        self._check_started(frame)
        check_mask(mask, frame)
        with self.runtime.inference():
            self._memorise_if_due()
            self._index += 1
            image, masks = self._framing.image(frame), self._framing.masks(mask, self._ids)
            self._seen = _Seen(image, masks, None)

    def _next(self, frame: Frame) -> tuple[Tensor, Any]:
        """Bring the memory up to the previous frame, and encode this one."""
        self._memorise_if_due()
        remembered = self._bank.frames[-1].index == self._index
        if self.config.use_previous and not remembered:
            self._bank.previous = self._encode_seen(self._ids, is_reference=False)
        else:
            self._bank.previous = None
        self._index += 1
        image = self._framing.image(frame)
        return image, self.network.encode_frame(image)

    def _memorise_if_due(self) -> None:
        """Put the last frame into the bank if it is its turn."""
        remembered = self._bank.frames[-1].index == self._index
        if self._index % self.config.memory_every == 0 and not remembered:
            self._remember(self._ids, is_reference=False)

    def _remember(self, ids: tuple[int, ...], *, is_reference: bool) -> None:
        self._bank.remember(self._encode_seen(ids, is_reference=is_reference))

    def _encode_seen(self, ids: tuple[int, ...], *, is_reference: bool) -> MemoryFrame:
        """Keys and values of the last frame for some of its objects."""
        seen = self._seen
        if seen.features is None:
            seen.features = self.network.encode_frame(seen.image)
        key, value = self._encode_values(seen)
        rows = [self._ids.index(k) for k in ids]
        if len(rows) < len(value):
            key, value = (key[rows] if len(key) > 1 else key), value[rows]
        return MemoryFrame(self._index, ids, key.flatten(2), value.flatten(2), is_reference)

    def _encode_values(self, seen: _Seen) -> tuple[Tensor, Tensor]:
        """Keys and values of all objects, some at a time so that many objects fit into memory."""
        if len(seen.masks) <= OBJECTS_AT_ONCE:
            return self.network.encode_value(seen.image, seen.features, seen.masks)
        total = seen.masks.sum(0, keepdim=True)
        keys, values = [], []
        for masks in seen.masks.split(OBJECTS_AT_ONCE):
            # The objects of the other chunks stand in as one, so that each object sees all others.
            rest = (total - masks.sum(0, keepdim=True)).clamp(0, 1)
            key, value = self.network.encode_value(
                seen.image, seen.features, torch.cat([masks, rest])
            )
            keys.append(key[:-1] if len(key) > 1 else key)
            values.append(value[:-1])
        shares_key = len(keys[0]) == 1 and len(values[0]) > 1
        return keys[0] if shares_key else torch.cat(keys), torch.cat(values)

    def _segment(self, features: Any, ids: tuple[int, ...]) -> Tensor:
        """Probabilities O+1×H×W at padded processing size."""
        key = features.key
        logits = []
        for start in range(0, len(ids), OBJECTS_AT_ONCE):
            chunk = ids[start : start + OBJECTS_AT_ONCE]
            read = self._bank.read(
                key.flatten(2), chunk, similarity=self.network.similarity, top_k=self.config.top_k
            )
            guidance = self._seen.masks[[self._ids.index(k) for k in chunk]]
            read = read.unflatten(-1, key.shape[-2:])
            logits.append(self.network.decode(read, features, guidance))
        return aggregate(torch.sigmoid(torch.cat(logits)), self.config.aggregation)

    def _frame_by(self, frame: Frame) -> Framing:
        size = (frame.shape[0], frame.shape[1])
        return Framing(
            size=size,
            working_size=working_size(
                size, self.config.size, self.config.enlarge, self.config.scale
            ),
            stride=self.network.stride,
            device=self.runtime.device,
        )

    def _check_started(self, frame: Frame) -> None:
        if not self._ids:
            raise RotomaskError("start() the segmenter with an annotated frame first")
        check_frame(frame, self._framing.size)
