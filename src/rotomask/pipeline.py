"""Stages of a job that overlap: items read ahead of a loop, and work done behind it, in order.

A job is a loop over frames. What comes before the loop (decoding) runs ahead of it, what comes
after it (writing, rendering) behind it, each in a thread of its own. FFmpeg, OpenCV, zlib and
PyTorch release the interpreter's lock, so the stages compute at the same time. What waits between
two stages is bounded in number and in bytes.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Item = TypeVar("Item")

WAITING_ITEMS = 3
"""Most items that wait between two stages."""
AHEAD_BYTES = 32 << 20
"""Most bytes that are read ahead."""
WAITING_BYTES = 64 << 20
"""Most bytes of a stage's tasks."""


def read_ahead(
    items: Iterable[Item],
    size_of: Callable[[Item], int],
    *,
    most_items: int = WAITING_ITEMS,
    most_bytes: int = AHEAD_BYTES,
) -> Generator[Item, None, None]:
    """The items of an iterable, read ahead in a thread.

    Close the generator to end the thread (`contextlib.closing`), where it may not be exhausted.

    Args:
        items: What is read. A generator is closed in the thread that reads it.
        size_of: The bytes of an item.
        most_items: Items that wait at most.
        most_bytes: Bytes that wait at most; after a larger item nothing is read before it is asked
            for.

    Yields:
        The items in order; then the error of the iterable, if it had one.
    """
    reader = _Reader(items, size_of, most_items, most_bytes)
    try:
        yield from reader
    finally:
        reader.close()


class _Reader(Generic[Item]):
    """The thread of `read_ahead`, and what waits between it and the loop."""

    def __init__(
        self,
        items: Iterable[Item],
        size_of: Callable[[Item], int],
        most_items: int,
        most_bytes: int,
    ) -> None:
        self._items, self._size_of = items, size_of
        self._most_items, self._most_bytes = most_items, most_bytes
        self._waiting: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_stopped = self._is_exhausted = self._is_asked = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Generator[Item, None, None]:
        while True:
            with self._changed:
                self._is_asked = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._is_exhausted)
                self._is_asked = False
                if not self._waiting:
                    break
                item, size = self._waiting.popleft()
                self._bytes -= size
                self._changed.notify_all()
            yield item
            del item  # not held while the next one is waited for
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join()

    def _read(self) -> None:
        items = iter(self._items)
        try:
            for item in items:
                if not self._put(item):
                    break
                del item
        except BaseException as error:  # it belongs to the loop, after the items before it
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()
            with self._changed:
                self._is_exhausted = True
                self._changed.notify_all()

    def _put(self, item: Item) -> bool:
        """Let an item wait; False if nobody reads on."""
        size = self._size_of(item)
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._has_room(size))
            if self._is_stopped:
                return False
            self._waiting.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            if size > self._most_bytes:
                del item  # the loop's alone
                self._changed.wait_for(
                    lambda: self._is_stopped or (self._is_asked and not self._waiting)
                )
        return True

    def _has_room(self, size: int) -> bool:
        if not self._waiting:
            return True
        return len(self._waiting) < self._most_items and self._bytes + size <= self._most_bytes


class Stage:
    """Work that is done behind a loop, one task after the other, in a thread.

    Leaving the ``with`` block waits for the tasks that were given, on an error or Ctrl-C too: what
    the loop has finished is not lost. After a task failed no other is run, and the error is raised
    by the next call.

    Example:
        >>> done = []
        >>> with Stage("squares") as stage:
        ...     for number in range(4):
        ...         stage.submit(lambda n: done.append(n * n), number)
        >>> done
        [0, 1, 4, 9]
    """

    def __init__(
        self, name: str, *, most_tasks: int = WAITING_ITEMS, most_bytes: int = WAITING_BYTES
    ) -> None:
        """A stage without a thread, which begins with the first task.

        Args:
            name: Of the thread.
            most_tasks: Tasks that wait or run at most; `submit` waits for one to end.
            most_bytes: Bytes of these tasks at most; a larger task is done before `submit` returns.
        """
        self._name, self._most_tasks, self._most_bytes = name, most_tasks, most_bytes
        self._tasks: deque[tuple[Callable[..., Any], tuple[Any, ...], int]] = deque()
        self._unfinished = self._bytes = 0
        self._changed = threading.Condition()
        self._is_closed = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._wait(lambda: self._unfinished == 0)
        finally:
            self._stop()
        if kind is None:
            self._raise()

    @property
    def error(self) -> BaseException | None:
        """What the first task that failed raised."""
        return self._error

    def submit(self, task: Callable[..., Any], *arguments: Any, size: int = 0) -> None:
        """Do a task after those before it.

        Args:
            task: What is done.
            arguments: With what.
            size: The bytes that it holds.

        Raises:
            BaseException: What an earlier task raised.
        """
        if size > self._most_bytes:
            self.drain()
            task(*arguments)
            return
        self._wait(lambda: self._error is not None or self._has_room(size))
        self._raise()
        with self._changed:
            self._tasks.append((task, arguments, size))
            self._unfinished += 1
            self._bytes += size
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def drain(self) -> None:
        """Wait until every task is done.

        Raises:
            BaseException: What a task raised.
        """
        self._wait(lambda: self._unfinished == 0)
        self._raise()

    def abandon(self) -> None:
        """Drop the tasks that wait; the one that runs is finished."""
        with self._changed:
            self._drop()
        self._wait(lambda: self._unfinished == 0)
        self._stop()

    def _has_room(self, size: int) -> bool:
        return self._unfinished < self._most_tasks and self._bytes + size <= self._most_bytes

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(condition)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _stop(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _drop(self) -> None:
        """Forget the tasks that wait; the condition is held."""
        for _, _, size in self._tasks:
            self._unfinished -= 1
            self._bytes -= size
        self._tasks.clear()
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._is_closed)
                if not self._tasks:
                    return
                task, arguments, size = self._tasks.popleft()
            error: BaseException | None = None
            try:
                task(*arguments)
            except BaseException as raised:  # it belongs to the loop
                error = raised
            del task, arguments  # not held while the next task is waited for
            with self._changed:
                self._unfinished -= 1
                self._bytes -= size
                if error is not None:
                    self._error = error
                    self._drop()
                self._changed.notify_all()
