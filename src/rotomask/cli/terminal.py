"""What a command prints: progress, details, results, and what an interrupted job leaves."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rotomask.cli.options import Messages

if TYPE_CHECKING:
    from rotomask.evaluation import EvaluationResult
    from rotomask.jobs.cut import CutResult
    from rotomask.jobs.progress import OnProgress

EXIT_INTERRUPTED = 130
MOST_STRETCHES = 5
"""Uncertain stretches of a cut that are printed."""
SECONDS_BETWEEN_LINES = 10.0
"""Time between two lines of progress where stderr is not a terminal."""


@contextmanager
def job(
    safe: Callable[[], str], messages: Messages, unit: str = "frames"
) -> Iterator["OnProgress | None"]:
    """Run a command's work: log to stderr, show progress, and stop cleanly at Ctrl-C.

    Args:
        safe: Tells, after Ctrl-C, what is safe.
        messages: How much is printed.
        unit: What progress counts.

    Yields:
        What jobs take as `on_progress`; None when quiet.
    """
    _set_up_logging(messages)
    try:
        if messages.quiet:
            yield None
        elif sys.stderr.isatty():
            with _bars(unit) as on_progress:
                yield on_progress
        else:
            yield _Lines(unit)
    except KeyboardInterrupt:
        print(f"\nrotomask: interrupted; {safe()}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def resumable(
    folder: Path, what: str = "frames", how: str = "run the same command again to resume"
) -> Callable[[], str]:
    """What is safe of a job that resumes."""

    def safe() -> str:
        if not folder.is_dir():
            return nothing_written()
        return f"finished {what} are in {folder}; {how}"

    return safe


def nothing_written() -> str:
    """What is safe of a job that writes its files at the end."""
    return "nothing was written"


def print_outputs(outputs: dict[str, Path]) -> None:
    """Print where outputs are, a line each."""
    for name, path in outputs.items():
        print(f"{name:14} {path}")


def print_cut(result: "CutResult") -> None:
    """Print what a cut did and where its outputs are."""
    if result.frames_segmented:
        rate = result.frames_segmented / result.seconds
        print(f"{result.frames} frames; {result.frames_segmented} segmented, {rate:.1f} frames/s")
    else:
        print(f"{result.frames} frames; all were finished before")
    for stretch in result.uncertain[:MOST_STRETCHES]:
        print(f"{stretch}; see rotomask review")
    if len(result.uncertain) > MOST_STRETCHES:
        print(f"{len(result.uncertain) - MOST_STRETCHES} more are in confidence.csv")
    print_outputs(result.outputs)


def print_evaluation(result: "EvaluationResult", *, by_object: bool = False) -> None:
    """Print the tables of a score."""
    from rich.console import Console

    from rotomask.evaluation.reports import result_tables

    # A file or pipe has no width of its own; rich's default would cut the last column off.
    width = None if sys.stdout.isatty() else 100
    Console(width=width).print(result_tables(result, by_object=by_object))


def _set_up_logging(messages: Messages) -> None:
    """The library logs; the command prints it: notes by default, details with --verbose."""
    level = logging.DEBUG if messages.verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rotomask")
    # Replaced, not added: commands run several times in one process in tests.
    logger.handlers[:] = [handler]
    logger.setLevel(logging.WARNING if messages.quiet else level)


@contextmanager
def _bars(unit: str) -> Iterator["OnProgress"]:
    """A bar for each stage, with frames a second."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:7}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def on_progress(stage: str, done: int, total: int | None) -> None:
        if stage not in tasks:
            bars.start()  # not before: an error at the start is one line, without a bar
            tasks[stage] = bars.add_task(stage, total=total, completed=done, rate="")
        # Ids of tasks are their positions, as none is removed.
        task = bars.tasks[tasks[stage]]
        speed = task.finished_speed or task.speed
        rate = f"{speed:5.1f} {unit}/s" if speed and stage != "learn" else ""
        bars.update(tasks[stage], completed=done, total=total, rate=rate)

    try:
        yield on_progress
    finally:
        if tasks:
            bars.stop()


class _Lines:
    """Progress for a file or pipe: plain lines, every ten seconds and at the end of a stage."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.printed: float | None = None
        """Time of the last line; None: nothing was reported yet."""
        self.began: dict[str, tuple[float, int]] = {}
        """Time and count at the first report of a stage: a resumed job does not start at 0."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        began, first = self.began.setdefault(stage, (now, done))
        self.printed = now if self.printed is None else self.printed
        is_end = done == total and stage != "learn"  # learning comes again for every video
        if not is_end and now - self.printed < SECONDS_BETWEEN_LINES:
            return
        self.printed = now
        if stage == "learn":
            line = f"{stage:7} {done} %"
        else:
            rate = f", {(done - first) / (now - began):.1f} {self.unit}/s" if done > first else ""
            line = f"{stage:7} {done}/{total or '?'} {self.unit}{rate}"
        print(line, file=sys.stderr, flush=True)
