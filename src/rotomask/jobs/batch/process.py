"""A worker process of the local pool.

Nothing slow is imported before the process watches its driver: torch takes seconds, and a worker
whose driver was killed meanwhile should end at once.
"""

import contextlib
import os
import pickle
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection

from rotomask.jobs.batch.storage import Store

SECONDS_BETWEEN_REPORTS = 0.5


def main(pipe: Connection, store: Store, doubt: float, threads: int) -> None:
    """Tasks in, events out, until the pipe closes.

    Args:
        pipe: To the driver.
        store: Where the videos' folders are.
        doubt: Confidence below which a frame is doubtful.
        threads: How many the process computes with.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver, which closes the pipe
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    from rotomask.jobs.batch.pool import Advanced, Done
    from rotomask.jobs.batch.work import Worker

    worker, due = Worker(store, doubt=doubt, threads=threads), 0.0

    def report(name: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == total:
            due = time.monotonic() + SECONDS_BETWEEN_REPORTS
            with contextlib.suppress(OSError):  # the driver is gone, and this process will be
                pipe.send(Advanced(name, done, total))

    while True:
        task = pickle.loads(tasks.get())
        outcomes = tuple(worker.run(item, report, task.attempt) for item in task.items)
        with contextlib.suppress(OSError):
            pipe.send(Done(task, outcomes))


def _receive(pipe: Connection, tasks: "queue.SimpleQueue[bytes]") -> None:
    """Pass tasks on; end the process when the driver is gone, whatever it is doing."""
    try:
        while True:
            tasks.put(pipe.recv_bytes())
    except (EOFError, OSError):
        os._exit(1)
