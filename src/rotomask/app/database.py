"""The database: one connection, one transaction at a time, complete or undone."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rotomask.errors import OutputError

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE project (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, error TEXT,
    width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,
    frame_count INTEGER NOT NULL DEFAULT 0, rate REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0, has_audio INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, opened REAL NOT NULL,
    rev INTEGER NOT NULL DEFAULT 0, edit_rev INTEGER NOT NULL DEFAULT 0,
    digest TEXT, ui TEXT NOT NULL DEFAULT '{}', proposals TEXT NOT NULL DEFAULT '[]');
CREATE TABLE upload (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, project TEXT NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL);
CREATE TABLE object (
    project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE, label INTEGER NOT NULL,
    name TEXT NOT NULL, colour TEXT NOT NULL, hidden INTEGER NOT NULL DEFAULT 0,
    locked INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project, label));
CREATE TABLE frame (
    project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE, frame INTEGER NOT NULL,
    state TEXT NOT NULL, PRIMARY KEY (project, frame));
CREATE TABLE mark (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE,
    frame INTEGER NOT NULL, object INTEGER NOT NULL, content TEXT NOT NULL);
CREATE INDEX mark_of_project ON mark(project);
CREATE TABLE change (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE,
    kind TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0);
CREATE INDEX change_of_project ON change(project);
CREATE TABLE change_frame (
    change INTEGER NOT NULL REFERENCES change(id) ON DELETE CASCADE, frame INTEGER NOT NULL,
    before TEXT, after TEXT, PRIMARY KEY (change, frame));
CREATE TABLE change_object (
    change INTEGER NOT NULL REFERENCES change(id) ON DELETE CASCADE, label INTEGER NOT NULL,
    before TEXT, after TEXT, PRIMARY KEY (change, label));
CREATE TABLE job (
    id TEXT PRIMARY KEY, project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE,
    kind TEXT NOT NULL, params TEXT NOT NULL, state TEXT NOT NULL, position REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0, crashed_at INTEGER NOT NULL DEFAULT -1,
    error TEXT, created REAL NOT NULL, plan TEXT, change INTEGER, key TEXT UNIQUE);
CREATE INDEX job_of_project ON job(project);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, project TEXT, content TEXT NOT NULL);
CREATE TABLE file (
    id TEXT PRIMARY KEY, project TEXT NOT NULL REFERENCES project(id) ON DELETE CASCADE,
    job TEXT, name TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
    created REAL NOT NULL);
CREATE INDEX file_of_project ON file(project);
"""


DATABASE_FILE = "app.sqlite"
"""Name in the data folder."""


class Database:
    """SQLite in WAL mode, used by several threads in turn."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make the tables of a new one.

        Raises:
            OutputError: If it is of a later version, another program's, or damaged.
        """
        self._lock = threading.RLock()
        self._at_commit: list[Callable[[], None]] = []
        self._after: list[Callable[[], None]] = []
        self._rollback: list[Callable[[], None]] = []
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise OutputError(
                f"{path} cannot be used by this version of rotomask app: {error}; choose another "
                "--data, or move the folder away"
            ) from error

    def _open(self) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        tables = int(self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if version != SCHEMA_VERSION and (version or tables):
            raise sqlite3.DatabaseError(f"it is of version {version}, not {SCHEMA_VERSION}")
        # FULL: what a page was told is stored survives a power cut, not only a kill.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("PRAGMA busy_timeout=5000")
        if version == 0:
            with self.transaction():
                for statement in SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything within the block is stored together, or nothing; blocks may nest."""
        with self._lock:
            # Within another block of the same thread: that one commits.
            if self._depth:
                yield
                return
            self._depth = 1
            # Takes the write lock at once; a deferred one could fail at its first write, in the
            # middle.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends it itself after some errors
                    self._connection.execute("ROLLBACK")
                self._at_commit.clear()
                self._after.clear()
                for action in self._rollback:
                    action()
                raise
            finally:
                self._depth = 0
            # With the lock still held, so that no other thread's can come before them.
            at_commit, self._at_commit = self._at_commit, []
            for action in at_commit:
                action()
            # Run without the lock: what they do may take long, or begin a transaction of its own.
            after, self._after = self._after, []
        for action in after:
            action()

    def at_commit(self, action: Callable[[], None]) -> None:
        """Call something quick once the current transaction is stored, in the order of commits."""
        self._at_commit.append(action)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call something once the current transaction is stored; others may go on meanwhile."""
        self._after.append(action)

    def on_rollback(self, action: Callable[[], None]) -> None:
        """Call something whenever a transaction is undone: what it changed in memory is not so."""
        self._rollback.append(action)

    def run(self, statement: str, *values: object) -> int:
        """Run a statement; gives the id of the row that it inserted."""
        with self._lock:
            return self._connection.execute(statement, values).lastrowid or 0

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """All rows of a query."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]

    def row(self, query: str, *values: object) -> dict[str, Any] | None:
        """The first row of a query, or None."""
        with self._lock:
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else dict(row)
