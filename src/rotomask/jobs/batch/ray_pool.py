"""Workers as tasks of a Ray cluster.

Ray places the tasks, starts processes and nodes, and tells which were lost; the driver decides what
is tried again. Every node needs rotomask installed, and the output folder: a shared file system, or
a URL.
"""

import time
from typing import Any

from rotomask.jobs.batch.item import Outcome, Task
from rotomask.jobs.batch.pool import Advanced, Done, Event, Lost
from rotomask.jobs.batch.storage import Store

TASK_FRAMES = 1000
"""Frames of a task, about: minutes of work, against which the fraction of a second that Ray needs
for a task does not count."""
SECONDS_OF_A_COUNT = 5.0
"""How long the number of cores is taken for granted; nodes come and go."""
SECONDS_BETWEEN_REPORTS = 1.0

_workers: dict[tuple[object, ...], Any] = {}
"""The worker of this process: Ray runs the next task in the same one, and its model stays."""


class RayPool:
    """Tasks of a Ray cluster; a `Pool`."""

    task_frames = TASK_FRAMES
    is_one_machine = False

    def __init__(
        self, store: Store, address: str, *, doubt: float, threads: int = 1, gpus: float = 0
    ) -> None:
        """Connect to a cluster.

        Args:
            store: Where the videos' folders are.
            address: ``auto``: the cluster that this machine belongs to; ``local``: a new one of
                this machine alone; or HOST:PORT.
            doubt: Confidence below which a frame is doubtful.
            threads: Cores of a task.
            gpus: GPUs of a task.

        Raises:
            ModuleNotFoundError: If Ray is not installed.
            ConnectionError: If there is no cluster.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._threads, self._gpus = ray, threads, gpus
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        # The board of reports lives where the driver does: a lost node does not take it along.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._board = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here).remote()
        options = {"num_cpus": threads, "num_gpus": gpus, "max_retries": 0}
        self._run = ray.remote(**options)(_run)
        self._arguments = (store, doubt, threads)
        self._running: dict[Any, Task] = {}
        self._most, self._counted = 1, -SECONDS_OF_A_COUNT

    @property
    def workers(self) -> int:
        """How many tasks the cluster runs at a time now."""
        if time.monotonic() >= self._counted + SECONDS_OF_A_COUNT:
            there = self._ray.cluster_resources()
            most = int(there.get("CPU", 0)) // self._threads
            if self._gpus:
                most = min(most, int(there.get("GPU", 0) / self._gpus))
            self._most, self._counted = max(1, most), time.monotonic()
        return self._most

    @property
    def capacity(self) -> int:
        """See `Pool`. Some tasks wait in the cluster, for a free core or an autoscaler to see."""
        return 2 * self.workers + 4

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        self._running[self._run.remote(task, self._board, *self._arguments)] = task

    def wait(self, timeout_s: float) -> list[Event]:
        """See `Pool`."""
        ray, running = self._ray, list(self._running)
        ready, _ = ray.wait(running, num_returns=1, timeout=timeout_s)
        if ready:  # all that are
            ready, _ = ray.wait(running, num_returns=len(running), timeout=0)
        events: list[Event] = [Advanced(*report) for report in ray.get(self._board.take.remote())]
        for reference in ready:
            task = self._running.pop(reference)
            try:
                outcomes: tuple[Outcome, ...] = ray.get(reference)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                events.append(Lost(task, f"{type(error).__name__}: {reason}"))
            else:
                events.append(Done(task, outcomes))
        return events

    def close(self) -> None:
        """See `Pool`."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.kill(self._board)
        self._running = {}
        if self._is_ours:
            self._ray.shutdown()


class _Board:
    """An actor that keeps the workers' reports until the driver takes them."""

    def __init__(self) -> None:
        self.reports: dict[str, tuple[str, int, int]] = {}

    def put(self, name: str, done: int, total: int) -> None:
        """Keep a report, in place of the last one of this video."""
        self.reports[name] = name, done, total

    def take(self) -> list[tuple[str, int, int]]:
        """The reports since the last time."""
        reports, self.reports = list(self.reports.values()), {}
        return reports


def _run(task: Task, board: Any, store: Store, doubt: float, threads: int) -> tuple[Outcome, ...]:
    """Cut the videos of a task, in a process of the cluster."""
    key = (store, doubt, threads)
    if key not in _workers:
        from rotomask.jobs.batch.work import Worker

        _workers.clear()
        _workers[key] = Worker(store, doubt=doubt, threads=threads)
    due = 0.0

    def report(name: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due or done == total:
            due = time.monotonic() + SECONDS_BETWEEN_REPORTS
            board.put.remote(name, done, total)

    return tuple(_workers[key].run(item, report, task.attempt) for item in task.items)
