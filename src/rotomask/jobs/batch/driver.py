"""The driver of a batch: it hands out videos and keeps count; a killed one is simply run again."""

import heapq
import itertools
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, Unpack

from rotomask.errors import OptionError
from rotomask.jobs.batch.item import PARTS, Item, Outcome, Task
from rotomask.jobs.batch.local_pool import LocalPool, worker_count
from rotomask.jobs.batch.manifest import Source, read_items
from rotomask.jobs.batch.planning import SPLIT_FRAMES, Plan, plan
from rotomask.jobs.batch.pool import Advanced, Event, Lost, Pool
from rotomask.jobs.batch.ray_pool import RayPool
from rotomask.jobs.batch.storage import Store
from rotomask.jobs.batch.summary import HTML, JSON, BatchResult, summary_html, summary_json
from rotomask.jobs.cut import CutOptions
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.keywords import takes_options, with_keywords
from rotomask.jobs.progress import OnProgress
from rotomask.segmenters.confidence import UNCERTAIN

WAIT_S = 0.5
"""Longest that the driver waits without looking what is due."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a batch runs."""

    cut: CutOptions = field(default_factory=CutOptions)
    """How videos are cut, unless their row says otherwise."""
    workers: int | None = None
    """Processes on this machine; None: as many as pay (`local_pool.worker_count`)."""
    threads: int = 1
    """Threads of each. One is fastest where there are as many videos as cores."""
    ray: str | None = None
    """Address of a Ray cluster, ``auto`` or ``local``; None: processes on this machine."""
    gpus: float = 0
    """GPUs of a worker on a Ray cluster."""
    retries: int = 3
    """How often a video is tried again after a worker was lost or remote storage failed."""
    doubt: float = UNCERTAIN
    """Confidence, 0 to 1, below which a frame is listed as doubtful."""
    split_frames: int | None = SPLIT_FRAMES
    """Least frames on each side of the first marked frame for which a video that would keep the
    others waiting is split in two; None: none is."""
    scratch: Path | None = None
    """Folder for work in progress where the output is remote; None: the system's temporary one."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"a batch needs at least 1 worker, got {self.workers}")
        if self.workers is not None and self.ray is not None:
            raise OptionError("the cluster has the workers; give --workers or --ray")
        if self.threads < 1 or self.retries < 0:
            raise OptionError(
                f"threads start at 1 and retries at 0, got {self.threads} and {self.retries}"
            )
        if not 0 <= self.doubt <= 1:
            raise OptionError(f"doubt is between 0 and 1, got {self.doubt:g}")


class BatchKeywords(TypedDict, total=False):
    """Options of `batch`."""

    cut: CutOptions
    workers: int | None
    threads: int
    ray: str | None
    gpus: float
    retries: int
    doubt: float
    split_frames: int | None
    scratch: Path | None


@takes_options(BatchOptions)
def batch(
    source: Source,
    out: str | Path,
    options: BatchOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: Unpack[BatchKeywords],
) -> BatchResult:
    """Cut many videos; run it again to resume.

    Args:
        source: A manifest (.csv, .jsonl), a pattern of videos with a mask beside each, or rows as
            in JSON lines: ``{"video": "a.mp4", "mask": "a.png"}``. Paths and URLs alike.
        out: Folder or URL; each video has a folder in it, as `cut` writes it.
        options: How; or give its fields as keywords.
        on_progress: Receives the stage ``batch`` with the frames of all videos.
        **changes: Fields of `BatchOptions`.

    Returns:
        What became of every video; failures are listed, not raised.

    Raises:
        InputError: If the list cannot be used; nothing was cut then.
        OptionError: If an option is unknown or out of range.
        OutputError: If the folder cannot be written, another batch runs in it, or it holds another
            job.
        RemoteError: If remote storage fails.
        ModuleNotFoundError: If `ray` is given and not installed.
        ConnectionError: If there is no such cluster.

    Example:
        >>> batch("clips/*.mp4", "cuts", workers=2)  # doctest: +SKIP
    """
    options = with_keywords(options or BatchOptions(), changes, "batch")
    items = read_items(source, options.cut)
    scratch = options.scratch or Path(tempfile.gettempdir()) / "rotomask-batch"
    store = Store.at(str(out), scratch)
    with claim(
        store.root, JobRequest(command="batch", settings={}, replaced=(JSON, HTML))
    ) as folder:
        run = _Run(items, store, folder, on_progress)
        with _pool(options, store, len(items)) as (pool, workers):
            can_split = pool.is_one_machine or not store.is_remote
            run.plan = plan(
                items,
                workers,
                task_frames=pool.task_frames,
                split=options.split_frames if can_split else None,
            )
            run.workers = workers
            try:
                run.work(pool, options.retries)
            finally:
                result = run.report()
        folder.note(videos=len(items), failed=len(result.failures))
        return result


@contextmanager
def _pool(options: BatchOptions, store: Store, videos: int) -> Iterator[tuple[Pool, int]]:
    """The workers, and how many there are."""
    pool: Pool
    if options.ray is None:
        workers = options.workers or worker_count(videos)
        pool = LocalPool(store, workers, doubt=options.doubt, threads=options.threads)
    else:
        pool = ray_pool = RayPool(
            store, options.ray, doubt=options.doubt, threads=options.threads, gpus=options.gpus
        )
        workers = ray_pool.workers
    try:
        yield pool, workers
    finally:
        pool.close()


class _Run:
    """One run of a batch: what waits, what runs, what became of the rest."""

    def __init__(
        self,
        items: Sequence[Item],
        store: Store,
        folder: JobFolder,
        on_progress: OnProgress | None,
    ) -> None:
        self.items, self.store, self.folder = items, store, folder
        self.on_progress = on_progress
        self.plan = Plan(tasks=(), joins={}, frames={})
        self.workers = 1
        self.began = time.monotonic()
        self.outcomes: dict[str, Outcome] = {}
        self._spent: dict[str, tuple[float, float, int]] = {}
        """Seconds, core seconds and frames of the finished passes of split videos."""
        self._counts: dict[str, dict[str, int]] = {}
        """Frames that have a mask, by video and by pass of it."""
        self._reached: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._sums = [0, 0]
        """Frames that have a mask and frames in all, of all videos."""
        self._told: list[int] = []
        """The sums when they were last reported."""
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Task]] = []
        self._passes: dict[str, set[str]] = {}
        """Passes that a split video still waits for."""

    def work(self, pool: Pool, retries: int) -> None:
        """Run all tasks to their end."""
        self._sums = [0, sum(self.plan.frames.values())]
        for task in self.plan.tasks:
            self._wait_for(task)
            for item in task.items:
                if item.is_part:
                    self._passes.setdefault(_whole(item.name), set()).add(item.name)
        running = 0
        while self._waiting or running:
            # A heap by the time at which a task is due: what failed waits there, without holding
            # the others up.
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                if running >= pool.capacity:
                    break
                pool.submit(heapq.heappop(self._waiting)[2])
                running += 1
            # Nothing to hear from: sleep until the next retry is due.
            if not running:
                time.sleep(min(WAIT_S, max(0.0, self._waiting[0][0] - time.monotonic())))
                continue
            for event in pool.wait(WAIT_S):
                # Every other event ends a task.
                running -= not isinstance(event, Advanced)
                self._take(event, retries)
            self._tell()

    def report(self) -> BatchResult:
        """Write the summary of what is known."""
        ordered = [self.outcomes[i.name] for i in self.items if i.name in self.outcomes]
        outputs = {"json": JSON, "html": HTML}
        result = BatchResult(
            folder=self.store.out,
            outcomes=tuple(ordered),
            videos=len(self.items),
            workers=self.workers,
            seconds=time.monotonic() - self.began,
            outputs={k: f"{self.store.out.rstrip('/')}/{name}" for k, name in outputs.items()},
        )
        with self.folder.write(JSON) as temporary:
            temporary.write_text(summary_json(result, self.items), encoding="utf-8")
        with self.folder.write(HTML) as temporary:
            temporary.write_text(summary_html(result, self.items), encoding="utf-8")
        if self.store.is_remote:
            self.store.upload([self.store.root / JSON, self.store.root / HTML])
        return result

    def _wait_for(self, task: Task) -> None:
        heapq.heappush(self._waiting, (task.due, next(self._order), task))

    def _take(self, event: Event, retries: int) -> None:
        """Note an event; what may succeed later is tried again, each video by itself."""
        if isinstance(event, Advanced):
            self._count(event.name, event.done, event.total)
            return
        if isinstance(event, Lost):
            outcomes: Iterable[Outcome] = [
                Outcome(
                    name=item.name,
                    state="failed",
                    error=event.reason,
                    is_passing=True,
                    attempts=event.task.attempt + 1,
                )
                for item in event.task.items
            ]
        else:
            outcomes = event.outcomes
        by_name = {item.name: item for item in event.task.items}
        for outcome in outcomes:
            item, attempt = by_name[outcome.name], event.task.attempt
            if outcome.state == "failed" and outcome.is_passing and attempt < retries:
                logger.warning("%s: %s; trying again", outcome.name, outcome.error)
                # 1, 2, 4 ... seconds: what is busy now may be free later.
                due = time.monotonic() + 2**attempt
                self._wait_for(
                    Task(items=(item,), frames=event.task.frames, attempt=attempt + 1, due=due)
                )
            elif item.is_part:
                self._pass_ended(item, outcome)
            else:
                self._ended(outcome)

    def _pass_ended(self, item: Item, outcome: Outcome) -> None:
        """Join the passes of a split video when both are there; if one fails, cut it whole."""
        name = _whole(item.name)
        waited = self._passes[name]
        waited.discard(item.name)
        seconds, cpu, frames = self._spent.get(name, (0.0, 0.0, 0))
        self._spent[name] = (
            seconds + outcome.seconds,
            cpu + outcome.cpu_seconds,
            frames + outcome.frames_segmented,
        )
        join = self.plan.joins[name]
        if outcome.state != "finished":
            # Without parts the join is an ordinary cut of the whole video.
            whole = tuple(replace(joined, parts=()) for joined in join.items)
            self.plan.joins[name] = replace(join, items=whole)
        if not waited:
            self._wait_for(self.plan.joins[name])

    def _ended(self, outcome: Outcome) -> None:
        # The time of a split video is that of its passes and its join together.
        if outcome.name in self._spent and outcome.state != "before":
            seconds, cpu, frames = self._spent[outcome.name]
            outcome = replace(
                outcome,
                seconds=round(outcome.seconds + seconds, 3),
                cpu_seconds=round(outcome.cpu_seconds + cpu, 3),
                frames_segmented=outcome.frames_segmented + frames,
            )
        self.outcomes[outcome.name] = outcome
        self._count(outcome.name, outcome.frames, outcome.frames)
        ended, videos = len(self.outcomes), len(self.items)
        if outcome.error is not None:
            logger.warning("%d/%d %s: %s", ended, videos, outcome.name, outcome.error)
        elif outcome.state == "finished":
            doubts = f"; {len(outcome.doubtful)} doubtful" if outcome.doubtful else ""
            logger.info(
                "%d/%d %s: %d frames, %.1f s%s",
                ended,
                videos,
                outcome.name,
                outcome.frames,
                outcome.seconds,
                doubts,
            )

    def _count(self, name: str, done: int, total: int | None) -> None:
        """Note how far a video is; the sums are kept, as there may be a million of them.

        Args:
            name: The video, or a pass of one that is split.
            done: Frames that have a mask.
            total: Frames in all; None: as expected.
        """
        whole = _whole(name) if name.startswith(PARTS) else name
        passes = self._counts.setdefault(whole, {})
        passes[name] = done
        expected = self._totals.get(whole, self.plan.frames[whole])
        if whole in passes and total is not None:  # counted now; a pass counts only its own
            expected = total
        before = self._reached.get(whole, 0)
        # The join counts from 0 again over frames that its passes have counted already: the larger
        # of both, so that progress never falls.
        reached = min(expected, max(passes.get(whole, 0), sum(passes.values())))
        self._sums[0] += reached - before
        self._sums[1] += expected - self._totals.get(whole, self.plan.frames[whole])
        self._reached[whole], self._totals[whole] = reached, expected

    def _tell(self) -> None:
        """Report the frames of all videos; their number is an estimate until a video is opened."""
        if self.on_progress is not None and self._told != self._sums:
            self._told = list(self._sums)
            self.on_progress("batch", *self._sums)


def _whole(part: str) -> str:
    """The name of the video that a pass is of."""
    return part.removeprefix(PARTS).rpartition("/")[0]
