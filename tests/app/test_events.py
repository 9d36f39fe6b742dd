"""News for the pages: what reaches them, and in which order."""

import asyncio
import threading
from pathlib import Path

import pytest

from rotomask.app.database import Database
from rotomask.app.events import Events

PATIENCE_S = 30


def test_news_come_in_the_order_of_commits(tmp_path: Path) -> None:
    database = Database(tmp_path / "app.sqlite")
    events = Events(database)
    second_is_stored = threading.Event()

    def wait_for_second() -> None:
        second_is_stored.wait(PATIENCE_S)

    def first() -> None:
        with database.transaction():
            # The thread is held up between its commit and what it does afterwards.
            database.after_commit(wait_for_second)
            events.add("project", {"frame_count": 0})
            other.start()

    def second() -> None:
        with database.transaction():
            events.add("project", {"frame_count": 1})
        second_is_stored.set()

    other = threading.Thread(target=second)

    async def read() -> list[str]:
        stream = events.read(None, dict)
        assert "hello" in await anext(stream)
        assert "snapshot" in await anext(stream)
        await asyncio.to_thread(first)
        found = [await asyncio.wait_for(anext(stream), PATIENCE_S) for _ in range(2)]
        return found

    found = asyncio.run(read())
    other.join(PATIENCE_S)
    assert ['"frame_count":0' in found[0], '"frame_count":1' in found[1]] == [True, True]
    database.close()


def test_no_news_of_what_was_not_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "app.sqlite")
    events = Events(database)

    def add_and_fail() -> None:
        with database.transaction():
            events.add("notice", {"message": "undone"})
            raise ValueError("undone")

    async def read() -> str:
        stream = events.read(None, dict)
        assert "hello" in await anext(stream)
        assert "snapshot" in await anext(stream)
        with pytest.raises(ValueError, match="undone"):
            add_and_fail()
        with database.transaction():
            events.add("notice", {"message": "stored"})
        return await asyncio.wait_for(anext(stream), PATIENCE_S)

    assert '"stored"' in asyncio.run(read())
    assert events.newest() == 1
    database.close()
