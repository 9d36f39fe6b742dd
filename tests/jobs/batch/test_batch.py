"""Many videos by processes of this machine."""

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rotomask
from rotomask.errors import BusyError, OptionError, OutputError
from rotomask.files import exclusive_lock
from rotomask.jobs.batch.item import Item, Task
from rotomask.jobs.batch.local_pool import LocalPool
from rotomask.jobs.batch.planning import plan
from rotomask.jobs.batch.pool import Advanced, Done, Event, Lost
from rotomask.jobs.batch.storage import Store
from rotomask.jobs.batch.work import Worker
from rotomask.jobs.cut import CutOptions

from .clips import results, write_clip

CUT: dict[str, Any] = {"size": 64, "device": "cpu", "formats": ("mattes",)}


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder, seed, frames=3 + seed, at=seed % 2) for seed in range(3)]


def cut_alone(row, folder: Path) -> dict[str, str]:
    (at, mask), *_ = row["mask"].items()
    rotomask.cut(row["video"], mask, folder, at=at, **CUT)
    return results(folder)


def test_each_video_is_cut_as_cut_does(listed, tmp_path):
    """Two workers, a video that fails, and the run after it."""
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    rows = [*listed, {"video": str(bad), "mask": str(bad)}]
    told = []
    result = rotomask.batch(
        rows, tmp_path / "out", workers=2, on_progress=lambda *told_now: told.append(told_now)
    )
    assert [o.state for o in result.outcomes] == ["finished"] * 3 + ["failed"]
    assert "bad.mp4" in (result.failures[0].error or "")
    assert result.failures[0].attempts == 1  # what cannot succeed is not tried again
    for number, row in enumerate(listed):
        name = f"clip{number}"
        made = results(tmp_path / "out" / name)
        made.pop("review.png", None)
        assert made == cut_alone(row, tmp_path / name)
    assert told[-1] == ("batch", 12, 12)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["totals"]["finished"] == 3
    assert [v["state"] for v in summary["videos"]] == ["finished"] * 3 + ["failed"]
    page = (tmp_path / "out" / "summary.html").read_text()
    assert "Failed or damaged: 1" in page

    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("clip*/**/*.png")}
    again = rotomask.batch(listed, tmp_path / "out", workers=1)
    assert [o.state for o in again.outcomes] == ["before"] * 3
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_receipts_hold_only_for_the_same_inputs_and_results(listed, tmp_path):
    row = listed[0]
    (at, mask), *_ = row["mask"].items()
    item = Item(name="a", video=row["video"], masks=((at, mask),), options=CutOptions(**CUT))
    store = Store(str(tmp_path), tmp_path)
    worker = Worker(store)

    def run(item):
        return worker.run(item, lambda *_: None)

    assert run(item).state == "finished"
    assert run(item).state == "before"
    lost = sorted((tmp_path / "a" / "masks").iterdir())[-1]
    lost.unlink()
    assert (run(item).state, lost.exists()) == ("finished", True)
    other = replace(item, options=replace(item.options, size=48))
    refused = run(other)
    assert (refused.state, refused.is_passing) == ("failed", False)
    assert "holds another job" in (refused.error or "")
    anew = replace(other, options=replace(other.options, overwrite=True))
    assert run(anew).state == "finished"


def test_a_folder_that_is_busy_is_tried_again(listed, tmp_path):
    row = listed[0]
    (at, mask), *_ = row["mask"].items()
    item = Item(name="a", video=row["video"], masks=((at, mask),), options=CutOptions(**CUT))
    (tmp_path / "a" / ".rotomask").mkdir(parents=True)
    with exclusive_lock(tmp_path / "a" / ".rotomask" / "lock"):
        outcome = Worker(Store(str(tmp_path), tmp_path)).run(item, lambda *_: None)
    assert (outcome.state, outcome.is_passing) == ("failed", True)
    assert "another rotomask process" in (outcome.error or "")


def test_two_drivers_do_not_share_a_folder(listed, tmp_path):
    (tmp_path / ".rotomask").mkdir()
    with exclusive_lock(tmp_path / ".rotomask" / "lock"), pytest.raises(BusyError):
        rotomask.batch(listed, tmp_path)


def test_a_folder_of_another_job_is_refused(listed, tmp_path):
    cut_alone(listed[0], tmp_path / "cut")
    with pytest.raises(OutputError, match="holds the output of `rotomask cut`"):
        rotomask.batch(listed, tmp_path / "cut")


