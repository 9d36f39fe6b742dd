"""Flow of whole videos on disk: files, resuming, refusals, and the command."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotomask.catalog import load_flow, names, shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import InputError, OptionError, OutputError
from rotomask.flow.flo_files import read_flo
from rotomask.flow.optical_flow import DISFlow, flow_colours, warp_back
from rotomask.jobs.flow import FlowOptions, flow


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    frames, _ = moving_shapes(7, frames=4, size=(64, 80))
    for t, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"f{t:03d}.png"), frame[..., ::-1])
    return folder, frames


def test_every_frame_but_the_last_has_a_flow_and_a_picture(clip, tmp_path):
    folder, frames = clip
    result = flow(folder, tmp_path / "out", FlowOptions(longest_px=5))
    assert (result.pairs, result.estimated) == (3, 3)
    for t in range(3):
        expected = DISFlow().estimate(frames[t], frames[t + 1])
        np.testing.assert_array_equal(read_flo(tmp_path / f"out/flo/f{t:03d}.flo"), expected)
        picture = np.asarray(Image.open(tmp_path / f"out/png/f{t:03d}.png"))
        np.testing.assert_array_equal(picture, flow_colours(expected, 5))
    assert not (tmp_path / "out/flo/f003.flo").exists()


def test_what_was_stopped_goes_on(clip, tmp_path):
    folder, _ = clip
    calls = []
    flow(folder, tmp_path, FlowOptions(stop=3))
    kept = (tmp_path / "flo/f000.flo").stat().st_mtime_ns
    (tmp_path / "flo/f001.flo").unlink()
    result = flow(folder, tmp_path, on_progress=lambda *told: calls.append(told))
    assert (result.pairs, result.estimated) == (3, 2)
    assert (tmp_path / "flo/f000.flo").stat().st_mtime_ns == kept
    assert calls == [("flow", 1, 3), ("flow", 2, 3), ("flow", 3, 3)]
    with pytest.raises(OutputError, match=r"longest_px None there, 9 here.*another --out"):
        flow(folder, tmp_path, FlowOptions(longest_px=9))


def test_what_cannot_be_is_refused(clip, tmp_path):
    folder, _ = clip
    with pytest.raises(
        OptionError, match="unknown flow estimator 'raft'; known flow estimators: dis"
    ):
        flow(folder, tmp_path, FlowOptions(estimator="raft"))
    with pytest.raises(OptionError, match="flo and png, got gif"):
        FlowOptions(formats=("gif",))
    with pytest.raises(InputError, match="two frames or more"):
        flow(folder, tmp_path, FlowOptions(start=3))
    with pytest.raises(OptionError, match="takes no weights"):
        load_flow("dis", weights=tmp_path)


def test_the_command_writes_flow_and_tells_errors_in_a_line(clip, tmp_path):
    folder, _ = clip
    command = [sys.executable, "-c", "from rotomask.cli import main; main()", "flow", str(folder)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--format", "flo"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 pairs of frames, 3 estimated now" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".rotomask", "flo", "job.json"]
    failed = subprocess.run([*command, "--estimator", "x"], capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("name", names("flow"))
def test_every_estimator_finds_a_shift(name):
    """On a picture of shapes and texture that moves by (5, -3)."""
    frames, _ = moving_shapes(11, frames=1, size=(160, 200))
    first, second = frames[0][16:144, 16:176], frames[0][19:147, 11:171]
    estimator = load_flow(name, device="cpu")
    estimate = estimator.estimate(np.ascontiguousarray(first), np.ascontiguousarray(second))
    assert estimate.dtype == np.float32
    np.testing.assert_allclose(np.median(estimate[24:-24, 24:-24], axis=(0, 1)), (5, -3), atol=0.5)
    back = warp_back(second, estimate)[24:-24, 24:-24].astype(int)
    inner = first[24:-24, 24:-24].astype(int)
    still = second[24:-24, 24:-24].astype(int)
    assert np.abs(back - inner).mean() < 0.6 * np.abs(still - inner).mean()


def test_the_shipped_weights_are_small():
    assert Path(str(shipped_weights("flow-lite"))).stat().st_size < 1_500_000
