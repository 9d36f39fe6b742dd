"""Confidence per frame, and the frames that most need a look."""

import json

import numpy as np
import pytest
from PIL import Image

from rotomask.cli import main
from rotomask.errors import OptionError, OutputError
from rotomask.jobs.cut import cut
from rotomask.jobs.review import read_confidence, review
from rotomask.masks import read_labels
from rotomask.video import open_video
from tests.refine.demo_frames import DEMO

CLIP = DEMO / "clip.mp4"


def test_a_cut_is_reviewed_and_corrected_from_the_command_line(tmp_path, monkeypatch, capsys):
    """The whole way: cut, review, a correction at the frame it names, undo."""
    out = tmp_path / "out"
    cut(CLIP, DEMO / "first_mask.png", out, stop=8, size=96, formats=())
    assert sorted(read_confidence(out)) == list(range(1, 8))
    result = review(CLIP, out, count=2, apart=2)
    assert len(result.frames) == 2
    assert abs(result.frames[0].index - result.frames[1].index) >= 2
    assert result.frames[0].confidence <= result.frames[1].confidence
    with Image.open(result.sheet) as picture:
        assert picture.width > 600

    before = read_labels(out / "masks" / "00005.png")
    ys, xs = np.nonzero(before)
    at = ["--at", "5", "--point", f"{xs[len(xs) // 2]},{ys[len(ys) // 2]},-"]
    common = ["cut", str(CLIP), "--continue", str(out), "--format", "none", "--size", "96", "-q"]
    # Afresh means without the old mask: a negative click alone marks nothing.
    for more in ([*at, "--afresh"], at, ["--undo"]):
        monkeypatch.setattr("sys.argv", ["rotomask", *common, *more])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        if "--afresh" in more:
            assert end.value.code == 2
            assert "needs a positive prompt" in said
            continue
        assert not end.value.code, said
        after = read_labels(out / "masks" / "00005.png")
        assert np.array_equal(before, after) == (more == ["--undo"])
    assert json.loads((out / "corrections" / "log.json").read_text())["corrections"] == []


def test_a_few_frames_of_a_longer_video_are_reviewed(tmp_path):
    """By default frames are apart by the length of the cut, not of the video it is a part of."""
    out = tmp_path / "out"
    cut(CLIP, DEMO / "first_mask.png", out, stop=3, size=96, formats=())
    assert len(open_video(CLIP)) // 20 >= 3
    assert sorted(frame.index for frame in review(CLIP, out, count=2).frames) == [1, 2]
    assert len(review(CLIP, out, apart=50).frames) == 1


def test_what_cannot_be_reviewed_is_refused(tmp_path):
    with pytest.raises(OutputError, match="it is no cut of this version"):
        review(CLIP, tmp_path)
    with pytest.raises(OptionError, match="at least 1 frame"):
        review(CLIP, tmp_path, count=0)


@pytest.mark.parametrize("option", ["--undo", "--afresh", "--learn"])
def test_options_of_corrections_need_the_cut_that_they_are_for(
    option, monkeypatch, capsys, tmp_path
):
    command = ["cut", str(CLIP), "--point", "10,10", "--out", str(tmp_path / "out"), option]
    monkeypatch.setattr("sys.argv", ["rotomask", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert f"{option} needs the finished cut that it is for: --continue DIR" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
