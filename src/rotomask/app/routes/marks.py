"""Marks, and every other change of the masks."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from rotomask.app.app import App
from rotomask.app.document import FrameRow
from rotomask.app.packs import mask_text
from rotomask.app.refused import RefusedError, not_found
from rotomask.app.routes.bodies import (
    AcceptBody,
    ClearBody,
    CopyBody,
    FreezeBody,
    MarkChange,
    MarksBody,
)
from rotomask.app.routes.media import media
from rotomask.app.routes.projects import whole_project

MOST_PROMPTS, MOST_STROKES = 200, 2000
"""Marks of one frame, answered by a network and painted."""
STAGE_MARKS = 24
"""After so many marks the mask is taken as it is: an answer never takes longer than for these."""
PAINTED = ("brush", "polygon", "clear", "copy")

Content = dict[str, Any]
Placed = tuple[int, Content]


def mark_routes(app: App) -> APIRouter:
    """The routes of marks."""
    router = APIRouter(tags=["marks"])

    @router.post("/api/projects/{project}/marks")
    def add_marks(project: str, body: MarksBody) -> dict[str, Any]:
        """Marks of an object on a frame; the answer is the new mask."""
        added = [(body.object, mark.model_dump()) for mark in body.marks]
        return Marking(app, project, body.frame, body.rev).add(added)

    @router.patch("/api/projects/{project}/marks/{mark}")
    def change_mark(project: str, mark: int, body: MarkChange) -> dict[str, Any]:
        """Put another mark in the place of one, such as a click that was dragged elsewhere."""
        return Marking(app, project, body.frame, body.rev).replace(mark, body.mark.model_dump())

    @router.post("/api/projects/{project}/clear")
    def clear(project: str, body: ClearBody) -> dict[str, Any]:
        """Say that an object is not in a frame."""
        return Marking(app, project, body.frame, body.rev).add([(body.object, {"kind": "clear"})])

    @router.post("/api/projects/{project}/copy")
    def copy(project: str, body: CopyBody) -> dict[str, Any]:
        """Use an object's mask of one frame for another."""
        row = app.projects.document(project).frames.get(body.source)
        if row is None or body.object not in row.labels:
            raise RefusedError(400, "no-mask", f"Frame {body.source} has no mask of this object.")
        mark = {"kind": "copy", "mask": row.digest}
        return Marking(app, project, body.to, body.rev).add([(body.object, mark)])

    @router.post("/api/projects/{project}/freeze")
    def freeze(project: str, body: FreezeBody) -> dict[str, Any]:
        """Say that masks are right, so that no cut changes them; or take that back."""

        def change() -> dict[str, Any]:
            app.projects.check_revision(project, body.rev)
            document = app.projects.document(project)
            rows = {
                index: replace(row, frozen=body.on)
                for index, row in document.frames.items()
                if body.first <= index <= body.last and row.frozen != body.on
            }
            if rows:
                app.projects.change(project, "freeze", rows)
            document = app.projects.document(project)
            states = [document.state(index) for index in sorted(rows)]
            return {"rev": app.projects.require(project)["rev"], "frames": states}

        state: dict[str, Any] = app.edit(project, change)
        return state

    @router.post("/api/projects/{project}/undo")
    def undo(project: str) -> dict[str, Any]:
        """Take the last change back; a cut that runs is cancelled."""
        return _moved(app, project, is_undo=True)

    @router.post("/api/projects/{project}/redo")
    def redo(project: str) -> dict[str, Any]:
        """Make the change again that was taken back last."""
        return _moved(app, project, is_undo=False)

    return router


