"""The masks of a project: where each comes from, which are out of date, what a cut has to do.

A frame whose mask the user gave (a key frame) or approved (a frozen one) is a reference frame. The
masks of the other frames are cut from the nearest reference frames on both sides. Each stores which
they were, its chains; where they are no longer those around it the mask is stale. So whatever
happens to a reference frame, undo included, staleness follows from it and is stored nowhere.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

Source = Literal["key", "cut"]
Link = tuple[int, str, tuple[int, ...]]
"""A reference frame in a chain: its number, the digest of its mask, the objects it annotates."""
Chain = tuple[Link, ...]


@dataclass(frozen=True, kw_only=True)
class FrameRow:
    """What is stored of one frame's mask."""

    digest: str
    """Digest of the mask that is shown: `masks/DIGEST.png`."""
    labels: tuple[int, ...]
    """Objects with a pixel in it."""
    source: Source
    frozen: bool = False
    base: str | None = None
    """Digest of a key frame's mask before its first mark; None: there was none."""
    base_covers: tuple[int, ...] = ()
    """Objects that the mask before the first mark tells about."""
    reference: str | None = None
    """Digest of the mask of the objects in `covers` alone: what the segmenter is given."""
    covers: tuple[int, ...] = ()
    """Objects that the mask tells about, those absent from the frame among them."""
    marks: tuple[int, ...] = ()
    """Ids of the marks that made it, in order."""
    stage: tuple[int, str] | None = None
    """Digest of the mask after so many of the marks: later marks start from it."""
    left: Chain | None = None
    """Reference frames before this one that it was cut from, the nearest first; None: unknown."""
    right: Chain | None = None
    confidence: float | None = None

    @property
    def is_reference(self) -> bool:
        """Whether other frames are cut from this one."""
        return self.source == "key" or self.frozen

    def dump(self) -> str:
        """The row as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "FrameRow":
        """A row from its JSON."""
        fields = json.loads(text)
        for name in ("labels", "base_covers", "covers", "marks"):
            fields[name] = tuple(fields[name])
        stage = fields.get("stage")
        fields["stage"] = None if stage is None else (int(stage[0]), str(stage[1]))
        for name in ("left", "right"):
            fields[name] = None if fields[name] is None else as_chain(fields[name])
        return cls(**fields)


def as_chain(links: Iterable[Sequence[Any]]) -> Chain:
    """A chain from its JSON."""
    return tuple((int(frame), str(digest), tuple(covers)) for frame, digest, covers in links)


class Surroundings(NamedTuple):
    """The reference frames around a frame."""

    left: Chain
    right: Chain


class Document:
    """The frames of a project and its objects, as they are at one moment.

    Args:
        frames: Rows by frame number.
        live: Labels of the objects that are not deleted.
        count: Frames of the video.
    """

    def __init__(self, frames: Mapping[int, FrameRow], live: Iterable[int], count: int) -> None:
        self.frames, self.live, self.count = frames, frozenset(live), count
        self.references: list[Link] = []
        # In order of time; a frame that annotates only deleted objects is a reference no more.
        for index in sorted(frames):
            row = frames[index]
            covers = tuple(k for k in row.covers if k in self.live)
            if row.is_reference and covers:
                self.references.append((index, row.reference or row.digest, covers))
        self.objects = frozenset(k for _, _, covers in self.references for k in covers)
        """Objects that some reference frame annotates: those that a cut follows."""
        self._gaps: dict[int, Surroundings] = {}

    def around(self, index: int) -> Surroundings:
        """The chains of reference frames before and after a frame."""
        before = bisect_left(self.references, index, key=lambda link: link[0])
        here = before < len(self.references) and self.references[before][0] == index
        # All frames of a gap share their surroundings; a reference frame itself has its own.
        key = 2 * before + here
        if key not in self._gaps:
            left = self._covering(reversed(self.references[:before]))
            right = self._covering(self.references[before + here :])
            self._gaps[key] = Surroundings(left, right)
        return self._gaps[key]

    def _covering(self, links: Iterable[Link]) -> Chain:
        """The first links until every object is annotated."""
        chain: list[Link] = []
        seen: set[int] = set()
        for link in links:
            chain.append(link)
            seen.update(link[2])
            if seen >= self.objects:
                break
        return tuple(chain)

    def _live_part(self, chain: Chain) -> Chain:
        """A stored chain without what only tells about deleted objects."""
        links = ((i, digest, tuple(k for k in c if k in self.live)) for i, digest, c in chain)
        return self._covering(link for link in links if link[2])

    def is_current(self, index: int, side: Literal["left", "right"]) -> bool:
        """Whether the reference frames on a side are those that the frame was cut from.

        A frozen frame stands for those that it was itself cut from: to approve a mask changes no
        other.
        """
        stored: Chain | None = getattr(self.frames[index], side)
        if stored is None:
            return False
        expected: Chain = getattr(self.around(index), side)
        stored = self._live_part(stored)
        # Chains are compared by digests: two equal masks are one reference, whoever drew them.
        if stored == expected:
            return True
        if not expected:
            return False
        nearest = self.frames[expected[0][0]]
        own: Chain | None = getattr(nearest, side)
        is_frozen_cut = nearest.frozen and nearest.source == "cut" and own is not None
        return is_frozen_cut and own is not None and self._live_part(own) == stored

    def needs(self, index: int) -> tuple[bool, bool]:
        """Whether a frame has to be cut from the left and from the right."""
        row = self.frames.get(index)
        around = self.around(index)
        if row is None:
            return bool(around.left), bool(around.right)
        if row.frozen or (row.source == "key" and self.objects <= set(row.covers)):
            return False, False
        if row.source == "key" and row.left is None:  # its other objects were never cut
            return bool(around.left), bool(around.right)
        return (
            bool(around.left) and not self.is_current(index, "left"),
            bool(around.right) and not self.is_current(index, "right"),
        )

    def is_stale(self, index: int) -> bool:
        """Whether the next cut changes this frame's mask."""
        return index in self.frames and any(self.needs(index))

    def state(self, index: int) -> dict[str, Any]:
        """The frame as the page gets it."""
        row = self.frames[index]
        return {
            "frame": index,
            "source": row.source,
            "frozen": row.frozen,
            "stale": self.is_stale(index),
            "objects": [k for k in row.labels if k in self.live],
            "confidence": row.confidence,
        }

    def states(self) -> list[dict[str, Any]]:
        """All frames that have a mask, in order."""
        return [self.state(index) for index in sorted(self.frames)]

    def plan(
        self, wanted: Iterable[int], direction: str = "both", *, again: bool = False
    ) -> dict[str, Any] | None:
        """What a cut does, as JSON; None if there is nothing to do.

        Args:
            wanted: Frames that may change.
            direction: ``both``, ``forward``, ``backward``.
            again: Whether masks of an earlier cut are made anew; those of the user never are.
        """
        todo = []
        for index in wanted:
            row, (left, right) = self.frames.get(index), self.needs(index)
            # As if it had never been cut.
            if again and row is not None and row.source == "cut" and not row.frozen:
                around = self.around(index)
                left, right = bool(around.left), bool(around.right)
            left, right = left and direction != "backward", right and direction != "forward"
            if left or right:
                is_key = row is not None and row.source == "key"
                todo.append([index, left, right, None if row is None else row.digest, is_key])
        if not todo:
            return None
        return {
            "objects": sorted(self.objects),
            "references": [[*link, self.frames[link[0]].base] for link in self.references],
            "todo": todo,
        }


def document_of_plan(plan: Mapping[str, Any], count: int) -> Document:
    """A document with the reference frames of a plan alone: it knows the chains of its frames."""
    rows = {
        index: FrameRow(
            digest=digest, labels=(), source="key", reference=digest, covers=tuple(covers)
        )
        for index, digest, covers, _ in plan["references"]
    }
    return Document(rows, plan["objects"], count)
