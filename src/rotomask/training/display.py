"""Progress of a training run: a bar with loss and speed, or lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from rotomask.training.loop import Progress

SMOOTHING = 0.95
"""Weight of the earlier losses in the running average that is displayed."""


SECONDS_BETWEEN_LINES = 10.0
"""Time between two lines of progress where stderr is not a terminal."""


class _Lines:
    """Plain lines: the first step, one every ten seconds, the last step, and validations."""

    def __init__(self) -> None:
        self.printed: float | None = None
        """Time of the last line; None: none was printed."""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        is_due = self.printed is None or now - self.printed >= SECONDS_BETWEEN_LINES
        if is_due or progress.step == progress.steps:
            self.printed = now
            speed = f"{progress.samples_per_second:.1f} clips/s"
            self._print(
                f"train {progress.step}/{progress.steps}, loss {progress.loss:.3f}, {speed}"
            )
        if progress.scores:
            scores = "  ".join(f"{k} {v:.3f}" for k, v in progress.scores.items())
            self._print(f"step {progress.step}: {scores}")

    def _print(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@contextmanager
def training_bar(*, quiet: bool = False) -> Iterator[Callable[[Progress], None] | None]:
    """Progress bar on stderr, as the callback that `train(on_step=...)` takes.

    Args:
        quiet: Show nothing; the callback is None.
    """
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    bars = Bars(
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
    )
    task = bars.add_task("train", total=None, figures="")
    smooth: float | None = None

    def on_step(progress: Progress) -> None:
        nonlocal smooth
        bars.start()  # not earlier, so that an error at the start is one line without a bar
        before = progress.loss if smooth is None else smooth
        smooth = SMOOTHING * before + (1 - SMOOTHING) * progress.loss
        figures = f"loss {smooth:.3f}  {progress.samples_per_second:.1f} clips/s"
        bars.update(task, completed=progress.step, total=progress.steps, figures=figures)
        if progress.scores:
            scores = "  ".join(f"{k} {v:.3f}" for k, v in progress.scores.items())
            bars.console.print(f"step {progress.step}: {scores}", soft_wrap=True)

    try:
        yield on_step
    finally:
        if bars.live.is_started:  # stop() would print an empty line
            bars.stop()
