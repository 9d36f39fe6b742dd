"""Keeps the worker busy: gives it the next job, stores what it finds, starts it again."""

import contextlib
import json
import logging
import shutil
import signal
import threading
import time
from typing import Any

from rotomask.app.children import START_SECONDS, Child, ChildEndedError, Message
from rotomask.app.database import Database
from rotomask.app.document import document_of_plan
from rotomask.app.events import Event, Events
from rotomask.app.jobs_queue import Jobs
from rotomask.app.projects import Projects
from rotomask.app.results import Results, folder_bytes
from rotomask.app.settings import AppSettings

DISK_SECONDS, DISK_STEP_BYTES = 10.0, 64 << 20
"""How often the free space is looked at, and by how much it changes to be told."""
SILENT_SECONDS = 60.0
"""The worker is ended after so long without a heartbeat."""
STOP_SECONDS = 20.0
"""And after so long without ending a job that it was told to end."""
AFTER_MARK_SECONDS = 1.0
"""A cut whose plan a mark changed waits so long for further marks."""

MOST_STILL_SECONDS = 2.0
"""Longest time for which clicks hold the job up; then it goes on beside them for as long."""

MOST_STARTS = 5
"""Starts of the worker on end that may fail before that counts against the job."""

logger = logging.getLogger(__name__)


