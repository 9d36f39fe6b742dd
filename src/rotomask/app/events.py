"""News for the pages that are open: durable ones are rows, progress is only passed on."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from rotomask.app.database import Database

KEPT = 10_000
"""Events that are stored for pages that come back."""
WAITING = 2_000
"""Events that a slow reader may lag behind before it is told to start afresh."""
PING_SECONDS = 15.0


@dataclass(frozen=True)
class Event:
    """One piece of news; progress has no id and is not sent again."""

    kind: str
    content: dict[str, Any]
    id: int | None = None

    @property
    def text(self) -> str:
        """The event as server-sent events have it."""
        head = "" if self.id is None else f"id: {self.id}\n"
        data = json.dumps(self.content, separators=(",", ":"))
        return f"{head}event: {self.kind}\ndata: {data}\n\n"


@dataclass(eq=False)
class _Reader:
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(WAITING))

    def put(self, event: Event | None) -> None:
        """Hand over an event; a full queue ends the reader, who then comes back."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            # Emptied to have room for the end: a reader that lags so far comes back, and gets what
            # it missed from the rows.
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)


class Events:
    """The event log and its readers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._readers: set[_Reader] = set()

    def add(self, kind: str, content: dict[str, Any], project: str | None = None) -> None:
        """Store an event with the current transaction, and send it when that is complete."""
        text = json.dumps(content, separators=(",", ":"))
        number = self._database.run(
            "INSERT INTO event (kind, project, content) VALUES (?, ?, ?)", kind, project, text
        )
        # Not at every event: deleting is a write of its own.
        if number % 500 == 0:
            self._database.run("DELETE FROM event WHERE id <= ?", number - KEPT)
        # In the order of commits: a page would take an older state for the newest.
        self._database.at_commit(lambda: self.send(Event(kind, content, number)))

    def send(self, event: Event) -> None:
        """Pass an event on to the readers."""
        self._each(lambda reader: reader.put(event))

    def close(self) -> None:
        """End all readers."""
        self._each(lambda reader: reader.put(None))

    def newest(self) -> int:
        """Id of the last stored event."""
        row = self._database.row("SELECT max(id) AS id FROM event")
        return int((row or {}).get("id") or 0)

    async def read(
        self, last: int | None, snapshot: Callable[[], dict[str, Any]]
    ) -> AsyncIterator[str]:
        """The events after one, or from a snapshot on, as text; pings while nothing happens.

        Args:
            last: Id of the last event that the reader has seen, if it has seen any.
            snapshot: Gives the content of the snapshot.
        """
        reader = _Reader(asyncio.get_running_loop())
        with self._lock:
            # Before the missed events are read: what comes meanwhile waits in the queue, and what
            # is in both is dropped by its id.
            self._readers.add(reader)
        try:
            yield ": hello\nretry: 1000\n\n"
            sent, first = await asyncio.to_thread(self._missed, last, snapshot)
            for event in first:
                yield event.text
            while True:
                try:
                    event_or_end = await asyncio.wait_for(reader.queue.get(), PING_SECONDS)
                except TimeoutError:
                    yield ": ping\n\n"
                    continue
                if event_or_end is None:
                    return
                if event_or_end.id is None or event_or_end.id > sent:
                    yield event_or_end.text
        finally:
            with self._lock:
                self._readers.discard(reader)

    def _missed(
        self, last: int | None, snapshot: Callable[[], dict[str, Any]]
    ) -> tuple[int, list[Event]]:
        """Id of the newest event that these replace, and what a reader gets first."""
        with self._database.transaction():
            newest = self.newest()
            oldest = self._database.row("SELECT min(id) AS id FROM event") or {}
            # False too for an id of another database, which may be larger than any here.
            is_kept = last is not None and (oldest.get("id") or 0) - 1 <= last <= newest
            if last is None or not is_kept:
                return newest, [Event("snapshot", snapshot(), newest)]
            rows = self._database.rows("SELECT * FROM event WHERE id > ? ORDER BY id", last)
            missed = [Event(r["kind"], json.loads(r["content"]), int(r["id"])) for r in rows]
            return newest, missed

    def _each(self, action: Callable[[_Reader], None]) -> None:
        with self._lock:
            # A copy: the action may end a reader, which takes the lock to leave.
            readers = list(self._readers)
        for reader in readers:
            try:
                reader.loop.call_soon_threadsafe(action, reader)
            except RuntimeError:  # its loop has ended
                continue
