"""What commands print: progress, results, and what an interruption leaves."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rotomask.evaluation import EvaluationResult
    from rotomask.jobs.cut import CutResult
    from rotomask.jobs.progress import OnProgress

EXIT_INTERRUPTED = 130


def set_up_logging(*, quiet: bool, verbose: bool) -> None:
    """The library logs; the command prints it: notes by default, details with --verbose."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rotomask")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


@contextlib.contextmanager
def interruptible(message: str) -> Iterator[None]:
    """Ctrl-C says what is safe, and ends with the status that shells expect."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nstopped: {message}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextlib.contextmanager
def progress(quiet: bool, unit: str = "frames") -> Iterator["OnProgress | None"]:
    """A bar a stage, with frames a second; nothing when quiet."""
    if quiet:
        yield None
        return
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
        task = bars.tasks[tasks[stage]]
        speed = task.finished_speed or task.speed
        rate = f"{speed:5.1f} {unit}/s" if speed and stage != "learn" else ""
        bars.update(tasks[stage], completed=done, total=total, rate=rate)

    try:
        yield on_progress
    finally:
        if tasks:
            bars.stop()


def print_cut(result: "CutResult") -> None:
    """Print what a cut did and where its outputs are."""
    if result.frames_segmented:
        rate = result.frames_segmented / result.seconds
        print(f"{result.frames} frames; {result.frames_segmented} segmented, {rate:.1f} a second")
    else:
        print(f"{result.frames} frames; none was left to segment")
    for name, path in result.outputs.items():
        print(f"{name:14} {path}")


def print_evaluation(result: "EvaluationResult", *, by_object: bool = False) -> None:
    """Print the tables of a score."""
    from rich.console import Console

    from rotomask.evaluation.reports import result_tables

    # A file or pipe has no width of its own; what rich takes for it cuts the last column off.
    width = None if sys.stdout.isatty() else 100
    Console(width=width).print(result_tables(result, by_object=by_object))