class Supervisor:
    """The worker and what it is doing.

    Args:
        settings: The app's settings.
        database: For transactions.
        events: For news.
        projects: Whose masks and files the results are.
        jobs: The queue.
    """

    def __init__(
        self,
        settings: AppSettings,
        database: Database,
        events: Events,
        projects: Projects,
        jobs: Jobs,
    ) -> None:
        self.settings, self.database, self.events = settings, database, events
        self.projects, self.jobs = projects, jobs
        self.worker = Child(
            "worker",
            [settings.model, str(settings.limits.memory_bytes), str(settings.data)],
            self._on_message,
        )
        # Guards which job runs and whether it is held; messages of the worker come in a thread of
        # their own. It is taken before a transaction, never within one.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._running: dict[str, Any] | None = None
        self._stopping_since: float | None = None
        self._steps: tuple[int, float] = (-1, 0.0)
        self._pace: tuple[float, int] = (0.0, 0)
        self.results = Results(database, events, projects, jobs)
        self._not_before = 0.0
        self._held = 0
        self._can_stop = False
        self._still: threading.Timer | None = None
        self._still_since, self._free_until = 0.0, 0.0
        self._closed = False
        self._is_ready, self._failed_starts = False, 0
        self._disk: tuple[float, int] = (-DISK_SECONDS, 0)
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to give out jobs."""
        self._thread.start()

    def close(self) -> None:
        """Stop the worker."""
        self._closed = True
        self._wake.set()
        self._thread.join(5.0)
        self.worker.close(1.0)

    def wake(self) -> None:
        """Look at the queue again: it has changed."""
        self._wake.set()

    def interrupt(self, project: str) -> None:
        """End the project's running cut at the next frame: its plan was forgotten.

        Not within a transaction.
        """
        with self._lock:
            self._not_before = time.monotonic() + AFTER_MARK_SECONDS
            running = self._running
            if running is not None and running["project"] == project and running["kind"] == "cut":
                self._stop_running()

    def hold(self, is_held: bool) -> None:
        """Let the running job wait while a mark is answered: the cores are the marker's.

        The worker is stopped wherever it is; where it cannot be stopped, it waits at the edge of a
        frame. Of a long time with clicks on end it has half, or no job would ever be done.
        """
        with self._lock:
            self._held += 1 if is_held else -1
            # Several marks at once hold it once: only the first and the last change anything.
            if self._held != int(is_held):
                return
            if not is_held:
                self._move_on()
            elif self._running is not None and time.monotonic() >= self._free_until:
                self._stand_still()

    def _stand_still(self) -> None:
        """Hold the running job up until it is let go on, or for the longest time."""
        try:
            self.worker.send({"do": "hold", "is_held": True})
        except ChildEndedError:
            return
        if self._can_stop:
            # The message may come too late in a long frame; the signal stops it within one.
            self.worker.signal(signal.SIGSTOP)
        self._still_since = time.monotonic()
        self._still = threading.Timer(MOST_STILL_SECONDS, self._move_on)
        self._still.daemon = True
        self._still.start()

    def _move_on(self) -> None:
        """Let a job go on that was held up."""
        with self._lock:
            if self._still is None:
                return
            self._still.cancel()
            self._still = None
            now = time.monotonic()
            # As long as it stood still it now may run, however many clicks come.
            self._free_until = now + (now - self._still_since)
            if self._can_stop:
                # First the signal: a stopped process reads no message.
                self.worker.signal(signal.SIGCONT)
            with contextlib.suppress(ChildEndedError):
                self.worker.send({"do": "hold", "is_held": False})

    @property
    def running(self) -> str | None:
        """Id of the job that runs."""
        return None if self._running is None else str(self._running["id"])

    def _loop(self) -> None:
        while not self._closed:
            try:
                self._watch_disk()
                self._look()
            except Exception:
                logger.exception("the queue could not be served")
                time.sleep(1.0)
            # Twice a second at least, for what nobody tells: a full disk, a worker that hangs.
            self._wake.wait(0.5)
            self._wake.clear()

    def _watch_disk(self) -> None:
        """Tell the pages how much room there is; without any, pause the running job."""
        now, (at, reported) = time.monotonic(), self._disk
        if now - at < DISK_SECONDS:
            return
        free = shutil.disk_usage(self.settings.data).free - self.settings.limits.free_bytes
        self._disk = (now, reported)
        # Pages are told in steps, not at every byte.
        if abs(free - reported) >= DISK_STEP_BYTES:
            self._disk = (now, free)
            self.events.send(Event("disk", {"free_bytes": max(0, free)}))
        running = self.running
        if free <= 0 and running is not None:
            message = "The disk is full; the job is paused. Free some space, then resume it."
            with self.database.transaction():
                self.jobs.update(running, state="paused")
                self.events.add("notice", {"code": "disk-full", "message": message})

    def _look(self) -> None:
        """Start, stop or end what the queue asks for."""
        with self._lock:
            running = self._running
            if running is not None:
                self._check(running)
                return
            job = self.jobs.next()
            if job is None or (job["kind"] == "cut" and time.monotonic() < self._not_before):
                return
            if self.worker.pid is None:
                self.worker.start()
            message = self._prepared(job)
            if message is None:
                return
            self._running, self._stopping_since = job, None
            self._steps, self._pace = (-1, time.monotonic()), (0.0, 0)
        try:
            self.worker.send(message)
        except ChildEndedError:
            self._ended()

    def _check(self, running: dict[str, Any]) -> None:
        """End a job that another one comes before, and a worker that hangs."""
        now = time.monotonic()
        row = self.database.row("SELECT * FROM job WHERE id = ?", running["id"])
        following = self.jobs.next()
        # Imports and marked clips come first: a job that is no longer the next one is stopped at
        # its next frame and resumes later.
        is_first = following is not None and following["id"] == running["id"]
        if self._stopping_since is None:
            if row is None or row["state"] != "running" or not is_first:
                self._stop_running()
        elif now - self._stopping_since > STOP_SECONDS:
            self.worker.kill()
        # A beat comes from a thread of the worker even while it computes; no beat means that it is
        # gone or out of memory.
        silent = now - self.worker.heard > (SILENT_SECONDS if self._is_ready else START_SECONDS)
        hangs = (
            self._is_ready
            and now - self._steps[1] > self.settings.limits.frame_seconds + SILENT_SECONDS
        )
        if silent or (running["kind"] == "import" and hangs):
            logger.warning("the worker does not answer and is started again")
            self.worker.kill()

    def _stop_running(self) -> None:
        if self._running is None or self._stopping_since is not None:
            return
        self._stopping_since = time.monotonic()
        try:
            self.worker.send({"do": "stop", "job": self._running["id"]})
        except ChildEndedError:
            return

    def _prepared(self, job: dict[str, Any]) -> Message | None:
        """The job as the worker gets it; None if there is nothing to do."""
        with self.database.transaction():
            project = self.projects.require(job["project"])
            params = json.loads(job["params"])
            message = {
                "do": "run",
                "job": job["id"],
                "kind": job["kind"],
                "params": params,
                "folder": str(self.projects.folder(project["id"]).resolve()),
                "digest": project["digest"],
                "count": project["frame_count"],
            }
            if job["kind"] == "import":
                limits = self.settings.limits
                message["params"] = {
                    **params,
                    "limits": {
                        "seconds": limits.seconds,
                        "pixels": limits.pixels,
                        "frames": limits.frames,
                    },
                }
            if job["kind"] in ("export", "effect", "stabilise"):
                message |= self.projects.masks_message(project["id"])
                message["media"] = params.pop("media", {})
            if job["kind"] == "cut":
                plan = json.loads(job["plan"]) if job["plan"] else self._planned(project, params)
                if plan is None:
                    self.jobs.update(job["id"], state="done", done=job["total"])
                    return None
                message["plan"] = plan
                self.results.plan = document_of_plan(plan, project["frame_count"])
                total = len(plan["todo"])
                self.jobs.update(job["id"], plan=json.dumps(plan), total=total)
                if not job["plan"]:
                    self.jobs.update(job["id"], change=None)
            self.jobs.update(job["id"], state="running")
        return message

    def _planned(self, project: dict[str, Any], params: dict[str, Any]) -> dict[str, Any] | None:
        count = project["frame_count"]
        first, last = params.get("from"), params.get("to")
        wanted = range(first or 0, min(count, count if last is None else last + 1))
        document = self.projects.document(project["id"])
        direction, again = params.get("direction") or "both", bool(params.get("again"))
        plan = document.plan(wanted, direction, again=again)
        return None if plan is None else {**plan, "locked": self.projects.locked(project["id"])}

    # What the worker says.

    def _on_message(self, message: Message) -> None:
        event = message["event"]
        if event == "ended":
            if not self._closed and (self.worker.pid is None):
                self._ended()
            return
        if event == "ready":
            self._is_ready, self._failed_starts = True, 0
            self._can_stop = bool(message["can_stop"])
            self._steps = (-1, time.monotonic())
            return
        if event == "beat":
            if message["steps"] != self._steps[0]:
                self._steps = (message["steps"], time.monotonic())
            return
        running = self._running
        if running is None or message.get("job") != running["id"]:
            return
        own = getattr(self, f"_on_{event}", None)
        handle = own if own is not None else getattr(self.results, f"on_{event}")
        handle(running, message)

    def _ended(self) -> None:
        """The worker is gone: queue its job again."""
        with self._lock:
            running, self._running = self._running, None
            was_ready, self._is_ready = self._is_ready, False
            self._can_stop = False
            self._failed_starts += not was_ready
            # A worker that never began its job did not end because of it, unless it never does.
            counts = was_ready or self._failed_starts > MOST_STARTS
        if running is not None:
            with self.database.transaction():
                if self.database.row("SELECT id FROM job WHERE id = ?", running["id"]):
                    self.jobs.ended_early(running["id"], counts=counts)
        self.wake()

    def _finish(self) -> None:
        with self._lock:
            running, self._running = self._running, None
        if running is not None and not self.database.row(
            "SELECT id FROM project WHERE id = ?", running["project"]
        ):  # it was deleted while the worker still wrote
            shutil.rmtree(self.projects.folder(running["project"]), ignore_errors=True)
        self.wake()

    def _on_progress(self, running: dict[str, Any], message: Message) -> None:
        done, total, now = int(message["done"]), int(message["total"]), time.monotonic()
        began, at = self._pace
        if began == 0.0 or done < at:
            self._pace = (now, done)
        elif now - began > 0.5 and done > at:
            fps = (done - at) / (now - began)
            self.jobs.rates[running["id"]] = (round(fps, 2), round((total - done) / fps, 1))
        with self.database.transaction():
            if self.database.row("SELECT id FROM job WHERE id = ?", running["id"]):
                self.jobs.progress(running["id"], done, total)
                if running["kind"] == "import":
                    self.database.run(
                        "UPDATE project SET frame_count = max(frame_count, ?) WHERE id = ?",
                        *(done, running["project"]),
                    )
                    self.projects.send_progress(running["project"])

    def _on_stopped(self, running: dict[str, Any], message: Message) -> None:
        with self.database.transaction():
            row = self.database.row("SELECT * FROM job WHERE id = ?", running["id"])
            if row is not None and row["state"] == "running":
                self.jobs.update(running["id"], state="queued")
            elif row is not None and row["state"] == "cancelled":
                self._clear_work(running["project"])
        self._finish()

    def _on_failed(self, running: dict[str, Any], message: Message) -> None:
        with self.database.transaction():
            row = self.database.row("SELECT * FROM job WHERE id = ?", running["id"])
            if row is not None and row["state"] == "running":
                self.jobs.fail(
                    running["id"], message["code"], message["message"], message["advice"]
                )
        self._finish()

    def _on_done(self, running: dict[str, Any], message: Message) -> None:
        with self.database.transaction():
            row = self.database.row("SELECT * FROM job WHERE id = ?", running["id"])
            if row is not None:
                # It may have been cancelled while its last message was on the way.
                if row["state"] != "cancelled":
                    if row["kind"] == "cut" and not row["plan"]:
                        self.jobs.update(running["id"], state="queued")  # marked in the meantime
                    else:
                        self.jobs.update(running["id"], state="done", done=row["total"])
                self._clear_work(running["project"])
                size = folder_bytes(self.projects, running["project"])
                self.projects.update(running["project"], bytes=size)
        self._finish()

    def _clear_work(self, project: str) -> None:
        work = self.projects.folder(project) / "work"
        self.database.after_commit(lambda: shutil.rmtree(work, ignore_errors=True))
