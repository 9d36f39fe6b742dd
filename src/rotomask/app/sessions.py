"""Browsers that opened the link: known by a cookie, also after the server was started again."""

import hashlib
import json
import secrets
import threading
import time

from rotomask.app.database import Database

KEY = "sessions"
KEPT_SECONDS = 86_400.0
"""A session ends so long after its last use."""
STORE_SECONDS = 600.0
"""The time of the last use is stored no more often."""
MOST = 50


class Sessions:
    """Open sessions. The database has the SHA-256 of a cookie's value, from which none can be made.

    Args:
        database: Where they are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        row = database.row("SELECT value FROM meta WHERE key = ?", KEY)
        stored: dict[str, float] = {} if row is None else json.loads(row["value"])
        self._used = {name: at for name, at in stored.items() if _is_open(at)}

    def add(self) -> str:
        """The cookie's value of a new session; beyond `MOST`, the one used longest ago ends."""
        value = secrets.token_urlsafe(32)
        with self._lock:
            self._used[_digest(value)] = time.time()
            newest = sorted(self._used.items(), key=lambda item: item[1])[-MOST:]
            self._used = dict(newest)
            self._store()
        return value

    def has(self, value: str) -> bool:
        """Whether a cookie's value is that of an open session; this is a use of it."""
        name, now = _digest(value), time.time()
        with self._lock:
            at = self._used.get(name)
            if at is None or not _is_open(at):
                return False
            if now - at > STORE_SECONDS:
                self._used[name] = now
                self._store()
        return True

    def end_all(self) -> None:
        """End every session."""
        with self._lock:
            self._used = {}
            self._store()

    def _store(self) -> None:
        self._database.run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            *(KEY, json.dumps(self._used)),
        )


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()


def _is_open(at: float) -> bool:
    return time.time() - at < KEPT_SECONDS
