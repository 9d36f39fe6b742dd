"""What a shell and other programs see: status, one line of error, pipes, files, Ctrl-C."""

import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

import pytest

from rotomask.cli.corrections import change_of
from rotomask.cli.extras import EXTRAS
from rotomask.cli.terminal import resumable
from rotomask.jobs.correct import CorrectResult
from rotomask.training import display
from rotomask.training.loop import Progress
from tests.cli.running import run
from tests.clips import write_clip, write_corner_mask

SIZE = (64, 96)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=6, size=SIZE)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    return write_corner_mask(tmp_path / "first.png", SIZE, corner=(24, 32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cutt"], "Did you mean 'cut'"),
        (["cut"], "Missing argument 'VIDEO'; see `rotomask cut --help`"),
        (["cut", "a.mp4", "--colour", "red"], "--colour"),
        (["cut", "a.mp4", "--size", "big"], "--size"),
        (["--colour"], "see `rotomask --help`"),
        (["cut", "a.mp4", "--refine", "sharpen"], "unknown refinement 'sharpen'"),
        (["cut", "a.mp4", "--refine", "scales=a"], "scales"),
        (["train", "stm-lite", "--data", "davis", "--out", "run"], "NAME=PATH"),
        (["export", "none.mp4", "none"], "none.mp4"),
        (["compare", "a.json", "b.json"], "a.json"),
        (["average", "a.safetensors", "b.safetensors", "--out", "c.safetensors"], "a.safetensors"),
        (["evaluate", "davis2016", "--root", "none", "--results", "none"], "none"),
    ],
)
def test_a_user_error_is_one_line_and_status_2(arguments, words, tmp_path, monkeypatch, capsys):
    from rotomask.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rotomask", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    printed = capsys.readouterr()
    assert exit_.value.code == 2
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("rotomask: error: ")
    assert words in printed.err
    assert not list(tmp_path.iterdir())


HIDDEN = [
    (["train", "stm-lite", "--data", "davis=D", "--out", "o"], "lightning_fabric", "train"),
    (["train", "stm-lite", "--data", "davis=D", "--out", "o"], "tensorboardX", "train"),
    (["detect", "clip.mp4", "--detector", "file.onnx"], "onnxruntime", "onnx"),
    (
        ["cut", "clip.mp4", "-m", "first.png", "--boxes", "file.onnx"],
        "onnxruntime",
        "onnx",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "module", "extra"), HIDDEN)
def test_a_command_names_the_extra_that_it_lacks(
    arguments, module, extra, clip, mask, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("D").mkdir()
    Path("file.onnx").touch()
    code = (
        f"import sys; sys.modules[{module!r}] = None; from rotomask.cli import main; "
        f"sys.argv = ['rotomask', *{arguments!r}]; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("mask of frame")]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1
    assert lines[0].startswith("rotomask: error: ")
    assert f"rotomask[{extra}]" in lines[0]


def test_extras_are_those_of_the_package():
    file = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) == set(extras) - {"dev", "docs"}


def test_progress_in_a_file_is_plain_lines(clip, mask, tmp_path):
    result = run("cut", clip, "--mask", mask, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stderr + result.stdout
    assert "\r" not in result.stderr
    assert [line.split(",")[0] for line in result.stderr.splitlines() if "6/6" in line] == [
        "cut     6/6 frames",
        "export  6/6 frames",
    ]


def test_head_ends_a_list_quietly():
    command = f"{sys.executable} -m rotomask models | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 1
    assert "stm-lite" in result.stdout
    assert result.stderr == ""


def test_what_is_safe_depends_on_what_was_written(tmp_path):
    assert resumable(tmp_path / "none")() == "nothing was written"
    assert resumable(tmp_path)() == (
        f"finished frames are in {tmp_path}; run the same command again to resume"
    )


def test_ctrl_c_says_what_is_safe(mask, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=600, size=SIZE)
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "rotomask", "flow", str(clip), "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        # A job in a shell's background ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("flo/*.flo"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    message = f"finished pairs are in {out}; run the same command again to resume"
    assert error.splitlines()[-1] == f"rotomask: interrupted; {message}"
    assert "Traceback" not in error
    assert not list(out.rglob(".*.part"))


def test_training_without_a_terminal_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0.0)
    with display.training_bar() as on_step:
        assert on_step is not None
        for step in (1, 2, 3):
            scores = {"J": 0.5} if step == 3 else {}
            on_step(Progress(step=step, steps=3, loss=0.25, samples_per_second=4.0, scores=scores))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train 1/3, loss 0.250, 4.0 clips/s"
    assert lines[-1] == "step 3: J 0.500"
    assert len(lines) == 4


def test_a_correction_says_what_it_changed():
    folder = Path("cut")
    result = partial(CorrectResult, folder=folder, frame_index=12, object_ids=(1,))
    assert change_of(result(changed_pixels=0, frames_redone=0)) == "frame 12: nothing changed"
    assert change_of(result(changed_pixels=310, frames_redone=1)).endswith(
        "1 frame around it followed"
    )
