"""Memory of one video: a bounded number of past frames with keys, and values of their objects."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rotomask.networks.layers.memory import Similarity, memory_read


@dataclass(frozen=True)
class MemoryFrame:
    """One frame in memory."""

    index: int
    """Number of the frame in the order in which the segmenter saw the frames."""
    object_ids: tuple[int, ...]
    """Objects that it has values of, in their order."""
    key: Tensor
    """1×Ck×N, N = h·w positions, or O×Ck×N for networks with a key per object."""
    value: Tensor
    """O×Cv×N."""
    is_reference: bool
    """True if the user gave its mask."""


class MemoryBank:
    """At most `budget` frames spread over the video, plus the previous one if it is set.

    With a budget of None no frame is dropped; memory and the time of a read then grow with the
    video. With a budget of 0 only the most recent frame is read. The first reference frame is
    never dropped, nor are further ones while they fill at most half of the budget, nor the last
    frame that shows an object. Of the others, the frame whose neighbours in time are closest to
    each other is dropped, older ones first. The remaining frames cover the whole video, more
    densely towards the present.
    """

    def __init__(self, budget: int | None) -> None:
        self.budget = budget
        self.frames: list[MemoryFrame] = []
        self.previous: MemoryFrame | None = None

    def remember(self, frame: MemoryFrame) -> None:
        """Add a frame, and drop frames beyond the budget."""
        self.frames.append(frame)
        # More than one may go: the budget itself falls when objects are added.
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
        """Memory readout of each object, from the frames that have values of it.

        Args:
            query_key: Key of the query frame, 1×Ck×N.
            object_ids: Objects to read for.
            similarity: Similarity of keys; see `memory_read`.
            top_k: Number of positions to read from; see `memory_read`.

        Returns:
            O×Cv×N, rows in the order of `object_ids`.
        """
        frames = [*self.frames] + ([self.previous] if self.previous is not None else [])
        if self.budget == 0:
            frames = frames[-1:]
        frames_of = {
            k: tuple(i for i, f in enumerate(frames) if k in f.object_ids) for k in object_ids
        }
        readouts: dict[int, Tensor] = {}
        # Objects with the same frames are read as one batch. Usually that is all of them: only
        # objects added in mid-video lack the frames before. Zero values in their place would not
        # do, because the softmax would still spend affinity on those positions.
        for group in dict.fromkeys(frames_of.values()):
            members = tuple(k for k in object_ids if frames_of[k] == group)
            keys, values = zip(*(_select_objects(frames[i], members) for i in group), strict=True)
            # Joined along the positions: M = frames · N.
            readout = _read_objects(
                query_key, torch.cat(keys, -1), torch.cat(values, -1), similarity, top_k
            )
            readouts |= dict(zip(members, readout, strict=True))
        return torch.stack([readouts[k] for k in object_ids])

    def _may_drop(self, frame: MemoryFrame) -> bool:
        """True unless the frame is a reference within half the budget, or an object's last."""
        references = sum(f.is_reference for f in self.frames)
        assert self.budget is not None
        # Masks that the user gave are worth more than the segmenter's own, but must not fill the
        # memory.
        if frame.is_reference and (references <= self.budget // 2 or frame is self.frames[0]):
            return False
        others = {k for f in self.frames if f is not frame for k in f.object_ids}
        return set(frame.object_ids) <= others

    def _loss(self, frame: MemoryFrame) -> float:
        """Gap that dropping a frame would leave, relative to the time since the frame."""
        indices = sorted(f.index for f in self.frames)
        i = indices.index(frame.index)
        # Distance between the frame's neighbours; divided by its age, so that old frames go first.
        gap = indices[min(i + 1, len(indices) - 1)] - indices[max(i - 1, 0)]
        return gap / (1 + indices[-1] - frame.index)


def _select_objects(frame: MemoryFrame, members: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Key (shared, or a row per object) and values of some objects of a frame."""
    if members == frame.object_ids:
        return frame.key, frame.value  # no copy
    rows = [frame.object_ids.index(k) for k in members]
    return (frame.key[rows] if len(frame.key) > 1 else frame.key), frame.value[rows]


def _read_objects(
    query_key: Tensor, key: Tensor, value: Tensor, similarity: Similarity, top_k: int | None
) -> Tensor:
    """Memory readout O×Cv×N for objects with the same frames.

    Args:
        query_key: 1×Ck×N.
        key: 1×Ck×M shared by all objects, or O×Ck×M.
        value: O×Cv×M.
        similarity: See `memory_read`.
        top_k: See `memory_read`.
    """
    if len(key) == 1:
        # With one key there is one affinity N×M for all objects: their values become channels of
        # one read, 1×O·Cv×M. A batch of O would compute the affinity O times.
        flat = value.flatten(0, 1)[None]
        readout = memory_read(query_key, key, flat, similarity=similarity, top_k=top_k)
        return torch.unflatten(readout[0], 0, value.shape[:2])  # O·Cv×N -> O×Cv×N
    expanded = query_key.expand(len(key), -1, -1)
    return memory_read(expanded, key, value, similarity=similarity, top_k=top_k)