@pytest.mark.slow
def test_a_lost_worker_is_told_and_replaced(listed, tmp_path):
    """A worker that is killed in the middle of a video; a new one carries on."""
    row = listed[2]
    (at, mask), *_ = row["mask"].items()
    item = Item(name="a", video=row["video"], masks=((at, mask),), options=CutOptions(**CUT))
    pool = LocalPool(Store(str(tmp_path / "out"), tmp_path / "out"), 1, doubt=0.5)
    try:
        pool.submit(Task(items=(item,), frames=5))
        (process,) = pool._processes.values()
        events: list[Event] = []
        while not events:
            events = pool.wait(0.1)
        assert isinstance(events[0], Advanced | Done)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        while not any(isinstance(event, Lost | Done) for event in events):
            events += pool.wait(0.1)
        pool.submit(Task(items=(item,), frames=5, attempt=1))
        done: list[Done] = []
        while not done:
            done = [event for event in pool.wait(0.1) if isinstance(event, Done)]
        assert done[0].outcomes[0].state in ("finished", "before")
    finally:
        pool.close()
    made = results(tmp_path / "out" / "a")
    made.pop("review.png", None)
    assert made == cut_alone(row, tmp_path / "alone")


@pytest.mark.slow
def test_workers_end_with_the_pool(listed, tmp_path):
    pool = LocalPool(Store(str(tmp_path), tmp_path), 1, doubt=0.5)
    pool.submit(Task(items=(), frames=0))
    (process,) = pool._processes.values()
    pool.close()
    assert not process.is_alive()


@pytest.mark.slow
def test_ctrl_c_leaves_a_summary_and_what_was_done(listed, tmp_path):
    def interrupt(stage, done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotomask.batch(listed, tmp_path / "out", workers=1, on_progress=interrupt)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["totals"]["not reached"] >= 1
    assert threading.active_count() < 20


def test_a_split_video_is_the_same_to_the_byte(tmp_path):
    row = write_clip(tmp_path, 7, frames=9, at=4)
    (at, mask), *_ = row["mask"].items()
    item = Item(name="a", video=row["video"], masks=((at, mask),), options=CutOptions(**CUT))
    planned = plan([item], 2, split=3)
    assert [t.items[0].name for t in planned.tasks] == [
        ".rotomask/parts/a/forward",
        ".rotomask/parts/a/backward",
    ]
    worker = Worker(Store(str(tmp_path / "out"), tmp_path / "out"))
    for task in (*planned.tasks, planned.joins["a"]):
        outcome = worker.run(task.items[0], lambda *_: None)
    assert (outcome.state, outcome.frames, outcome.frames_segmented) == ("finished", 9, 0)
    alone = cut_alone(row, tmp_path / "alone")
    made = results(tmp_path / "out" / "a")
    made.pop("review.png", None)
    assert made == alone
    confidence = ".rotomask/confidence.jsonl"
    assert (tmp_path / "out" / "a" / confidence).read_text() == (
        tmp_path / "alone" / confidence
    ).read_text()
    assert not (tmp_path / "out" / ".rotomask" / "parts" / "a").exists()


@pytest.mark.slow
def test_a_batch_splits_a_video_that_others_would_wait_for(tmp_path):
    row = write_clip(tmp_path, 7, frames=9, at=4)
    result = rotomask.batch([{**row, "out": "a"}], tmp_path / "out", workers=2, split_frames=3)
    (outcome,) = result.outcomes
    assert (outcome.state, outcome.frames, outcome.frames_segmented) == ("finished", 9, 8)
    assert not (tmp_path / "out" / ".rotomask" / "parts" / "a").exists()


def test_what_is_split_and_what_is_put_together(tmp_path):
    def item(name, frames, at=0, **options):
        return Item(
            name=name,
            video="s3://bucket/a.mp4",
            masks=((at, "a.png"),),
            options=CutOptions(**options),
            frames=frames,
        )

    items = [item("long", 4000, at=1000), item("b", 30), item("c", 40), item("d", 900)]
    planned = plan(items, 4, task_frames=60)
    assert [(tuple(i.name.split("/")[-1] for i in t.items), t.frames) for t in planned.tasks] == [
        (("forward",), 3000),
        (("backward",), 1001),
        (("d",), 900),
        (("c", "b"), 70),
    ]
    assert planned.joins["long"].items[0].parts == (
        ".rotomask/parts/long/forward",
        ".rotomask/parts/long/backward",
    )
    assert plan(items, 1).joins == {}  # alone, a worker gains nothing
    assert plan([item("x", 4000, at=1000, direction="forward")], 4).joins == {}
    assert plan([item("x", 4000, at=10)], 4).joins == {}


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"workers": 1, "ray": "auto"}, {"doubt": 2.0}, {"threads": 0}, {"pace": 1}],
)
def test_bad_options(options, tmp_path):
    with pytest.raises(OptionError):
        rotomask.batch([{"video": "a.mp4", "mask": "a.png"}], tmp_path, **options)
