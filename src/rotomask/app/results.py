"""What the worker finds, stored in the document: videos, masks, files, proposals."""

import json
from dataclasses import replace
from typing import Any

from rotomask.app.children import Message
from rotomask.app.database import Database
from rotomask.app.document import Document, FrameRow
from rotomask.app.events import Events
from rotomask.app.jobs_queue import Jobs
from rotomask.app.projects import Projects


class Results:
    """Stores what the worker says of a job that runs; each is a transaction.

    Args:
        database: For transactions.
        events: For news.
        projects: Whose masks and files the results are.
        jobs: The queue.
    """

    def __init__(self, database: Database, events: Events, projects: Projects, jobs: Jobs) -> None:
        self.database, self.events = database, events
        self.projects, self.jobs = projects, jobs
        self.plan: Document | None = None
        """The reference frames of the cut that runs."""

    def on_video(self, running: dict[str, Any], message: Message) -> None:
        """The size of the video that is imported is known."""
        with self.database.transaction():
            self.projects.update(
                running["project"],
                width=message["width"],
                height=message["height"],
                rate=message["rate"],
                has_audio=int(message["has_audio"]),
            )

    def on_imported(self, running: dict[str, Any], message: Message) -> None:
        """The video is imported: the project is ready."""
        project = running["project"]
        with self.database.transaction():
            self.projects.update(
                project,
                state="ready",
                error=None,
                frame_count=message["frames"],
                seconds=message["seconds"],
                has_audio=int(message["has_audio"]),
                digest=message["digest"],
                bytes=folder_bytes(self.projects, project),
            )
            if message["truncated"]:
                self.events.add(
                    "notice",
                    {
                        "code": "truncated",
                        "message": f"The video is damaged after frame {message['frames'] - 1}; "
                        "the frames before are there.",
                    },
                    project,
                )

    def on_mask(self, running: dict[str, Any], message: Message) -> None:
        """A frame was cut: store its row, unless the marks have changed since."""
        index, plan = int(message["frame"]), self.plan
        with self.database.transaction():
            job = self._cutting(running)
            if job is None or plan is None:
                return
            old = self.projects.document(running["project"]).frames.get(index)
            if old is not None and old.frozen:
                return
            around = plan.around(index)
            is_final = message["is_final"]
            if not is_final and old is not None and (old.left, old.right) == around:
                return  # done by an earlier try
            row = FrameRow(
                digest=message["digest"],
                labels=tuple(message["labels"]),
                source="cut",
                reference=message["digest"],
                covers=tuple(sorted(plan.objects)),
                left=around.left,
                right=around.right if is_final else None,
                confidence=message["confidence"],
            )
            if old is not None and old.source == "key":
                row = replace(
                    old,
                    digest=row.digest,
                    labels=row.labels,
                    base=message["base"],
                    stage=None,
                    left=row.left,
                    right=row.right,
                )
            self._store(running, {index: row}, job["change"])

    def on_kept(self, running: dict[str, Any], message: Message) -> None:
        """Frames whose masks stay: they belong to the new reference frames now."""
        plan = self.plan
        with self.database.transaction():
            job = self._cutting(running)
            if job is None or plan is None:
                return
            frames = self.projects.document(running["project"]).frames
            rows = {}
            for index in message["frames"]:
                around = plan.around(index)
                if index in frames and not frames[index].frozen:
                    rows[index] = replace(frames[index], left=around.left, right=around.right)
            self._store(running, rows, job["change"])

    def on_file(self, running: dict[str, Any], message: Message) -> None:
        """A result for download is complete."""
        with self.database.transaction():
            folder = self.projects.folder(running["project"])
            self.projects.add_file(
                running["project"],
                running["id"],
                message["name"],
                message["kind"],
                folder / "work" / message["path"],
            )
            self.jobs.tell(running["id"])
            self.projects.tell(running["project"])

    def on_proposals(self, running: dict[str, Any], message: Message) -> None:
        """A search has ended: the page offers what it found."""
        with self.database.transaction():
            text = json.dumps(message["proposals"])
            self.projects.update(running["project"], proposals=text)

    def _cutting(self, running: dict[str, Any]) -> dict[str, Any] | None:
        """The row of the running cut, unless it was stopped or the marks have changed."""
        row = self.database.row("SELECT * FROM job WHERE id = ?", running["id"])
        return row if row is not None and row["plan"] and row["state"] == "running" else None

    def _store(
        self, running: dict[str, Any], rows: dict[int, FrameRow], change: int | None
    ) -> None:
        number = self.projects.change(running["project"], "cut", rows, continued=change)
        if number != change:
            self.jobs.update(running["id"], change=number)


def folder_bytes(projects: Projects, project: str) -> int:
    """Size of all files of a project."""
    total = 0
    for path in projects.folder(project).rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted in the meantime
            continue
    return total
