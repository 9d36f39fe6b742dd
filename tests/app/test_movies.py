"""Movies of the app: a job that was stopped goes on with the frame that comes next."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rotomask.app.processes.control import Control, StoppedError
from rotomask.app.processes.mask_store import MaskStore
from rotomask.app.processes.rendering import run_effect
from tests.clips import write_clip

FRAMES, SIZE = 6, (48, 64)


class Stopping(Control):
    """Ends the job at the edge of a frame.

    Args:
        steps_left: Frames that it passes before.
    """

    def __init__(self, said: list[dict[str, Any]], steps_left: int) -> None:
        super().__init__(said.append, "job")
        self.steps_left = steps_left

    def check(self) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            self.stop()
        super().check()


def message(folder: Path) -> dict[str, Any]:
    """An effect on a project of a few frames, each with a square as its mask."""
    folder.mkdir()
    write_clip(folder / "media.mp4", frames=FRAMES, size=SIZE).rename(folder / "media")
    (folder / "pts.json").write_text(json.dumps([k / 25 for k in range(FRAMES)]))
    labels = np.zeros(SIZE, np.int32)
    labels[10:30, 20:40] = 1
    digest, _ = MaskStore(folder / "masks").write(labels)
    return {
        "folder": str(folder),
        "job": "job",
        "masks": {str(k): digest for k in range(FRAMES)},
        "live": [1],
        "count": FRAMES,
        "params": {"effect": "outline", "settings": {}, "format": "mp4"},
        "media": {},
    }


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_movie_that_was_stopped_keeps_its_frames_and_equals_one_that_was_not(
    tmp_path: Path,
) -> None:
    stopped = message(tmp_path / "stopped")
    with pytest.raises(StoppedError):
        run_effect(stopped, Stopping([], 3))
    (frames,) = (tmp_path / "stopped" / "work" / "job-job").glob("frames-*/frames")
    before = {path.name: path.stat().st_mtime_ns for path in frames.glob("*.png")}
    assert 0 < len(before) < FRAMES
    said: list[dict[str, Any]] = []
    run_effect(stopped, Stopping(said, 100))
    (file,) = (m for m in said if m["event"] == "file")
    after = {path.name: path.stat().st_mtime_ns for path in frames.glob("*.png")}
    assert len(after) == FRAMES
    assert {name: after[name] for name in before} == before
    run_effect(message(tmp_path / "whole"), Stopping([], 100))
    movie = tmp_path / "stopped" / "work" / file["path"]
    other = tmp_path / "whole" / "work" / file["path"]
    assert len(decoded(movie)) == FRAMES
    assert np.array_equal(decoded(movie), decoded(other))