def proposal_routes(app: App) -> APIRouter:
    """The routes of proposals."""
    router = APIRouter(tags=["proposals"])

    @router.get("/api/projects/{project}/proposals")
    def proposals(project: str) -> dict[str, Any]:
        """What the last search found."""
        return {"proposals": [_public(app, project, p) for p in _proposals(app, project)]}

    @router.post("/api/projects/{project}/proposals/accept")
    def accept(project: str, body: AcceptBody) -> dict[str, Any]:
        """Make objects of proposals."""
        proposals = {proposal["id"]: proposal for proposal in _proposals(app, project)}
        if not set(body.ids) <= set(proposals):
            raise RefusedError(404, "not-found", "There is no such proposal.", "Search again.")
        app.projects.check_revision(project, body.rev)
        changed: set[int] = set()
        for number in dict.fromkeys(body.ids):
            proposal = proposals[number]
            with app.database.transaction():
                added = app.projects.add_object(project, f"Object {number}", None)
            rev = app.projects.require(project)["rev"]
            mark = {"kind": "copy", "mask": proposal["mask"], "label": proposal["label"]}
            Marking(app, project, proposal["frame"], rev).add([(added["label"], mark)])
            changed.add(proposal["frame"])
        rev = app.projects.require(project)["rev"]
        return {"rev": rev, "changed": sorted(changed), "project": whole_project(app, project)}

    return router


class Marking:
    """A change of one frame by marks.

    Args:
        app: The app.
        project: The project.
        frame: The frame's number.
        rev: The newest change that the sender knows.
    """

    def __init__(self, app: App, project: str, frame: int, rev: int) -> None:
        self.app, self.project, self.frame, self.rev = app, project, frame, rev

    def add(self, added: Sequence[Placed]) -> dict[str, Any]:
        """Let the marker answer, then store marks and mask together.

        Raises:
            RefusedError: If the marks cannot be meant, or the project was changed meanwhile.
        """
        self._check(added)
        old, earlier = self._now()
        earlier_marks = [(m["id"], (m["object"], m["mark"])) for m in earlier]
        return self._answer(old, [*earlier_marks, *((None, placed) for placed in added)])

    def replace(self, number: int, content: Content) -> dict[str, Any]:
        """Let the marker answer anew with another mark in place of one.

        Args:
            number: Id of the mark.
            content: The other mark.

        Raises:
            RefusedError: As `add`; 404 if the frame has no such mark.
        """
        old, earlier = self._now()
        old_mark = next((m for m in earlier if m["id"] == number), None)
        if old_mark is None:
            raise not_found("mark of this frame")
        label = old_mark["object"]
        self._check([(label, content)])
        marks = [
            (None, (label, content))
            if mark["id"] == number
            else (mark["id"], (mark["object"], mark["mark"]))
            for mark in earlier
        ]
        return self._answer(old, marks)

    def _now(self) -> tuple[FrameRow | None, list[dict[str, Any]]]:
        """The frame's row and its marks."""
        old = self.app.projects.document(self.project).frames.get(self.frame)
        marks = [] if old is None else self.app.projects.marks(self.project, old.marks)
        return old, marks

    def _answer(
        self, old: FrameRow | None, marks: Sequence[tuple[int | None, Placed]]
    ) -> dict[str, Any]:
        """Store what the marker makes of marks, of which those without an id are new."""
        app, project = self.app, self.project
        base, base_covers = _base(old)
        # The longest stored prefix of these marks: only those after it are drawn again.
        stage = _stage(old, [number for number, _ in marks])
        done = 0 if stage is None else stage[0]
        covers = tuple(sorted({*base_covers, *(label for _, (label, _) in marks)}))
        request = {
            "do": "mark",
            "media": media(app, project),
            "masks": str(self._masks.resolve()),
            "frame": self.frame,
            "base": base if stage is None else stage[1],
            "marks": [placed for _, placed in marks[done:]],
            "covers": covers,
            "before": None if old is None else old.digest,
            "locked": app.projects.locked(project),
        }
        # Outside of any transaction, which would keep others waiting for a tenth of a second.
        reply = app.ask(request, urgent=True)
        if len(marks) - done >= STAGE_MARKS:
            stage = (len(marks), reply["digest"])
        ids: list[int] = []

        def store() -> None:
            app.projects.check_revision(project, self.rev)
            # The worker may have stored a mask of this frame while the marker answered.
            if app.projects.document(project).frames.get(self.frame) != old:
                raise RefusedError(
                    409,
                    "changed",
                    "A cut changed this frame just now.",
                    "Do it again.",
                    project=app.projects.summary(project),
                )
            for number, (label, mark) in marks:
                if number is None:
                    number = app.projects.add_mark(project, self.frame, label, mark)
                ids.append(number)
            row = FrameRow(
                digest=reply["digest"],
                labels=tuple(reply["labels"]),
                source="key",
                frozen=old is not None and old.frozen,
                base=base,
                base_covers=base_covers,
                reference=reply["reference"],
                covers=covers,
                marks=tuple(ids),
                stage=stage,
                # Objects without a mark in this frame keep what a cut said of them.
                left=old.left if old is not None and old.source == "key" else None,
                right=old.right if old is not None and old.source == "key" else None,
            )
            app.projects.change(project, "mark", {self.frame: row})

        app.edit(project, store)
        return {**self._state(reply["digest"]), "marks": ids, "ms": reply["ms"]}

    @property
    def _masks(self) -> Path:
        return self.app.projects.folder(self.project) / "masks"

    def _check(self, added: Sequence[Placed]) -> None:
        """Refuse what needs no marker to be refused."""
        app, project = self.app, self.project
        row = app.projects.require(project)
        if not 0 <= self.frame < row["frame_count"]:
            raise RefusedError(400, "frame", f"The video has frames 0 to {row['frame_count'] - 1}.")
        app.projects.check_revision(project, self.rev)
        for label in {label for label, _ in added}:
            if app.projects.require_object(project, label)["locked"]:
                raise RefusedError(409, "locked", "The object is locked.", "Unlock it first.")
        old = app.projects.document(project).frames.get(self.frame)
        kinds = [m["mark"]["kind"] for m in app.projects.marks(project, old.marks)] if old else []
        kinds += [mark["kind"] for _, mark in added]
        painted = sum(kind in PAINTED for kind in kinds)
        if painted > MOST_STROKES or len(kinds) - painted > MOST_PROMPTS:
            raise RefusedError(
                400,
                "too-many-marks",
                f"A frame takes up to {MOST_PROMPTS} clicks, boxes and scribbles and "
                f"{MOST_STROKES} strokes.",
                "Undo some; the brush corrects the rest.",
            )
        app.check_disk()

    def _state(self, digest: str) -> dict[str, Any]:
        row = self.app.projects.require(self.project)
        document = self.app.projects.document(self.project)
        size = (row["width"], row["height"])
        mask = mask_text(self._masks, digest, self.frame, size, document.live)
        return {"rev": row["rev"], "frame": document.state(self.frame), "mask": mask}


