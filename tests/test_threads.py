"""How many threads compute, and how they wait."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import rotomask
from rotomask import threads
from rotomask.errors import OptionError
from rotomask.jobs.cut import CutOptions

SOURCE = Path(__file__).parents[1] / "src"


def _default(monkeypatch: pytest.MonkeyPatch, stated: str | None, quota: str | None, folder: Path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if stated is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
    file = folder / "cpu.max"
    if quota is not None:
        file.write_text(quota)
    monkeypatch.setattr(threads, "_QUOTA", file)
    return threads.default_threads()


def test_the_default_fits_cores_container_and_environment(monkeypatch, tmp_path):
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    assert _default(monkeypatch, None, None, tmp_path) == min(cores, threads.MOST_THREADS)
    assert _default(monkeypatch, None, "max 100000\n", tmp_path) == min(cores, threads.MOST_THREADS)
    assert _default(monkeypatch, None, "50000 100000\n", tmp_path) == 1
    assert _default(monkeypatch, None, "150000 100000\n", tmp_path) == min(2, cores)
    assert _default(monkeypatch, "3", "50000 100000\n", tmp_path) == 3
    assert _default(monkeypatch, "", "50000 100000\n", tmp_path) == 1


def test_a_job_computes_with_its_threads_and_sets_them_back(tmp_path):
    seen: list[tuple[int, int]] = []

    def on_progress(stage: str, done: int, total: int | None) -> None:
        seen.append((torch.get_num_threads(), threads.current_threads()))

    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    mask = np.zeros((48, 64), np.int32)
    mask[10:30, 20:40] = 1
    before = torch.get_num_threads(), cv2.getNumThreads(), threads.current_threads()
    shared: dict[str, Any] = {"size": 48, "formats": (), "on_progress": on_progress}
    rotomask.cut(frames, mask, tmp_path / "a", threads=3, **shared)
    rotomask.cut(frames, mask, tmp_path / "b", CutOptions(threads=3), **shared)
    # One of the three encodes frames ahead while a pass is on.
    assert set(seen) == {(2, 3), (3, 3)}
    assert (torch.get_num_threads(), cv2.getNumThreads(), threads.current_threads()) == before
    for folder in "ab":  # how many does not make it another job
        rotomask.cut(frames, mask, tmp_path / folder, threads=2, **shared)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_number_of_threads_that_is_none_is_named(tmp_path, count):
    with pytest.raises(OptionError, match="at least 1 thread"):
        rotomask.cut(tmp_path, None, tmp_path / "out", threads=count)


@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_imported_is_not_looked_through_for_garbage(enabled):
    was_enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    try:
        (gc.enable if enabled else gc.disable)()
        with threads.without_collection():
            assert not gc.isenabled()
            imported: list[dict[str, int]] = [{}, {}]
        assert gc.isenabled() == enabled
        assert gc.get_freeze_count() > frozen
        assert not any(one is imported for one in gc.get_objects())
    finally:
        gc.unfreeze()
        (gc.enable if was_enabled else gc.disable)()


@pytest.mark.parametrize(
    "code",
    [
        "import sys, rotomask.cli; sys.argv[1:] = ['--version']; rotomask.cli.main()",
        "import rotomask; rotomask.RotomaskError",
    ],
)
def test_threads_wait_passively_unless_told_otherwise(code):
    script = f"import os\ntry:\n    {code}\nexcept SystemExit: pass\n"
    script += "print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        kept = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
        environment = (
            kept | {"PYTHONPATH": str(SOURCE)} | ({"OMP_WAIT_POLICY": given} if given else {})
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == expected


def _ended(code: str) -> subprocess.CompletedProcess[str]:
    script = (
        f"import atexit, sys, threading, time\nfrom rotomask.threads import end_at_once\n{code}"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_process_that_ends_at_once_says_all_and_runs_what_is_to_run_at_the_exit():
    code = """
atexit.register(print, "at the exit")
class Slow:
    def __del__(self): print("taken apart")
slow = Slow()
print("said", end="")
end_at_once()
print("goes on")
"""
    done = _ended(code)
    assert (done.returncode, done.stdout) == (0, "saidat the exit\n")


def test_a_process_with_work_to_do_does_not_end_at_once():
    code = """
threading.Thread(target=lambda: (time.sleep(0.3), print("done"))).start()
end_at_once()
print("goes on")
"""
    assert _ended(code).stdout == "goes on\ndone\n"
    assert _ended("sys.stdout.close()\nend_at_once()\nsys.exit(3)").returncode == 3


def test_a_profiler_sees_the_end():
    done = _ended("sys.setprofile(lambda *_: None)\nend_at_once()\nsys.exit(3)")
    assert done.returncode == 3
