"""A cut that was killed and resumed is, to the byte, the one that was never stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask import Refinements
from rotomask.data.training.synthetic import moving_shapes
from rotomask.jobs import snapshots

CASES = {
    "stm-lite": Refinements(),
    "rgmp-lite": Refinements(),
    "embedding": Refinements(),
    "stm-lite, refined": Refinements(flip=True, scales=(0.75, 1.0), boxes="detector-lite"),
}
COUNT = 9


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("clip") / "shapes"
    folder.mkdir()
    frames, labels = moving_shapes(3, frames=COUNT, size=(96, 128), objects=2)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder, labels[4].astype(np.int32)


def _stop_after(count: int):
    def on_progress(stage: str, done: int, total: int | None) -> None:
        if stage == "cut" and done == count:
            raise KeyboardInterrupt

    return on_progress


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ("stm-lite", 0.0),
        ("stm-lite", 3600.0),
        ("rgmp-lite", 0.0),
        ("embedding", 0.0),
        pytest.param("stm-lite, refined", 0.0, marks=pytest.mark.slow),
    ],
)
def test_stopped_anywhere_and_resumed(video, tmp_path, monkeypatch, case, seconds):
    """With a state after every frame, or only after the first frame of each pass."""
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", seconds)
    monkeypatch.setattr(snapshots, "MOST_COST", 1e9)
    frames, labels = video
    options: dict[str, Any] = {
        "model": case.partition(",")[0],
        "refinements": CASES[case],
        "size": 96,
        "device": "cpu",
        "formats": ("mattes",),
        "at": 4,
    }
    rotomask.cut(frames, labels, tmp_path / "whole", **options)
    for count in (2, 4, 5, 7):  # forward and backward passes
        with pytest.raises(KeyboardInterrupt):
            rotomask.cut(
                frames, labels, tmp_path / "torn", on_progress=_stop_after(count), **options
            )
    result = rotomask.cut(frames, labels, tmp_path / "torn", **options)
    assert result.frames == COUNT
    for kind in ("masks", "mattes"):
        for path in sorted((tmp_path / "whole" / kind).iterdir()):
            assert (tmp_path / "torn" / kind / path.name).read_bytes() == path.read_bytes()


def test_a_longer_cut_continues_a_shorter_exactly(video, tmp_path):
    frames, labels = video
    options: dict[str, Any] = {"size": 96, "device": "cpu", "formats": (), "at": 4}
    rotomask.cut(frames, labels, tmp_path / "whole", **options)
    rotomask.cut(frames, labels, tmp_path / "parts", stop=6, **options)
    assert rotomask.cut(frames, labels, tmp_path / "parts", **options).frames_segmented == 3
    for path in sorted((tmp_path / "whole" / "masks").iterdir()):
        assert (tmp_path / "parts" / "masks" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04"])
def test_a_damaged_state_is_left_aside(video, tmp_path, content):
    frames, labels = video
    options: dict[str, Any] = {"size": 96, "device": "cpu", "formats": (), "at": 4}
    with pytest.raises(KeyboardInterrupt):
        rotomask.cut(frames, labels, tmp_path, on_progress=_stop_after(3), **options)
    (tmp_path / ".rotomask" / "state-forward.pt").write_bytes(content)
    assert rotomask.cut(frames, labels, tmp_path, **options).frames == COUNT
