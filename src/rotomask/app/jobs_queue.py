"""The queue of long jobs: one runs at a time; their states survive whatever ends a process.

docs/app-design.md has the states.
"""

import json
import time
from typing import Any

from rotomask.app.database import Database
from rotomask.app.events import Event, Events
from rotomask.app.identifiers import new_id
from rotomask.app.projects import Projects
from rotomask.app.refused import RefusedError, not_found

KINDS = ("import", "propose", "cut", "stabilise", "effect", "export")
WAITING, ENDED = ("queued", "running", "paused"), ("done", "failed", "cancelled")
HIDDEN = ("source", "media")
"""Parameters with paths of the server."""
MOST_CRASHES = 3
MOST_WAITING = 200


class Jobs:
    """The jobs of all projects.

    Args:
        database: Where they are listed.
        events: Gets the news.
        projects: Whose jobs they are.
    """

    def __init__(self, database: Database, events: Events, projects: Projects) -> None:
        self.database, self.events, self.projects = database, events, projects
        self.rates: dict[str, tuple[float | None, float | None]] = {}
        """Frames a second and seconds left of the running job, by id."""

    def requeue_running(self) -> None:
        """Queue the jobs that ran when the server ended."""
        self.database.run("UPDATE job SET state = 'queued' WHERE state = 'running'")

    def add(
        self, project: str, kind: str, params: dict[str, Any], key: str | None = None
    ) -> dict[str, Any]:
        """Add a job to the end of the queue; the same key gives the job that is there.

        Raises:
            RefusedError: If the queue is full.
        """
        if key is not None:
            scoped = f"{project}:{key}"
            row = self.database.row("SELECT id FROM job WHERE key = ?", scoped)
            if row is not None:
                return self.public(row["id"])
        waiting = self.database.row(
            "SELECT count(*) AS number, max(position) AS last FROM job "
            "WHERE state IN ('queued', 'running', 'paused')"
        ) or {"number": 0, "last": None}
        if waiting["number"] >= MOST_WAITING:
            raise RefusedError(
                429, "queue-full", f"The queue already has {MOST_WAITING} jobs.", "Wait for some."
            )
        number = new_id()
        self.database.run(
            "INSERT INTO job (id, project, kind, params, state, position, created, key) "
            "VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)",
            *(number, project, kind, json.dumps(params), (waiting["last"] or 0.0) + 1.0),
            *(time.time(), None if key is None else f"{project}:{key}"),
        )
        self.tell(number)
        return self.public(number)

    def require(self, job: str) -> dict[str, Any]:
        """The row of a job.

        Raises:
            RefusedError: If there is none.
        """
        row = self.database.row("SELECT * FROM job WHERE id = ?", job)
        if row is None:
            raise not_found("job")
        return row

    def public(self, job: str) -> dict[str, Any]:
        """The job as `Job` of the API."""
        row = self.require(job)
        fps, left = self.rates.get(job, (None, None))
        names = ("id", "project", "kind", "state", "position", "done", "total", "tries", "created")
        return {
            **{name: row[name] for name in names},
            "params": {k: v for k, v in json.loads(row["params"]).items() if k not in HIDDEN},
            "fps": fps,
            "seconds_left": left,
            "error": None if row["error"] is None else json.loads(row["error"]),
            "files": self.projects.files(row["project"], job),
        }

    def listed(self, project: str | None = None) -> list[dict[str, Any]]:
        """Jobs that wait or run, in order, then the last fifty that ended."""
        rows = self.database.rows("SELECT id, project, state, position FROM job ORDER BY position")
        rows = [row for row in rows if project in (None, row["project"])]
        waiting = [row["id"] for row in rows if row["state"] in WAITING]
        ended = [row["id"] for row in rows if row["state"] in ENDED]
        return [self.public(job) for job in (*waiting, *reversed(ended[-50:]))]

    def tell(self, job: str) -> None:
        """Send the job to the pages."""
        public = self.public(job)
        self.events.add("job", {"job": public}, public["project"])

    def update(self, job: str, **values: object) -> None:
        """Set columns of a job; a new state is sent to the pages."""
        columns = ", ".join(f"{name} = ?" for name in values)
        self.database.run(f"UPDATE job SET {columns} WHERE id = ?", *values.values(), job)
        if values.get("state") not in (None, "running"):
            self.rates.pop(job, None)
        if "state" in values:
            self.tell(job)

    def progress(self, job: str, done: int, total: int) -> None:
        """Store how far the job is and send it, without an event to be sent again."""
        self.database.run("UPDATE job SET done = ?, total = ? WHERE id = ?", done, total, job)
        self.events.send(Event("job", {"job": self.public(job)}))

    def next(self) -> dict[str, Any] | None:
        """The job to run: imports first, for somebody waits to see the video; else in order."""
        return self.database.row(
            "SELECT * FROM job WHERE state IN ('queued', 'running') "
            "ORDER BY kind != 'import', position LIMIT 1"
        )

    def fail(self, job: str, code: str, message: str, advice: str = "") -> None:
        """End a job with an error; a failed import fails its project too."""
        row = self.require(job)
        error = json.dumps({"code": code, "message": message, "advice": advice})
        self.update(job, state="failed", error=error)
        if row["kind"] == "import":
            self.projects.update(row["project"], state="failed", error=error)

    def ended_early(self, job: str, *, counts: bool = True) -> None:
        """Queue a job whose worker ended, or fail it if it always ends its worker at one frame.

        Args:
            job: Its id.
            counts: Whether the worker had begun it.
        """
        row = self.require(job)
        tries = row["tries"] + 1 if row["done"] == row["crashed_at"] else 1
        tries = tries if counts else row["tries"]
        self.update(job, tries=tries, crashed_at=row["done"])
        if row["state"] != "running":
            return
        if tries < MOST_CRASHES:
            self.update(job, state="queued")
            return
        self.fail(
            job,
            "worker-ended",
            f"The worker ended {tries} times at frame {row['done']}, perhaps for want of memory.",
            "Close other programs and queue the job again, or use a smaller video.",
        )

    def replan(self, project: str) -> bool:
        """Forget the plans of cuts that are not done: the marks changed; True if there was one."""
        return bool(
            self.database.rows(
                "UPDATE job SET plan = NULL WHERE project = ? AND kind = 'cut' AND plan IS NOT NULL"
                " AND state IN ('queued', 'running', 'paused') RETURNING id",
                project,
            )
        )

    def cancel_all(self, project: str, kind: str | None = None) -> None:
        """Cancel the jobs of a project, or those of a kind."""
        for row in self.database.rows("SELECT * FROM job WHERE project = ?", project):
            if row["state"] in WAITING and kind in (None, row["kind"]):
                self.update(row["id"], state="cancelled")