def _stage(old: FrameRow | None, ids: Sequence[int | None]) -> tuple[int, str] | None:
    """The mask after the first marks of a frame, if these are still the first of some marks."""
    if old is None or old.stage is None:
        return None
    done = old.stage[0]
    return old.stage if list(ids[:done]) == list(old.marks[:done]) else None


def _base(old: FrameRow | None) -> tuple[str | None, tuple[int, ...]]:
    """The mask before the first mark, and the objects that it tells about."""
    if old is None:
        return None, ()
    if old.source == "key":
        return old.base, old.base_covers
    return old.digest, old.covers


def _moved(app: App, project: str, *, is_undo: bool) -> dict[str, Any]:
    def change() -> list[int]:
        app.projects.require(project)
        last = app.projects.last_change(project)
        if is_undo and last is not None and last["kind"] == "cut":
            app.jobs.cancel_all(project, "cut")
        return app.projects.undo(project) if is_undo else app.projects.redo(project)

    changed = app.edit(project, change)
    app.supervisor.wake()
    rev = app.projects.require(project)["rev"]
    return {"rev": rev, "changed": changed, "project": whole_project(app, project)}


def _proposals(app: App, project: str) -> list[dict[str, Any]]:
    proposals: list[dict[str, Any]] = json.loads(app.projects.require(project)["proposals"])
    return proposals


def _public(app: App, project: str, proposal: dict[str, Any]) -> dict[str, Any]:
    row = app.projects.require(project)
    folder = app.projects.folder(project) / "masks"
    size = (row["width"], row["height"])
    mask = mask_text(folder, proposal["mask"], proposal["frame"], size, {proposal["label"]})
    fields = {name: proposal[name] for name in ("id", "frame", "area", "score")}
    return {**fields, "mask": mask}
