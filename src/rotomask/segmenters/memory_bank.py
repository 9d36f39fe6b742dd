"""Memory of one video: a bounded number of past frames with keys, and values of their objects."""

import operator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from rotomask.networks.layers.memory import Memory, Similarity


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
    log_weight: Tensor | None = None
    """Logarithm of the number of positions that each one stands for, N; None: of one each."""


class JoinedMemory(NamedTuple):
    """Objects that have values in the same frames, and the memory of these frames.

    It is read by the thread that encodes ahead too.
    """

    rows: list[int]
    """Rows of these objects among those that were asked for."""
    memory: Memory
    shares_key: bool
    """True if the objects have one key, so that their values are channels of one read."""


class MemoryBank:
    """At most `budget` frames spread over the video, plus the previous one if it is set.

    With a budget of None no frame is dropped; memory and the time of a read then grow with the
    video. With a budget of 0 only the most recent frame is read. The first reference frame is
    never dropped, nor are further ones while they fill at most half of the budget, nor the last
    frame that shows an object. Of the others, the frame whose neighbours in time are closest to
    each other is dropped, older ones first. The remaining frames cover the whole video, more
    densely towards the present. What is in `elsewhere` is read with them, and never dropped.
    """

    not_stored: ClassVar[frozenset[str]] = frozenset({"_joined", "_joined_of"})
    """Attributes that are not part of a stored state (`segmenters.state`)."""
    elsewhere: tuple[MemoryFrame, ...] = ()
    """Reference frames that are not among the frames that are followed."""
    _joined: tuple[JoinedMemory, ...] = ()
    """What was read last, joined; most often it is read again."""
    _joined_of: tuple[tuple[int, ...], list[MemoryFrame]] = ((), [])
    """The objects and frames that it is of."""

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

    def joined(
        self, object_ids: tuple[int, ...], similarity: Similarity
    ) -> tuple[JoinedMemory, ...]:
        """The frames' keys and values along the positions, for objects with the same frames.

        Usually that is all of them: only objects added in mid-video lack the frames before. Zero
        values in their place would not do, because the softmax would still spend affinity on those
        positions.

        Returns:
            A part for each set of frames. The same tuple as before while neither the frames nor the
            objects changed.
        """
        frames = [*self.elsewhere, *self.frames]
        if self.previous is not None:
            frames.append(self.previous)
        if self.budget == 0:
            frames = frames[-1:]
        known_ids, known = self._joined_of
        is_same = len(known) == len(frames) and all(map(operator.is_, known, frames))
        if not is_same or known_ids != object_ids:
            rows_of = {
                k: tuple(i for i, f in enumerate(frames) if k in f.object_ids) for k in object_ids
            }
            self.forget_joined()  # before the next is made
            self._joined = tuple(
                _join(
                    [frames[i] for i in rows],
                    tuple(k for k in object_ids if rows_of[k] == rows),
                    object_ids,
                    similarity,
                )
                for rows in dict.fromkeys(rows_of.values())
            )
            self._joined_of = (object_ids, frames)
        return self._joined

    def forget_joined(self) -> None:
        """Free what `joined` keeps for the next read."""
        self._joined, self._joined_of = (), ((), [])

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


def _join(
    frames: list[MemoryFrame],
    members: tuple[int, ...],
    object_ids: tuple[int, ...],
    similarity: Similarity,
) -> JoinedMemory:
    """The memory of objects that all of these frames have."""
    keys, values = zip(*(_select_objects(frame, members) for frame in frames), strict=True)
    key, value = torch.cat(keys, -1), torch.cat(values, -1)  # 1×Ck×M or O×Ck×M, and O×Cv×M
    weights = [frame.log_weight for frame in frames]
    log_weight = None
    if any(weight is not None for weight in weights):
        log_weight = torch.cat(
            [
                torch.zeros(frame.key.shape[-1], device=key.device) if weight is None else weight
                for frame, weight in zip(frames, weights, strict=True)
            ]
        )
    shares_key = len(key) == 1
    if shares_key:
        # With one key there is one affinity N×M for all objects: their values become channels of
        # one read, 1×O·Cv×M. A batch of O would compute the affinity O times.
        value = value.flatten(0, 1)[None]
    memory = Memory(key, value, similarity=similarity, log_weight=log_weight)
    return JoinedMemory([object_ids.index(k) for k in members], memory, shares_key)


def read_joined(parts: tuple[JoinedMemory, ...], query_key: Tensor, top_k: int | None) -> Tensor:
    """Memory readout of each object, from the frames that have values of it.

    Args:
        parts: What `MemoryBank.joined` gives for the objects.
        query_key: Key of the query frame, 1×Ck×N.
        top_k: Number of positions to read from; see `memory_read`.

    Returns:
        O×Cv×N, rows in the order in which the objects were asked for.
    """
    readouts: list[Tensor] = []
    for rows, memory, shares_key in parts:
        if shares_key:
            # 1×O·Cv×N -> O×Cv×N.
            readouts.append(memory.read(query_key, top_k)[0].unflatten(0, (len(rows), -1)))
        else:
            readouts.append(memory.read(query_key.expand(len(rows), -1, -1), top_k))
    if len(readouts) == 1:
        return readouts[0]
    order = [row for rows, _, _ in parts for row in rows]
    rows_first = [order.index(row) for row in range(len(order))]
    return torch.cat(readouts)[rows_first]
