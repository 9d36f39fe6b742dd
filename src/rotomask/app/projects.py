"""Projects: their objects, frames, marks and files, and every change of them with undo and redo."""

import json
import shutil
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rotomask.app.database import Database
from rotomask.app.document import Document, FrameRow
from rotomask.app.events import Event, Events
from rotomask.app.identifiers import new_id
from rotomask.app.refused import RefusedError, not_found

COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#b07aff")
"""Okabe and Ito's colours, which colour-blind people can tell apart, in the order of objects."""
MOST_OBJECTS = 255
UI_BYTES = 16 << 10
CACHED_PROJECTS = 8
PUBLIC = ("id", "name", "state", "width", "height", "frame_count", "rate", "seconds", "bytes")
OBJECT_FIELDS = ("label", "name", "colour", "hidden", "locked")

Frames = Mapping[int, FrameRow | None]
"""Rows after a change; None: the frame has no mask any more."""


class Projects:
    """The projects in a data folder.

    Args:
        database: Where they are listed.
        events: Gets the news.
        root: The folder with a folder for each project.
    """

    def __init__(self, database: Database, events: Events, root: Path) -> None:
        self.database, self.events, self.root = database, events, root
        self._frames: OrderedDict[str, dict[int, FrameRow]] = OrderedDict()
        database.on_rollback(self._frames.clear)

    def folder(self, project: str) -> Path:
        """Where the files of a project are."""
        return self.root / project

    def require(self, project: str) -> dict[str, Any]:
        """The row of a project.

        Raises:
            RefusedError: If there is none.
        """
        row = self.database.row("SELECT * FROM project WHERE id = ?", project)
        if row is None:
            raise not_found("project")
        return row

    def summary(self, project: str) -> dict[str, Any]:
        """The project as `Project` of the API."""
        row = self.require(project)
        undone = self.database.rows(
            "SELECT undone, count(*) AS number FROM change WHERE project = ? GROUP BY undone",
            project,
        )
        number = {entry["undone"]: entry["number"] for entry in undone}
        return {
            **{name: row[name] for name in PUBLIC},
            "has_audio": bool(row["has_audio"]),
            "created": row["created"],
            "opened": row["opened"],
            "rev": row["rev"],
            "can_undo": bool(number.get(0)),
            "can_redo": bool(number.get(1)),
            "error": None if row["error"] is None else json.loads(row["error"]),
        }

    def listed(self) -> list[dict[str, Any]]:
        """All projects, the last opened first."""
        rows = self.database.rows("SELECT id FROM project ORDER BY opened DESC, id DESC")
        return [self.summary(row["id"]) for row in rows]

    def insert(self, project: str, name: str) -> None:
        """Add a project that is about to be imported."""
        now = time.time()
        self.database.run(
            "INSERT INTO project (id, name, state, created, opened) VALUES (?, ?, ?, ?, ?)",
            *(project, name, "importing", now, now),
        )

    def update(self, project: str, **values: object) -> None:
        """Set columns of a project and tell the pages."""
        if values:
            columns = ", ".join(f"{name} = ?" for name in values)
            self.database.run(
                f"UPDATE project SET {columns} WHERE id = ?", *values.values(), project
            )
        self.tell(project)

    def tell(self, project: str) -> None:
        """Send the project to the pages."""
        self.events.add("project", {"project": self.summary(project)}, project)

    def delete(self, project: str) -> None:
        """Delete a project with its files; its jobs have ended before."""
        with self.database.transaction():
            self.require(project)
            self.database.run("DELETE FROM project WHERE id = ?", project)
            self._frames.pop(project, None)
            self.events.add("gone", {"project": project}, project)
        shutil.rmtree(self.folder(project), ignore_errors=True)

    def objects(self, project: str) -> list[dict[str, Any]]:
        """The objects that are not deleted, as `Object` of the API."""
        rows = self.database.rows(
            "SELECT * FROM object WHERE project = ? AND deleted = 0 ORDER BY label", project
        )
        return [_public_object(row) for row in rows]

    def locked(self, project: str) -> list[int]:
        """Labels of the objects that no change may touch."""
        return [entry["label"] for entry in self.objects(project) if entry["locked"]]

    def document(self, project: str) -> Document:
        """The frames of a project as they are now."""
        row = self.require(project)
        live = [entry["label"] for entry in self.objects(project)]
        return Document(dict(self._rows(project)), live, row["frame_count"])

    def _rows(self, project: str) -> dict[int, FrameRow]:
        """The rows of all frames; those of projects in use stay in memory."""
        if project not in self._frames:
            rows = self.database.rows("SELECT frame, state FROM frame WHERE project = ?", project)
            self._frames[project] = {r["frame"]: FrameRow.load(r["state"]) for r in rows}
            # The least recently used first; it is read again from the data base.
            while len(self._frames) > CACHED_PROJECTS:
                self._frames.popitem(last=False)
        self._frames.move_to_end(project)
        return self._frames[project]

    def masks_message(self, project: str) -> dict[str, Any]:
        """What a process needs to see the masks: their digests, the objects, the frames."""
        document = self.document(project)
        return {
            "folder": str(self.folder(project).resolve()),
            "masks": {index: row.digest for index, row in document.frames.items()},
            "live": sorted(document.live),
            "count": document.count,
        }

    def marks(self, project: str, ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
        """Marks as `{id, frame, object, mark}`: those with some ids, or all that are in force."""
        if ids is None:
            frames = self.document(project).frames
            ids = [mark for index in sorted(frames) for mark in frames[index].marks]
        rows = self.database.rows("SELECT * FROM mark WHERE project = ?", project)
        marks = {row["id"]: row for row in rows}
        return [
            {
                "id": mark,
                "frame": marks[mark]["frame"],
                "object": marks[mark]["object"],
                "mark": json.loads(marks[mark]["content"]),
            }
            for mark in ids
        ]

    def add_mark(self, project: str, frame: int, label: int, content: dict[str, Any]) -> int:
        """Store a mark; gives its id."""
        text = json.dumps(content, separators=(",", ":"))
        return self.database.run(
            "INSERT INTO mark (project, frame, object, content) VALUES (?, ?, ?, ?)",
            *(project, frame, label, text),
        )

    def check_revision(self, project: str, rev: int) -> None:
        """Raise unless the sender knows the newest change that a user made.

        Raises:
            RefusedError: 409 with the project, if not.
        """
        row = self.require(project)
        # A page may lag behind results of a cut, which no user made, but not behind another's edit.
        if not row["edit_rev"] <= rev <= row["rev"]:
            raise RefusedError(
                409,
                "changed",
                "The project was changed elsewhere in the meantime.",
                "The page shows it as it is now; do it again if it is still wanted.",
                project=self.summary(project),
            )

    # Changes. Each has the rows before and after it, so that undo computes nothing.

    def change(
        self,
        project: str,
        kind: str,
        frames: Frames,
        objects: Mapping[int, dict[str, Any] | None] | None = None,
        *,
        continued: int | None = None,
    ) -> int:
        """Apply a change to frames and objects, with what undoes it.

        Args:
            project: The project.
            kind: What it was: ``mark``, ``cut`` ...
            frames: Rows after it.
            objects: Columns of the objects after it, by label.
            continued: The change that this is a further part of: results of the same cut.

        Returns:
            Its id.
        """
        before = self.document(project)
        is_new = continued is None or not self._is_newest(project, continued)
        if is_new:
            # A new change ends what could be redone.
            self.database.run("DELETE FROM change WHERE project = ? AND undone = 1", project)
            continued = self.database.run(
                "INSERT INTO change (project, kind) VALUES (?, ?)", project, kind
            )
        assert continued is not None
        for index, row in frames.items():
            old = before.frames.get(index)
            texts = (None if old is None else old.dump(), None if row is None else row.dump())
            self._log("frame", continued, index, texts)
            self._set_frame(project, index, texts[1])
        for label, columns in (objects or {}).items():
            old_object = self._object_text(project, label)
            new_object = None if columns is None else json.dumps(columns)
            self._log("object", continued, label, (old_object, new_object))
            self._set_object(project, label, new_object)
        self._changed(project, before, list(frames), is_new, is_edit=kind != "cut")
        return continued

    def undo(self, project: str) -> list[int]:
        """Take the last change back; gives the frames that it changed.

        Raises:
            RefusedError: If there is nothing to undo.
        """
        return self._move(project, undone=0, order="DESC", column="before")

    def redo(self, project: str) -> list[int]:
        """Make the change again that was undone last; gives the frames that it changed.

        Raises:
            RefusedError: If there is nothing to redo.
        """
        return self._move(project, undone=1, order="ASC", column="after")

    def _move(self, project: str, *, undone: int, order: str, column: str) -> list[int]:
        what = "redo" if undone else "undo"
        row = self.database.row(
            f"SELECT * FROM change WHERE project = ? AND undone = ? ORDER BY id {order} LIMIT 1",
            *(project, undone),
        )
        if row is None:
            raise RefusedError(409, f"nothing-to-{what}", f"There is nothing to {what}.")
        before = self.document(project)
        frames = self.database.rows("SELECT * FROM change_frame WHERE change = ?", row["id"])
        for entry in frames:
            self._set_frame(project, entry["frame"], entry[column])
        objects = self.database.rows("SELECT * FROM change_object WHERE change = ?", row["id"])
        for entry in objects:
            self._set_object(project, entry["label"], entry[column])
        self.database.run("UPDATE change SET undone = ? WHERE id = ?", 1 - undone, row["id"])
        changed = sorted(entry["frame"] for entry in frames)
        self._changed(project, before, changed, is_new=True, is_edit=True)
        return changed

    def last_change(self, project: str) -> dict[str, Any] | None:
        """The change that undo would take back."""
        return self.database.row(
            "SELECT * FROM change WHERE project = ? AND undone = 0 ORDER BY id DESC LIMIT 1",
            project,
        )

    def _is_newest(self, project: str, change: int) -> bool:
        row = self.database.row("SELECT max(id) AS id FROM change WHERE project = ?", project)
        return row is not None and row["id"] == change

    def _log(
        self, what: str, change: int, number: int, texts: tuple[str | None, str | None]
    ) -> None:
        """Note what a row was and is; a second change of it keeps what it was first."""
        column = "frame" if what == "frame" else "label"
        self.database.run(
            f"INSERT INTO change_{what} (change, {column}, before, after) VALUES (?, ?, ?, ?) "
            f"ON CONFLICT (change, {column}) DO UPDATE SET after = excluded.after",
            *(change, number, *texts),
        )

    def _set_frame(self, project: str, index: int, text: str | None) -> None:
        rows = self._rows(project)
        if text is None:
            rows.pop(index, None)
            self.database.run("DELETE FROM frame WHERE project = ? AND frame = ?", project, index)
        else:
            rows[index] = FrameRow.load(text)
            self.database.run(
                "INSERT OR REPLACE INTO frame (project, frame, state) VALUES (?, ?, ?)",
                *(project, index, text),
            )

    def _object_text(self, project: str, label: int) -> str | None:
        row = self.database.row(
            "SELECT * FROM object WHERE project = ? AND label = ?", project, label
        )
        if row is None:
            return None
        return json.dumps({name: row[name] for name in (*OBJECT_FIELDS[1:], "deleted")})

    def _set_object(self, project: str, label: int, text: str | None) -> None:
        if text is None:
            self.database.run("DELETE FROM object WHERE project = ? AND label = ?", project, label)
            return
        columns = json.loads(text)
        self.database.run(
            "INSERT OR REPLACE INTO object (project, label, name, colour, hidden, locked, deleted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(project, label, columns["name"], columns["colour"]),
            *(int(columns["hidden"]), int(columns["locked"]), int(columns["deleted"])),
        )

    def _changed(
        self, project: str, before: Document, frames: list[int], is_new: bool, *, is_edit: bool
    ) -> None:
        """Count the revision up and tell the pages what looks different now."""
        if is_new:
            self.database.run("UPDATE project SET rev = rev + 1 WHERE id = ?", project)
        if is_edit:
            self.database.run("UPDATE project SET edit_rev = rev WHERE id = ?", project)
        after = self.document(project)
        changed = set(frames)
        if is_edit:  # a cut changes no reference frame, and so makes nothing else stale
            changed.update(
                index
                for index in after.frames
                if index in before.frames and before.is_stale(index) != after.is_stale(index)
            )
        rev = self.require(project)["rev"]
        states = [after.state(index) for index in sorted(changed) if index in after.frames]
        removed = [index for index in sorted(changed) if index not in after.frames]
        content = {"project": project, "rev": rev, "frames": states, "removed": removed}
        self.events.add("masks", content, project)
        if is_new:
            self.tell(project)

    # Objects.

    def add_object(self, project: str, name: str | None, colour: str | None) -> dict[str, Any]:
        """Add an object with the smallest free label.

        Raises:
            RefusedError: If all labels are taken.
        """
        rows = self.database.rows("SELECT * FROM object WHERE project = ?", project)
        taken = {row["label"] for row in rows}
        label = next((k for k in range(1, MOST_OBJECTS + 1) if k not in taken), None)
        if label is None:
            raise RefusedError(
                409, "too-many-objects", f"A project has at most {MOST_OBJECTS} objects."
            )
        used = {row["colour"] for row in rows if not row["deleted"]}
        free = [c for c in COLOURS if c not in used] or [COLOURS[label % len(COLOURS)]]
        columns = {
            "name": name or f"Object {label}",
            "colour": colour or free[0],
            "hidden": 0,
            "locked": 0,
            "deleted": 0,
        }
        self.change(project, "object", {}, {label: columns})
        return self.require_object(project, label)

    def require_object(self, project: str, label: int) -> dict[str, Any]:
        """An object as `Object` of the API.

        Raises:
            RefusedError: If there is none.
        """
        for entry in self.objects(project):
            if entry["label"] == label:
                return entry
        raise not_found("object")

    def change_object(self, project: str, label: int, **values: object) -> dict[str, Any]:
        """Set properties of an object, or delete it (`deleted`)."""
        self.require_object(project, label)
        columns = json.loads(self._object_text(project, label) or "{}")
        self.change(project, "object", {}, {label: {**columns, **values}})
        return {} if values.get("deleted") else self.require_object(project, label)

    # Files.

    def add_file(self, project: str, job: str, name: str, kind: str, path: Path) -> None:
        """Take a complete file over as a result of a job, in place of one of the same name.

        So a job that runs again after a kill adds it once.
        """
        for old in self.database.rows(
            "SELECT * FROM file WHERE project = ? AND name = ?", project, name
        ):
            self.delete_file(project, old["id"])
        number = new_id()
        target = self.folder(project) / "files" / number
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
        self.database.run(
            "INSERT INTO file (id, project, job, name, kind, bytes, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(number, project, job, name, kind, target.stat().st_size, time.time()),
        )

    def delete_file(self, project: str, number: str) -> None:
        """Delete a result."""
        self.database.run("DELETE FROM file WHERE project = ? AND id = ?", project, number)
        path = self.folder(project) / "files" / number
        self.database.after_commit(lambda: path.unlink(missing_ok=True))

    def files(self, project: str, job: str | None = None) -> list[dict[str, Any]]:
        """The results of a project, or of one of its jobs, as `File` of the API."""
        rows = self.database.rows("SELECT * FROM file WHERE project = ? ORDER BY created", project)
        names = ("id", "name", "kind", "bytes", "created")
        return [{k: row[k] for k in names} for row in rows if job in (None, row["job"])]

    def send_progress(self, project: str) -> None:
        """Send the project to the pages without storing the event."""
        self.events.send(Event("project", {"project": self.summary(project)}))


def _public_object(row: dict[str, Any]) -> dict[str, Any]:
    fields = {name: row[name] for name in OBJECT_FIELDS}
    return {**fields, "hidden": bool(fields["hidden"]), "locked": bool(fields["locked"])}
