"""Workers as processes of this machine, each with one thread.

A process is spawned, never forked: forked, it would inherit the locks of threads that it does not
have. It ends as soon as its pipe to the driver closes, so none outlives a driver that was killed.
"""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from rotomask.jobs.batch import process
from rotomask.jobs.batch.item import Task
from rotomask.jobs.batch.pool import Done, Event, Lost
from rotomask.jobs.batch.storage import Store
from rotomask.threads import usable_cores

WORKER_BYTES = 1 << 30
"""Memory that a worker may need; see docs/guide/many-videos.md for what was measured."""


def worker_count(videos: int) -> int:
    """How many workers pay: one a core, as many as fit into memory, no more than there are videos.

    Args:
        videos: How many there are.
    """
    return max(1, min(usable_cores(), _free_bytes() // WORKER_BYTES, videos))


def _free_bytes() -> int:
    """Memory that is available; without a number from the system as much as one may want."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 1 << 50


class LocalPool:
    """Processes of this machine; a `Pool`."""

    task_frames = 0
    is_one_machine = True

    def __init__(self, store: Store, workers: int, *, doubt: float, threads: int = 1) -> None:
        """Prepare; a process starts when there is a task for it.

        Args:
            store: Where the videos' folders are.
            workers: Most processes.
            doubt: Confidence below which a frame is doubtful.
            threads: How many each process computes with.
        """
        self._arguments = (store, doubt, threads)
        self._workers = workers
        self._processes: dict[Connection, BaseProcess] = {}
        self._running: dict[Connection, Task] = {}

    @property
    def capacity(self) -> int:
        """See `Pool`."""
        return self._workers

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        idle = [pipe for pipe in self._processes if pipe not in self._running]
        pipe = idle[0] if idle else self._spawn()
        self._running[pipe] = task
        with contextlib.suppress(OSError):  # the worker is gone, which `wait` will tell
            pipe.send(task)

    def wait(self, timeout_s: float) -> list[Event]:
        """See `Pool`."""
        events: list[Event] = []
        for pipe in wait(list(self._processes), timeout_s):
            assert isinstance(pipe, Connection)
            try:
                event = pipe.recv()
            except (EOFError, OSError):
                events += self._bury(pipe)
                continue
            if isinstance(event, Done):
                self._running.pop(pipe)
            events.append(event)
        return events

    def close(self) -> None:
        """See `Pool`."""
        for pipe in self._processes:
            pipe.close()
        for worker in self._processes.values():
            worker.join(5)
            if worker.is_alive():
                worker.kill()
                worker.join()
        self._processes, self._running = {}, {}

    def _spawn(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        worker = context.Process(target=process.main, args=(theirs, *self._arguments), daemon=True)
        threads = str(self._arguments[2])
        with _environment(OMP_NUM_THREADS=threads, MKL_NUM_THREADS=threads):
            worker.start()
        theirs.close()
        self._processes[ours] = worker
        return ours

    def _bury(self, pipe: Connection) -> list[Event]:
        worker = self._processes.pop(pipe)
        worker.join()
        pipe.close()
        task = self._running.pop(pipe, None)
        return [] if task is None else [Lost(task, _ended(worker.exitcode))]


def _ended(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = ", perhaps for want of memory" if -status == signal.SIGKILL else ""
        return f"the worker was ended by {name}{hint}"
    return f"the worker ended with status {status}"


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables for processes that start within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
