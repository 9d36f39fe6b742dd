"""The command line as scripts see it: exit status, one line of error, files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rotomask.masks import read_labels, write_mask
from tests.cli.running import run
from tests.clips import picture, write_clip, write_corner_mask

SIZE = (96, 128)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=12, size=SIZE)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_corner_mask(tmp_path / "first.png", SIZE, corner=(SIZE[0] // 4, SIZE[1] // 4))


def test_cut_writes_masks_and_overlay(clip, mask, tmp_path):
    out = tmp_path / "out"
    answer = run("cut", clip, "--mask", mask, "--out", out)
    assert answer.returncode == 0, answer.stderr
    assert sorted(p.name for p in (out / "masks").iterdir()) == [f"{t:05d}.png" for t in range(12)]
    assert (out / "overlay.mp4").is_file()
    assert "mask of frame 0: indexed" in answer.stderr
    assert str(out / "masks") in answer.stdout


def test_verbose_says_what_runs(clip, mask, tmp_path):
    options = ["--mask", mask, "--out", tmp_path / "out", "-f", "none", "--device", "cpu"]
    options += ["--precision", "float32"]
    answer = run("cut", clip, *options, "-v")
    for words in ("128x96, 12 frames", "stm-lite", "cpu", "float32", "size=480"):
        assert words in answer.stderr
    (tmp_path / "out" / "masks" / "00011.png").unlink()
    again = run("cut", clip, *options)
    assert "11 of 12 frames are finished" in again.stderr


def test_quiet_says_nothing(clip, mask, tmp_path):
    answer = run("cut", clip, "--mask", mask, "--out", tmp_path / "out", "-q", "-f", "none")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_killed_job_goes_on(mask, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=150, size=SIZE)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rotomask", "cut", clip, "-m", mask, "-o", out, "-f", "none"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((out / "masks").glob("*.png"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {p: p.stat().st_mtime_ns for p in (out / "masks").glob("*.png")}
    assert 5 <= len(finished) < 150
    answer = run("cut", clip, "--mask", mask, "--out", out)
    assert answer.returncode == 0, answer.stderr
    assert f"150 frames; {150 - len(finished)} segmented" in answer.stdout
    assert all(p.stat().st_mtime_ns == time for p, time in finished.items())
    assert len(list((out / "masks").iterdir())) == 150


def test_ctrl_c_says_that_the_job_can_go_on(mask, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=600, size=SIZE)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rotomask", "cut", clip, "-m", mask, "-o", out]
    process = subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        # A job in a shell's background hears no Ctrl-C, and what it starts inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(list((out / "masks").glob("*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "run the same command again to resume" in error
    assert "Traceback" not in error
    assert not list(out.rglob(".*.part"))


def test_a_truncated_video_is_cut_up_to_the_damage(mask, tmp_path):
    whole = write_clip(
        tmp_path / "whole.mkv", frames=40, size=SIZE, options={"g": "8", "bf": "0"}
    ).read_bytes()
    torn = tmp_path / "torn.mkv"
    torn.write_bytes(whole[: int(len(whole) * 0.6)])
    answer = run("cut", torn, "--mask", mask, "--out", tmp_path / "out")
    done = len(list((tmp_path / "out" / "masks").iterdir()))
    assert 4 < done < 40
    assert answer.returncode == 2
    assert f"the {done} frames before the damage are cut" in answer.stderr
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def _bad_inputs(clip: Path, mask: Path, folder: Path) -> dict[str, tuple[list[object], str]]:
    (folder / "text.mp4").write_text("this is not a video")
    (folder / "file").write_text("")
    (folder / "nothing").mkdir()
    write_mask(folder / "empty.png", np.zeros(SIZE, np.int32))
    write_mask(folder / "wide.png", np.ones((SIZE[0], SIZE[1] * 2), np.int32))
    return {
        "missing video": (["none.mp4", "-m", mask], "none.mp4"),
        "not a video": ([folder / "text.mp4", "-m", mask], "text.mp4"),
        "empty folder": ([folder / "nothing", "-m", mask], "nothing"),
        "missing mask": ([clip, "-m", "none.png"], "none.png"),
        "empty mask": ([clip, "-m", folder / "empty.png"], "empty"),
        "another aspect": ([clip, "-m", folder / "wide.png"], "256"),
        "output is a file": ([clip, "-m", mask, "-o", folder / "file" / "o"], "cannot write"),
        "unknown model": ([clip, "-m", mask, "--model", "yolo"], "known models: stm-lite"),
        "frame out of range": ([clip, "-m", mask, "--at", "12"], "frame 12 is out of range"),
        "end out of range": ([clip, "-m", mask, "--end", "40"], "0 to 11"),
        "negative start": ([clip, "-m", mask, "--start", "-3"], "start at 0"),
        "masks without frames": ([clip, "-m", mask, "-m", mask], "--at"),
        "unknown format": ([clip, "-m", mask, "-f", "gif"], "no format 'gif'"),
        "unknown option": ([clip, "-m", mask, "--colour", "red"], "--colour"),
        "no such weights": ([clip, "-m", mask, "--model", "stm"], "--weights"),
    }


BAD_INPUTS = [
    "missing video",
    "not a video",
    "empty folder",
    "missing mask",
    "empty mask",
    "another aspect",
    "output is a file",
    "unknown model",
    "frame out of range",
    "end out of range",
    "negative start",
    "masks without frames",
    "unknown format",
    "unknown option",
    "no such weights",
]


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_one_line_and_status_2(clip, mask, tmp_path, monkeypatch, case, capsys):
    from rotomask.cli import main

    arguments, expected = _bad_inputs(clip, mask, tmp_path)[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rotomask", "cut", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert expected in error
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if not line.startswith("mask of frame")]
    assert len(lines) == 1
    assert lines[0].startswith("rotomask: error:")


def test_masks_of_several_frames(clip, mask, tmp_path):
    write_mask(tmp_path / "later.png", np.where(picture(6, SIZE)[..., 0] == 220, 2, 0))
    out = tmp_path / "out"
    answer = run(
        "cut", clip, "-m", mask, "--at", "2", "-m", tmp_path / "later.png", "--at", "6", "-o", out,
        "-f", "none",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert 2 in read_labels(out / "masks" / "00006.png")
    assert 2 not in read_labels(out / "masks" / "00005.png")


def test_export_makes_other_formats_of_a_finished_cut(clip, mask, tmp_path):
    out = tmp_path / "out"
    assert run("cut", clip, "-m", mask, "-o", out, "-f", "none", "-q").returncode == 0
    answer = run("export", clip, out, "--format", "coco,contact-sheet")
    assert answer.returncode == 0, answer.stderr
    assert (out / "annotations.json").is_file()
    assert (out / "contact_sheet.png").is_file()


def test_models_are_listed_by_what_they_are_for():
    listed = run("models").stdout
    sections = listed.split("\n\n")
    follow, papers = sections[0], next(s for s in sections if s.startswith("Methods of the papers"))
    assert "take stm-lite" in follow
    assert "J&F 0.867" in follow
    for name in ("stm", "rgmp-lite", "oneshot", "osvos"):
        assert f"   {name} " in papers
        assert f"   {name} " not in follow
    one = run("models", "rgmp-lite").stdout
    assert "trained on: 8560 stills" in one
    assert "stm-lite\n" not in one
