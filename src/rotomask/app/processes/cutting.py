"""A cut in the worker: every frame of a plan, from the reference frames on both sides.

The rule is that of `rotomask.jobs.correct`: between two reference frames masks are blended by the
distance in time; a side whose reference frame did not change is not segmented again, its old masks
stand for it; carrying ends early where nothing changes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rotomask.app.document import Document, document_of_plan
from rotomask.app.processes.control import Control
from rotomask.app.processes.mask_store import MaskStore, with_locked
from rotomask.app.processes.passes import (
    PassOutput,
    ProbabilityStore,
    Reference,
    ReferencePass,
    annotation,
    run_pass,
)
from rotomask.jobs.carrying import (
    QUIET_FRAMES,
    Probability,
    is_large,
    is_quiet,
    is_worth_carrying,
    labels_of,
    nearest,
    nearness,
)
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, Pass
from rotomask.segmenters.framing import ids_in
from rotomask.video import Video

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Todo:
    """A frame of the plan."""

    index: int
    from_left: bool
    from_right: bool
    old: str | None
    """Digest of its mask before the cut."""
    is_key: bool
    """The user marked some of its objects; only the others are cut."""


@dataclass(frozen=True)
class Segment:
    """Frames between two reference frames that annotate every object, or an end of the video."""

    start: int
    """The reference frame before them, or the first frame."""
    stop: int
    """The reference frame after them, or one past the last frame."""
    todo: tuple[Todo, ...]


@dataclass
class Cut:
    """A cut that runs.

    Args:
        plan: From `Document.plan`.
        video: The video.
        count: Its frames.
        folder: The project's folder.
        segmenter: Gives the segmenter.
        identity: What its passes depend on beside the reference frames.
        control: Hears of every mask.
    """

    plan: Mapping[str, Any]
    video: Video
    count: int
    folder: Path
    segmenter: Callable[[], Segmenter]
    identity: Mapping[str, Any]
    control: Control
    done: int = 0

    def __post_init__(self) -> None:
        self.document: Document = document_of_plan(self.plan, self.count)
        self.store = MaskStore(self.folder / "masks")
        self.bases = {index: base for index, _, _, base in self.plan["references"]}
        self.ids = tuple(self.plan["objects"])
        self.total = len(self.plan["todo"])
        self._large: dict[tuple[int, int], bool] = {}

    def run(self) -> None:
        """Cut every frame of the plan.

        Raises:
            StoppedError: If the server wants it to end.
            TruncatedVideoError: If the video ends early.
        """
        self.control.progress(0, self.total)
        for segment in self._segments():
            self._cut(segment)

    def _segments(self) -> list[Segment]:
        """The frames of the plan in groups that share passes."""
        # Only a frame that annotates every object separates: past any other one, some object still
        # comes from farther away.
        complete = [i for i, _, covers in self.document.references if set(covers) >= set(self.ids)]
        todo = [Todo(*entry) for entry in self.plan["todo"]]
        # -1 and the count stand for the ends of the video, which have no mask.
        edges = [-1, *complete, self.count]
        segments = []
        for start, stop in pairwise(edges):
            within = tuple(t for t in todo if start < t.index < stop)
            if within:
                segments.append(Segment(max(start, 0), stop, within))
        return segments

    def _cut(self, segment: Segment) -> None:
        """Cut the frames between two reference frames.

        Frames that need both directions are shown from the left alone until the pass from the right
        completes them.
        """
        unchanged = [t for t in segment.todo if not self._is_worth_cutting(t)]
        self._keep(unchanged)
        todo = [t for t in segment.todo if t not in unchanged]
        left = {t.index: t for t in todo if t.from_left}
        right = {t.index: t for t in todo if t.from_right}
        # From the left first, and its probabilities stay on disk: the pass from the right mixes
        # them in.
        forward = self._pass(segment, left, reverse=False)
        self._carry(forward, left, None)
        earlier = None if forward is None else forward.stored(self.folder / "work")
        self._carry(self._pass(segment, right, reverse=True), right, earlier, reverse=True)

    def _carry(
        self,
        one: ReferencePass | None,
        todo: Mapping[int, Todo],
        earlier: ProbabilityStore | None,
        *,
        reverse: bool = False,
    ) -> None:
        """Finish the frames of the plan that a pass reaches, up to where nothing changes any more.

        Args:
            one: The pass; None: no object comes from this side.
            todo: Its frames in the plan.
            earlier: What the pass from the left found; None for that one.
            reverse: Whether the pass comes from the right.
        """
        quiet, waiting, may_end = 0, dict(todo), all(map(self._is_carried, todo.values()))
        for task, output in self._run(one, todo):
            del waiting[task.index]
            other = PassOutput()
            if task.from_left and earlier is not None and earlier.has(task.index):
                other = earlier.read(task.index)
            sides = (other, output) if reverse else (output, other)
            labels = self._finish(task, sides, is_final=reverse or not task.from_right)
            if may_end and task.old is not None:
                is_same = is_quiet(self.store.read(task.old), labels, self.ids)
                quiet = quiet + 1 if is_same else 0
                if quiet >= QUIET_FRAMES:
                    break
        self._keep(list(waiting.values()))

    def _pass(
        self, segment: Segment, todo: Mapping[int, Todo], *, reverse: bool
    ) -> ReferencePass | None:
        """The pass over a segment in one direction; None if no object is known to follow."""
        if not todo:
            return None
        first, last = segment.start, segment.stop - 1
        if reverse:
            first, last = first + 1, last + 1
        annotations: dict[int, Annotation] = {}
        digests: dict[int, str] = {}
        for index, digest, covers in self.document.references:
            if first <= index <= last:
                annotations[index] = annotation(self.store.read(digest), covers)
                digests[index] = digest
        order = sorted(annotations, reverse=reverse)
        if not order:
            return None
        # Without a frame that shows an object the first one says that it is absent there; it is
        # looked for again, as frames elsewhere show it.
        start = next((i for i in order if annotations[i].labels.any()), order[0])
        reach = min(todo) if reverse else max(todo)
        if reach >= start if reverse else reach <= start:
            return None
        for index in [i for i in annotations if (i > start if reverse else i < start)]:
            del annotations[index]  # reference frames without any object
        frames = Pass(reach, start + 1, reverse=True) if reverse else Pass(start, reach + 1)
        others = {r[0]: r for r in self.document.references if r[0] not in frames.indices}
        # Only the nearest are read: a long clip may have hundreds.
        elsewhere = tuple(
            Reference(index, digest, annotation(self.store.read(digest), covers))
            for index, digest, covers in map(others.__getitem__, nearest(others, start))
        )
        shown_elsewhere = {k for one in elsewhere for k in ids_in(one.annotation.labels)}
        known = annotations[start]
        if not known.labels.any() and not shown_elsewhere & set(known.object_ids or ()):
            return None
        return ReferencePass(
            video=self.video,
            identity=self.identity,
            annotations=annotations,
            digests=digests,
            frames=frames,
            elsewhere=elsewhere,
        )

    def _run(
        self, one: ReferencePass | None, todo: Mapping[int, Todo]
    ) -> Iterator[tuple[Todo, PassOutput]]:
        """What a pass finds in the frames of the plan; nothing before its first frame."""
        # Frames of the plan that no pass reaches have no object.
        covered = set() if one is None else set(one.frames.indices[1:])
        for index in sorted(set(todo) - covered):
            yield todo[index], PassOutput()
        if one is None:
            return
        for index, output in run_pass(
            one, self.folder / "work", self.segmenter, self.control.check
        ):
            if index in todo:
                yield todo[index], output

    def _finish(
        self, task: Todo, sides: tuple[PassOutput, PassOutput], *, is_final: bool
    ) -> Labels:
        """Combine what both sides say of a frame, store the mask and tell the server.

        Args:
            task: The frame.
            sides: Probabilities from the left and from the right.
            is_final: Whether nothing more comes of this frame.

        Returns:
            Its mask, H×W.
        """
        old = None if task.old is None else self.store.read(task.old)
        mixed = self._mixed(task, sides, old)
        labels = np.array(labels_of(mixed, self.video.size), np.int32)
        if old is not None:
            labels = with_locked(labels, old, self.plan.get("locked", ()))
        base: str | None = None
        if task.is_key:
            base, labels = self._around_marks(task.index, labels)
        digest, ids = self.store.write(labels)
        confidence = self._confidence(task, sides)
        self.done += is_final
        self.control.say(
            "mask",
            frame=task.index,
            digest=digest,
            base=base,
            labels=ids,
            confidence=round(confidence, 4),
            is_final=is_final,
        )
        self.control.progress(self.done, self.total)
        return labels

    def _mixed(
        self, task: Todo, sides: tuple[PassOutput, PassOutput], old: Labels | None
    ) -> dict[int, Probability]:
        """Probabilities of the objects: each by its own reference frames and their distance."""
        around = self.document.around(task.index)
        mixed = {}
        for k in self.ids:
            # The nearest reference frame on each side that annotates this object; others count for
            # others.
            before = next((i for i, _, covers in around.left if k in covers), None)
            after = next((i for i, _, covers in around.right if k in covers), None)
            left = self._side(task.from_left, sides[0], k, old)
            right = self._side(task.from_right, sides[1], k, old)
            if before is None or after is None:
                mixed[k] = left if after is None else right
            elif task.from_left and not task.from_right and self._is_large(before, k):
                mixed[k] = left
            elif task.from_right and not task.from_left and self._is_large(after, k):
                mixed[k] = right
            else:
                weight = np.float32(nearness(task.index, before, after))
                mixed[k] = weight * left + (1 - weight) * right
        return mixed

    def _confidence(self, task: Todo, sides: tuple[PassOutput, PassOutput]) -> float:
        """Confidence of the object that is least sure, each by the nearer reference frame's.

        Of an object that no pass measured here nothing is in doubt: it was annotated in this frame,
        or is not known on either side.
        """
        around = self.document.around(task.index)
        values = []
        for k in self.ids:
            ways = [
                (abs(link[0] - task.index), side.confidence[k])
                for side, chain in zip(sides, around, strict=True)
                for link in chain
                if k in link[2] and k in side.confidence
            ]
            if ways:
                # The smallest distance first: the confidence of the nearer side.
                values.append(min(ways)[1])
        return min(values, default=1.0)

    def _side(self, is_cut: bool, output: PassOutput, k: int, old: Labels | None) -> Probability:
        """Probability of an object from one side: what the pass found, or the old mask."""
        if is_cut:
            return output.probabilities.get(k, np.zeros(self.video.size, np.float32))
        if old is None:
            return np.zeros(self.video.size, np.float32)
        return np.asarray(old == k, np.float32)

    def _around_marks(self, index: int, labels: Labels) -> tuple[str, Labels]:
        """The mask of a key frame whose other objects were cut, and that of these alone."""
        _, digest, covers, _ = next(r for r in self.plan["references"] if r[0] == index)
        others = np.where(np.isin(labels, covers), 0, labels).astype(np.int32)
        marked = self.store.read(digest)
        base, _ = self.store.write(others)
        return base, np.where(np.isin(marked, covers), marked, others).astype(np.int32)

    def _is_large(self, reference: int, k: int) -> bool:
        """Whether most of an object was wrong in a reference frame before it was corrected."""
        if (reference, k) not in self._large:
            base = self.bases[reference]
            new = self._reference(reference) == k
            old = np.zeros_like(new) if base is None else self.store.read(base) == k
            self._large[reference, k] = is_large(old.astype(np.int32), new.astype(np.int32), (1,))
        return self._large[reference, k]

    def _reference(self, index: int) -> Labels:
        digest = next(digest for i, digest, _, _ in self.plan["references"] if i == index)
        return self.store.read(digest)

    def _is_worth_cutting(self, task: Todo) -> bool:
        """Whether a reference frame on a side to be cut differs from what it was before."""
        if task.old is None or task.is_key:
            return True
        around = self.document.around(task.index)
        links = (*around.left * task.from_left, *around.right * task.from_right)
        return any(self._is_corrected(index, covers) for index, _, covers in links)

    def _is_corrected(self, index: int, covers: tuple[int, ...]) -> bool:
        base = self.bases[index]
        if base is None:
            return True
        return is_worth_carrying(self.store.read(base), self._reference(index), covers)

    def _is_carried(self, task: Todo) -> bool:
        """Whether a frame has a mask that a correction on one side changes, but not by much."""
        if task.old is None or task.is_key or task.from_left == task.from_right:
            return False
        around = self.document.around(task.index)
        links = around.left if task.from_left else around.right
        return not any(self._is_large(links[0][0], k) for k in links[0][2])

    def _keep(self, tasks: Sequence[Todo]) -> None:
        """Tell the server that masks stay as they are."""
        if tasks:
            self.done += len(tasks)
            self.control.say("kept", frames=[t.index for t in tasks])
            self.control.progress(self.done, self.total)
