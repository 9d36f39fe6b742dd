"""Uploads in parts, which go on after a break, and new projects.

The file's size is the offset: bytes are only ever added at the end, so whatever is there after a
killed server are the first bytes of the file.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Any

from rotomask.app.database import Database
from rotomask.app.identifiers import is_id, new_id
from rotomask.app.jobs_queue import Jobs
from rotomask.app.projects import Projects
from rotomask.app.refused import RefusedError, not_found
from rotomask.app.settings import AppSettings

EXPIRY_SECONDS = 24 * 3600.0
MOST_UPLOADS = 20


class Uploads:
    """Uploads under way.

    Args:
        settings: The app's settings.
        database: Where they are listed.
        projects: That they become.
        jobs: That import them.
    """

    def __init__(
        self, settings: AppSettings, database: Database, projects: Projects, jobs: Jobs
    ) -> None:
        self.settings, self.database = settings, database
        self.projects, self.jobs = projects, jobs

    def path(self, upload: str) -> Path:
        """Where the bytes are."""
        return self.settings.data / "uploads" / upload

    def create(self, name: str, size: int) -> str:
        """Begin an upload; gives its id.

        Raises:
            RefusedError: If it is too large, or there is no room for it.
        """
        limits = self.settings.limits
        if size <= 0:
            raise RefusedError(400, "empty", "The file is empty.", "Choose another file.")
        if size > limits.upload_bytes:
            raise RefusedError(
                413,
                "too-large",
                f"The file has {size / 1e6:.0f} MB, and at most {limits.upload_bytes / 1e6:.0f} MB "
                "are accepted.",
                "Use a shorter or smaller video, or start rotomask app with a higher --max-upload.",
            )
        # Less a reserve: a full disk would stop the database as well.
        free = shutil.disk_usage(self.settings.data).free - limits.free_bytes
        with self.database.transaction():
            self.check_room()
            rows = self.database.rows("SELECT * FROM upload WHERE finished = 0")
            # What is still to come of others counts as used, as each was told that there is room.
            promised = sum(row["size"] - self.offset(row["id"]) for row in rows)
            if size + promised > free:
                raise RefusedError(
                    507,
                    "disk-full",
                    f"The file has {size / 1e6:.0f} MB, and the disk has room for "
                    f"{max(0, free - promised) / 1e6:.0f} MB.",
                    "Free some space, or delete a project.",
                )
            if len(rows) >= MOST_UPLOADS:
                raise RefusedError(429, "uploads", "Too many uploads are under way.", "Wait.")
            upload = new_id()
            self.path(upload).touch(mode=0o600)
            self.database.run(
                "INSERT INTO upload (id, name, size, project, created) VALUES (?, ?, ?, ?, ?)",
                *(upload, name, size, new_id(), time.time()),
            )
        return upload

    def check_room(self) -> None:
        """Raise if there are as many projects as may be.

        Raises:
            RefusedError: If so.
        """
        row = self.database.row("SELECT count(*) AS number FROM project") or {"number": 0}
        if row["number"] >= self.settings.limits.projects:
            raise RefusedError(
                409,
                "too-many-projects",
                f"There are {row['number']} projects, which is the limit.",
                "Delete one.",
            )

    def require(self, upload: str) -> dict[str, Any]:
        """The row of an upload.

        Raises:
            RefusedError: If there is none.
        """
        row = self.database.row("SELECT * FROM upload WHERE id = ?", upload)
        if row is None:
            raise not_found("upload")
        return row

    def offset(self, upload: str) -> int:
        """Bytes that are there."""
        try:
            return self.path(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def delete(self, upload: str) -> None:
        """Forget an upload."""
        with self.database.transaction():
            self.require(upload)
            self.database.run("DELETE FROM upload WHERE id = ?", upload)
        self.path(upload).unlink(missing_ok=True)

    def finish(self, upload: str) -> str:
        """Make a project of a complete upload; gives its id, the same however often it is asked.

        Raises:
            RefusedError: If bytes are missing.
        """
        if self.path(upload).exists():
            # Before the row says that it is finished: after a power cut the bytes must be there,
            # too. Outside of the transaction, as the disk may take seconds.
            _sync(self.path(upload))
        with self.database.transaction():
            row = self.require(upload)
            project = str(row["project"])
            if row["finished"]:
                return project
            folder = self.projects.folder(project)
            if self.path(upload).exists():
                if self.offset(upload) != row["size"]:
                    raise RefusedError(
                        409,
                        "incomplete",
                        f"{row['size'] - self.offset(upload)} bytes are missing.",
                        "Send them, then finish.",
                    )
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # A move within one file system: at once, whatever the size, and never half.
                self.path(upload).replace(folder / "media")
            self._add_project(project, row["name"], {})
            self.database.run("UPDATE upload SET finished = 1 WHERE id = ?", upload)
        return project

    def keep(self, project: str, upload: str) -> Path:
        """A complete upload as a further file of a project, such as a background.

        Raises:
            RefusedError: If it is not complete, or not there.
        """
        folder = self.projects.folder(project) / "extras"
        path = folder / upload
        if not path.exists():
            row = self.require(upload)
            if row["finished"] or self.offset(upload) != row["size"]:
                raise RefusedError(409, "incomplete", "The file is not complete.", "Send it.")
            folder.mkdir(mode=0o700, exist_ok=True)
            self.path(upload).replace(path)
            self.delete(upload)
        return path

    def open_file(self, source: Path, name: str) -> str:
        """Make a project of a file of the disk; gives its id."""
        with self.database.transaction():
            self.check_room()
            project = new_id()
            self.projects.folder(project).mkdir(mode=0o700, parents=True)
            self._add_project(project, name, {"source": str(source)})
        return project

    def recover(self) -> None:
        """Complete projects whose server was killed in between, and drop what has expired."""
        for row in self.database.rows("SELECT * FROM upload"):
            # Killed between the move of the file and the end of the transaction.
            is_moved = (self.projects.folder(row["project"]) / "media").exists()
            if not row["finished"] and is_moved and not self.path(row["id"]).exists():
                self.finish(row["id"])
            if time.time() - row["created"] > EXPIRY_SECONDS:
                self.delete(row["id"])
        ids = {row["id"] for row in self.database.rows("SELECT id FROM upload")}
        for path in (self.settings.data / "uploads").iterdir():
            if path.name not in ids and is_id(path.name):
                path.unlink(missing_ok=True)

    def _add_project(self, project: str, name: str, params: dict[str, Any]) -> None:
        self.projects.insert(project, name)
        self.jobs.add(project, "import", params)
        self.projects.tell(project)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
