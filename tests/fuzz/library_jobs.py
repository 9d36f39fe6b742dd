"""Jobs without a process of their own, in a folder with their inputs, writing to ``out`` there.

A batch whose worker is its driver's process, a short training run, and what the app does to its
data when it starts. A kill ends all of a job, and nothing is imported anew.
"""

import sys
from dataclasses import replace
from pathlib import Path

from rotomask.app.app import App
from rotomask.app.launch import claim_data
from rotomask.app.settings import AppSettings
from rotomask.errors import RotomaskError
from rotomask.jobs.batch import driver
from rotomask.jobs.batch.item import Task
from rotomask.jobs.batch.local_pool import LocalPool
from rotomask.jobs.batch.pool import Done, Event
from rotomask.jobs.batch.work import Worker
from rotomask.jobs.cut import CutOptions


class _InlinePool(LocalPool):
    """Worker of a batch in the driver's process."""

    def submit(self, task: Task) -> None:
        """See `Pool`."""
        self._tasks = [*getattr(self, "_tasks", []), task]

    def wait(self, timeout_s: float) -> list[Event]:
        """See `Pool`."""
        task = self._tasks.pop(0)
        worker = Worker(self._arguments[0])
        items = tuple(worker.run(item, lambda *_: None, task.attempt) for item in task.items)
        return [Done(task, items)]


def run_batch(folder: Path) -> int:
    """Status of a batch of three cuts, with a line for its failures as the command has."""
    vars(driver)["LocalPool"] = _InlinePool
    rows = [
        {"video": str(folder / name), "mask": {"2": str(folder / "mask.png")}}
        for name in ("clip.mp4", "frames", "vp9.webm")
    ]
    options = CutOptions(size=32, enlarge="never", formats=("overlay", "coco"))
    try:
        result = driver.batch(rows, folder / "out", workers=1, cut=options)
    except RotomaskError as error:
        return _refused(error)
    for outcome in result.failures[:1]:
        print(f"rotomask: error: {outcome.error}", file=sys.stderr)
    return 2 if result.failures else 0


def run_training(folder: Path) -> int:
    """Status of a run of six steps, by stills alone where there are no videos; it is resumed."""
    from rotomask.jobs.train import train
    from tests.training.tiny import CPU, TINY

    recipe, data = TINY, {"stills": folder / "data/stills", "davis": folder / "data/davis"}
    if not data["davis"].is_dir():
        del data["davis"]
        recipe = replace(TINY, stages=tuple(replace(stage, real=0.0) for stage in TINY.stages))
    try:
        train(recipe, data, folder / "out", hardware=CPU, resume=(folder / "out/job.json").exists())
    except RotomaskError as error:
        return _refused(error)
    return 0


def open_app_data(folder: Path) -> int:
    """Status of what the app does to a data folder when it starts, without its processes."""
    try:
        claim_data(folder / "out")
        app = App(AppSettings(data=folder / "out"))
        app.jobs.requeue_running()
        app.uploads.recover()
        app.sweep()
        app.database.close()
    except RotomaskError as error:
        return _refused(error)
    return 0


def _refused(error: RotomaskError) -> int:
    print(f"rotomask: error: {error}", file=sys.stderr)
    return 2
