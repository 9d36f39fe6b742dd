"""The parts of the app, put together; what the routes work on."""

import contextlib
import json
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rotomask.app.children import Asking, ChildEndedError, Message
from rotomask.app.database import DATABASE_FILE, Database
from rotomask.app.events import Events
from rotomask.app.identifiers import is_id
from rotomask.app.jobs_queue import Jobs
from rotomask.app.projects import Projects
from rotomask.app.refused import RefusedError
from rotomask.app.settings import AppSettings
from rotomask.app.supervisor import Supervisor
from rotomask.app.uploads import Uploads

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
REFUSED = {"not-possible": 400, "failed": 500, "bug": 500}


class App:
    """Projects, uploads, jobs, and the two processes.

    Args:
        settings: The app's settings.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        for name in ("", "uploads", "projects"):
            (settings.data / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.data.chmod(0o700)
        self.database = Database(settings.data / DATABASE_FILE)
        self.events = Events(self.database)
        self.projects = Projects(self.database, self.events, settings.data / "projects")
        self.jobs = Jobs(self.database, self.events, self.projects)
        self.uploads = Uploads(settings, self.database, self.projects, self.jobs)
        self.supervisor = Supervisor(settings, self.database, self.events, self.projects, self.jobs)
        memory = str(settings.limits.memory_bytes)
        self.marker = Asking("marker", [settings.marker, memory])
        self.viewer = Asking("viewer", [memory])
        self._effects: list[dict[str, Any]] = []
        self._preparing = threading.Lock()
        self._wanted: tuple[str, int] | None = None

    def start(self) -> None:
        """Put in order what a killed server left, and begin to work."""
        with self.database.transaction():
            self.jobs.requeue_running()
            self.uploads.recover()
        self.sweep()
        self.supervisor.start()
        threading.Thread(target=self._warm, name="warm", daemon=True).start()

    def close(self) -> None:
        """End the processes and close the database."""
        self.events.close()
        self.supervisor.close()
        self.marker.child.close(1.0)
        self.viewer.child.close(1.0)
        self.database.close()

    def _warm(self) -> None:
        """Load the marker's network before the first click."""
        with contextlib.suppress(ChildEndedError):
            self.marker.ask({"do": "warm"})

    def cookie_name(self, port: int) -> str:
        """Name of the session's cookie: always the same for this data folder and port."""
        with self.database.transaction():
            row = self.database.row("SELECT value FROM meta WHERE key = 'cookie'")
            if row is None:
                value = secrets.token_hex(6)
                self.database.run("INSERT INTO meta VALUES ('cookie', ?)", value)
            else:
                value = row["value"]
        return f"rotomask-{port}-{value}"

    def free_bytes(self) -> int:
        """Space on the disk beyond what is never used."""
        free = shutil.disk_usage(self.settings.data).free
        return max(0, free - self.settings.limits.free_bytes)

    def check_disk(self, needed: int = 0) -> None:
        """Raise unless there is room.

        Raises:
            RefusedError: If not.
        """
        free = self.free_bytes()
        if free <= needed:
            raise RefusedError(
                507,
                "disk-full",
                f"The disk has {free / 1e6:.0f} MB left for rotomask, and more is needed.",
                "Free some space, or delete a project.",
            )

    def ask(self, message: Message, *, urgent: bool = False) -> Message:
        """Ask the marker process.

        Raises:
            RefusedError: If it cannot do it.
        """
        try:
            if urgent:
                self.supervisor.hold(True)
            return _asked(self.marker, message, urgent=urgent)
        finally:
            if urgent:
                self.supervisor.hold(False)

    def prepare(self, project: str, frame: int) -> None:
        """Let the marker decode and encode a frame before the first click on it."""
        media = str((self.projects.folder(project) / "media").resolve())
        with self._preparing:
            is_busy, self._wanted = self._wanted is not None, (media, frame)
        if not is_busy:
            threading.Thread(target=self._prepare, name="prepare", daemon=True).start()

    def _prepare(self) -> None:
        """Open the frame that was wanted last, until none is."""
        done: tuple[str, int] | None = None
        while True:
            with self._preparing:
                wanted = self._wanted
                if wanted == done or wanted is None:
                    self._wanted = None
                    return
            self.supervisor.hold(True)  # the click comes any moment
            try:
                with contextlib.suppress(ChildEndedError):
                    self.marker.ask({"do": "open", "media": wanted[0], "frame": wanted[1]})
            finally:
                self.supervisor.hold(False)
            done = wanted

    def view(self, message: Message) -> Message:
        """Ask the viewer process.

        Raises:
            RefusedError: If it cannot do it.
        """
        return _asked(self.viewer, message)

    def effects(self) -> list[dict[str, Any]]:
        """The effects with their settings."""
        if not self._effects:
            self._effects = self.view({"do": "effects"})["effects"]
        return self._effects

    def media_settings(self, project: str, effect: str, settings: dict[str, Any]) -> dict[str, str]:
        """Files that the settings of an effect name by the id of an upload: path by setting.

        Raises:
            RefusedError: If the effect is unknown, or a file is not there.
        """
        listed = {item["name"]: item for item in self.effects()}
        if effect not in listed:
            raise RefusedError(404, "not-found", f"There is no effect {effect!r}.")
        media = {}
        for option in listed[effect]["settings"]:
            value = settings.get(option["name"])
            if option["kind"] == "media" and value is not None:
                if is_id(value):
                    media[option["name"]] = str(self.uploads.keep(project, value).resolve())
                elif not isinstance(value, str) or _COLOUR.fullmatch(value) is None:
                    raise RefusedError(
                        400,
                        "media",
                        f"{option['title']} is a colour #rrggbb or the id of an upload.",
                    )
        return media

    def edit(self, project: str, change: Callable[[], Any]) -> Any:
        """Run a change of the masks that cuts depend on; they start from it."""
        with self.database.transaction():
            result = change()
            is_replanned = self.jobs.replan(project)
        if is_replanned:
            self.supervisor.interrupt(project)
        return result

    def delete_project(self, project: str) -> None:
        """Cancel a project's jobs and delete it."""
        with self.database.transaction():
            self.projects.require(project)
            self.jobs.cancel_all(project)
        self.supervisor.wake()
        self.projects.delete(project)

    def sweep(self) -> None:
        """Delete files that no row names: what a killed process or an undone change left."""
        projects = {row["id"] for row in self.database.rows("SELECT id FROM project")}
        projects |= {row["project"] for row in self.database.rows("SELECT project FROM upload")}
        for folder in (self.settings.data / "projects").iterdir():
            if folder.name in projects:
                self._sweep_project(folder)
            elif is_id(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep_project(self, folder: Path) -> None:
        project = folder.name
        named = self._named_masks(project)
        for path in (folder / "masks").glob("*"):
            if path.name.split(".")[0] not in named:
                path.unlink(missing_ok=True)
        files = {row["id"] for row in self.projects.files(project)}
        for path in (folder / "files").glob("*"):
            if path.name not in files:
                path.unlink(missing_ok=True)
        waiting = self.database.row(
            "SELECT 1 FROM job WHERE project = ? AND state IN ('queued', 'running', 'paused')",
            project,
        )
        if waiting is None:
            shutil.rmtree(folder / "work", ignore_errors=True)

    def _named_masks(self, project: str) -> set[str]:
        """Digests of the masks that the document, its history, marks and plans name."""
        texts = [
            *self.database.rows("SELECT state AS a, NULL AS b FROM frame WHERE project=?", project),
            *self.database.rows(
                "SELECT before AS a, after AS b FROM change_frame JOIN change "
                "ON change.id = change_frame.change WHERE project = ?",
                project,
            ),
        ]
        named: set[str] = set()
        for row in texts:
            for text in (row["a"], row["b"]):
                if text is not None:
                    state = json.loads(text)
                    named |= {state["digest"], state["base"], state["reference"]}
                    if state.get("stage"):
                        named.add(state["stage"][1])
        for row in self.database.rows("SELECT content FROM mark WHERE project = ?", project):
            named.add(json.loads(row["content"]).get("mask"))
        for row in self.database.rows(
            "SELECT plan FROM job WHERE project = ? AND plan IS NOT NULL", project
        ):
            plan = json.loads(row["plan"])
            named |= {reference[1] for reference in plan["references"]}
            named |= {reference[3] for reference in plan["references"]}
            named |= {todo[3] for todo in plan["todo"]}
        row_ = self.database.row("SELECT proposals FROM project WHERE id = ?", project)
        for proposal in json.loads((row_ or {"proposals": "[]"})["proposals"]):
            named.add(proposal["mask"])
        return {name for name in named if name is not None}


def _asked(process: Asking, message: Message, *, urgent: bool = False) -> Message:
    """The answer of a process, or its refusal.

    Raises:
        RefusedError: If it cannot do it, or ended.
    """
    try:
        reply = process.ask(message, urgent=urgent)
    except ChildEndedError:
        raise RefusedError(
            503, "process-ended", "A process ended and is started again.", "Do it again."
        ) from None
    if "error" in reply:
        raise RefusedError(REFUSED[reply["code"]], reply["code"], reply["error"])
    return reply
