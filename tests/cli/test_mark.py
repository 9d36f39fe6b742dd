"""`rotomask mark` as scripts see it: exit status, one line of error, files."""

import json
import sys
from dataclasses import dataclass

import pytest
from PIL import Image

from rotomask.cli import main
from rotomask.masks import read_labels, write_mask
from rotomask.prompts import Scribble, read_prompts
from tests.refine.demo_frames import DEMO, box_of, demo_frame, iou

CLIP = DEMO / "clip.mp4"


@dataclass
class Finished:
    """What a command left behind."""

    returncode: int
    stderr: str


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """The command line in this process: starting another takes seconds."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rotomask", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Finished(int(end.value.code or 0), capsys.readouterr().err)

    return run


@pytest.fixture(scope="module")
def truth():
    return demo_frame(0)[1] > 0


@pytest.fixture(scope="module")
def box(truth):
    return box_of(truth)


def test_the_command_marks_and_saves_what_it_was_given(tmp_path, truth, box, run_cli):
    strokes = tmp_path / "strokes.txt"
    y = int(box.y + box.height / 2)
    strokes.write_text(f"{box.x + 4},{y} {box.x + box.width - 4},{y}\n- 1,1 60,1\n")
    numbers = f"{box.x:g},{box.y:g},{box.width:g},{box.height:g}"
    options = ["--box", numbers, "--scribbles", str(strokes), "--marker", "grabcut"]
    saved = ["--preview", "--save-prompts", str(tmp_path / "prompts.json")]
    result = run_cli("mark", str(CLIP), *options, "--out", str(tmp_path / "mask.png"), *saved)
    assert result.returncode == 0, result.stderr
    assert iou(read_labels(tmp_path / "mask.png") == 1, truth) > 0.3
    assert (tmp_path / "mask-preview.png").is_file()
    prompts = read_prompts(tmp_path / "prompts.json").at(0)
    assert isinstance(prompts[1], Scribble)
    assert prompts[0] == box
    # The same prompts from the file give the same mask.
    again = ["--scribbles", str(tmp_path / "prompts.json"), "--marker", "grabcut"]
    run_cli("mark", str(CLIP), *again, "--out", str(tmp_path / "again.png"))
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "mask.png").read_bytes()
    assert json.loads((tmp_path / "prompts.json").read_text())["version"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--point", "9999,2"], "the point 9999,2 is outside the frame"),
        (["--point", "5,5", "--point", "5,5,-"], "the points at 5,5 contradict each other"),
        (["--box", "5,5,0,7"], "the box 5,5,0,7 has no area"),
        (["--point", "five"], "a point is X,Y on the object or X,Y,- beside it, got 'five'"),
        ([], "no prompt is given; mark the object by a point, a box or a scribble"),
        (["--scribbles", "none.png"], "none.png does not exist"),
    ],
)
def test_a_user_s_error_is_one_line_and_status_2(tmp_path, run_cli, options, message):
    result = run_cli("mark", str(CLIP), *options, "--out", str(tmp_path / "mask.png"))
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mask.png").exists()


def test_a_still_image_is_marked(tmp_path, run_cli):
    frame, labels = demo_frame(3)
    Image.fromarray(frame).save(tmp_path / "still.png")
    write_mask(tmp_path / "rough.png", labels)
    options = ["--mask", str(tmp_path / "rough.png"), "--point", "1,1,-", "--marker", "grabcut"]
    result = run_cli("mark", str(tmp_path / "still.png"), *options, "-o", str(tmp_path / "m.png"))
    assert result.returncode == 0, result.stderr
    assert iou(read_labels(tmp_path / "m.png") == 1, labels > 0) > 0.5
