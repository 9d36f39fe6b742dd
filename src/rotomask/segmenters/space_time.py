"""The segmenter of every space-time memory network: what lives through one video.

Oh et al. 2019 (STM), sec. 3: past frames with their masks are memory, the current one is the query.
Memory holds the annotated frames, one frame in `memory_every`, and for STM the previous one; here
it can also be bounded, so that time and memory per frame stay flat however long the video is.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.networks.layers.aggregation import Aggregation, aggregate
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.precision import Runtime
from rotomask.networks.sizing import Enlarge
from rotomask.segmenters.framing import Framing, overwrite
from rotomask.segmenters.memory_bank import MemoryBank, MemoryFrame
from rotomask.segmenters.network_segmenter import NetworkSegmenter

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
    enlarge: Enlarge = False
    """Whether smaller frames are enlarged to `size`; ``auto``: where an object of the mask is
    small (`networks.sizing`)."""
    scale: float = 1.0
    """Factor on the size at which frames would be processed, to test at several scales."""
    memory_every: int = 5
    """One frame in so many is remembered."""
    memory_frames: int | None = 6
    """Most frames remembered, the reference frames among them, beside the previous frame. None: no
    bound, as Oh et al. 2019 published it; memory and time then grow with the video. 0: with
    `use_previous`, nothing but that one; an ablation."""
    use_previous: bool = False
    """Whether the previous frame is part of the memory, as in STM. Not by default: stm-lite sees
    the previous mask as guidance, and what it got wrong there should not be remembered as well."""
    top_k: int | None = None
    """Read only from the k most similar memory positions; None: from all."""
    aggregation: Aggregation = "soft"
    """How the objects' probabilities are merged."""


@dataclass
class _LastFrame:
    """The last frame with its masks, at processing size."""

    image: Tensor
    """1×3×H×W, padded."""
    masks: Tensor
    """O×H×W, padded, soft."""
    features: Any
    """None until they are needed."""


class SpaceTimeSegmenter(NetworkSegmenter[SpaceTimeNetwork, SpaceTimeConfig]):
    """Follows any number of objects through one video with a space-time memory network."""

    online_lesson = "space-time"

    def __init__(
        self,
        network: torch.nn.Module,
        config: SpaceTimeConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(network, config or SpaceTimeConfig(), runtime)

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed, before padding, px."""
        return self._reduced_or_enlarged(size, self.config.scale)

    def _start(self, frame: Frame, mask: Mask) -> None:
        self._framing = Framing(
            size=self._size,
            working_size=self.working_size(self._size),
            stride=self.network.stride,
            device=self.runtime.device,
        )
        self._index = 0
        self._bank = MemoryBank(self.config.memory_frames)
        with self.runtime.inference():
            masks = self._framing.masks(mask, self._ids)
            self._last = _LastFrame(self._framing.image(frame), masks, None)
            self._remember(self._ids, is_reference=True)

    def _step(self, frame: Frame) -> Probabilities:
        with self.runtime.inference():
            image, features = self._next(frame)
            probabilities = self._segment(features, self._ids)
            self._last = _LastFrame(image, probabilities[1:], features)
            return self._framing.output(probabilities)

    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        others = tuple(k for k in self._ids if k not in given)
        with self.runtime.inference():
            image, features = self._next(frame)
            self._admit(given)
            full = np.zeros((1 + len(self._ids), *self._size), np.float32)
            masks = torch.zeros((len(self._ids), *image.shape[2:]), device=image.device)
            if others:
                probabilities = self._segment(features, others)
                masks[[self._ids.index(k) for k in others]] = probabilities[1:]
                rows = [0, *(1 + self._ids.index(k) for k in others)]
                full[rows] = self._framing.output(probabilities)
            else:
                full[0] = 1
            claimed = self._framing.masks(mask, given)
            masks *= 1 - claimed.sum(0).clamp(0, 1)
            masks[[self._ids.index(k) for k in given]] = claimed
            overwrite(full, mask, self._ids, given)
            self._last = _LastFrame(image, masks, features)
            self._remember(given, is_reference=True)
        return full

    def _observe(self, frame: Frame, mask: Mask) -> None:
        with self.runtime.inference():
            self._memorise_if_due()
            self._index += 1
            image, masks = self._framing.image(frame), self._framing.masks(mask, self._ids)
            self._last = _LastFrame(image, masks, None)

    def _next(self, frame: Frame) -> tuple[Tensor, Any]:
        """Bring the memory up to the previous frame, and encode this one."""
        self._memorise_if_due()
        remembered = self._bank.frames[-1].index == self._index
        if self.config.use_previous and not remembered:
            self._bank.previous = self._encode_last(self._ids, is_reference=False)
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
        self._bank.remember(self._encode_last(ids, is_reference=is_reference))

    def _encode_last(self, ids: tuple[int, ...], *, is_reference: bool) -> MemoryFrame:
        """Keys and values of the last frame for some of its objects."""
        last = self._last
        if last.features is None:
            last.features = self.network.encode_frame(last.image)
        key, value = self._encode_values(last)
        rows = [self._ids.index(k) for k in ids]
        if len(rows) < len(value):
            key, value = (key[rows] if len(key) > 1 else key), value[rows]
        return MemoryFrame(self._index, ids, key.flatten(2), value.flatten(2), is_reference)

    def _encode_values(self, last: _LastFrame) -> tuple[Tensor, Tensor]:
        """Keys and values of all objects, some at a time so that many objects fit into memory."""
        if len(last.masks) <= OBJECTS_AT_ONCE:
            return self.network.encode_value(last.image, last.features, last.masks)
        total = last.masks.sum(0, keepdim=True)
        keys, values = [], []
        for masks in last.masks.split(OBJECTS_AT_ONCE):
            # The objects of the other chunks stand in as one, so that each object sees all others.
            rest = (total - masks.sum(0, keepdim=True)).clamp(0, 1)
            key, value = self.network.encode_value(
                last.image, last.features, torch.cat([masks, rest])
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
            guidance = self._last.masks[[self._ids.index(k) for k in chunk]]
            read = read.unflatten(-1, key.shape[-2:])
            logits.append(self.network.decode(read, features, guidance))
        return aggregate(torch.sigmoid(torch.cat(logits)), self.config.aggregation)
