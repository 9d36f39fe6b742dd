"""The memory of one video: a bounded number of past frames, each with the objects it knows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rotomask.networks.layers.memory import Similarity, memory_read


@dataclass(frozen=True)
class MemoryFrame:
    """One remembered frame."""

    index: int
    """The frame's number in the order in which the segmenter saw the frames."""
    object_ids: tuple[int, ...]
    """Objects it knows, in the order of the values."""
    key: Tensor
    """1×Ck×N, or O×Ck×N where each object has its own key."""
    value: Tensor
    """O×Cv×N."""
    is_reference: bool
    """Whether its mask was given by the user."""


class MemoryBank:
    """At most `budget` frames, spread over the video, and the previous one; with 0, only that.

    With None no frame is dropped: memory and the time of a read grow with the video.

    Reference frames stay, and so does the last frame that knows an object. Of the others, when
    there are too many, the one goes whose neighbours in time are closest to each other, older ones
    first: what remains covers the video the more densely the more recent.
    """

    def __init__(self, budget: int | None) -> None:
        self.budget = budget
        self.frames: list[MemoryFrame] = []
        self.previous: MemoryFrame | None = None

    def remember(self, frame: MemoryFrame) -> None:
        """Keep a frame, and drop one if there are too many."""
        self.frames.append(frame)
        while self.budget is not None and len(self.frames) > self.budget:
            candidates = [f for f in self.frames[:-1] if self._may_drop(f)]
            if not candidates:
                return
            self.frames.remove(min(candidates, key=self._loss))

    def read(
        self,
        query_key: Tensor,
        object_ids: tuple[int, ...],
        *,
        similarity: Similarity,
        top_k: int | None,
    ) -> Tensor:
        """What each object reads from the frames that know it.

        Args:
            query_key: 1×Ck×N.
            object_ids: The objects that read.
            similarity: How keys are compared.
            top_k: As for `memory_read`.

        Returns:
            O×Cv×N.
        """
        frames = [*self.frames] + ([self.previous] if self.previous is not None else [])
        if self.budget == 0:
            frames = frames[-1:]
        known_in = {
            k: tuple(i for i, f in enumerate(frames) if k in f.object_ids) for k in object_ids
        }
        readouts: dict[int, Tensor] = {}
        for group in dict.fromkeys(known_in.values()):
            # Objects that came at the same time read together.
            members = tuple(k for k in object_ids if known_in[k] == group)
            keys, values = zip(*(_of(frames[i], members) for i in group), strict=True)
            read = _read_together(
                query_key, torch.cat(keys, -1), torch.cat(values, -1), similarity, top_k
            )
            readouts |= dict(zip(members, read, strict=True))
        return torch.stack([readouts[k] for k in object_ids])

    def _may_drop(self, frame: MemoryFrame) -> bool:
        """References stay while they fit; no object loses the last frame that knows it."""
        references = sum(f.is_reference for f in self.frames)
        assert self.budget is not None
        if frame.is_reference and (references <= self.budget // 2 or frame is self.frames[0]):
            return False
        others = {k for f in self.frames if f is not frame for k in f.object_ids}
        return set(frame.object_ids) <= others

    def _loss(self, frame: MemoryFrame) -> float:
        """How much dropping a frame would open a gap, relative to how long ago it was."""
        indices = sorted(f.index for f in self.frames)
        i = indices.index(frame.index)
        gap = indices[min(i + 1, len(indices) - 1)] - indices[max(i - 1, 0)]
        return gap / (1 + indices[-1] - frame.index)


def _of(frame: MemoryFrame, members: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Key and value of some objects of a frame."""
    if members == frame.object_ids:
        return frame.key, frame.value
    rows = [frame.object_ids.index(k) for k in members]
    return (frame.key[rows] if len(frame.key) > 1 else frame.key), frame.value[rows]


def _read_together(
    query_key: Tensor, key: Tensor, value: Tensor, similarity: Similarity, top_k: int | None
) -> Tensor:
    """Read O×Cv×N; a shared key is compared once for all objects."""
    if len(key) == 1:
        flat = value.flatten(0, 1)[None]
        read = memory_read(query_key, key, flat, similarity=similarity, top_k=top_k)
        return torch.unflatten(read[0], 0, value.shape[:2])
    expanded = query_key.expand(len(key), -1, -1)
    return memory_read(expanded, key, value, similarity=similarity, top_k=top_k)
