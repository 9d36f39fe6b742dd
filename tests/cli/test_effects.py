"""`rotomask effect` and `rotomask stabilise` as users run them, on the shipped real clip."""

import pytest

from rotomask.cli.names import DESCRIPTIONS
from rotomask.effects import EFFECTS
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_labels, write_mask
from rotomask.video import open_video
from tests.cli.running import run


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The first frames of *dog* with their true masks, as a cut's folder."""
    folder = tmp_path_factory.mktemp("dog") / "dog-cut"
    for path in sorted((demo_folder() / "truth").glob("*.png"))[:8]:
        write_mask(folder / "masks" / path.name, read_labels(path))
    return demo_folder() / "clip.mp4", folder


def test_names_and_descriptions_are_those_of_the_table():
    assert DESCRIPTIONS["Effects"]() == {name: e.description for name, e in EFFECTS.items()}


def test_an_effect_of_a_real_clip(cut, tmp_path):
    out = tmp_path / "blurred.mp4"
    result = run("effect", "blur-background", *cut, "--out", out, "--radius", "4", "--end", "5")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["blur-background", str(out)]
    assert "effect  6/6 frames" in result.stderr
    assert open_video(out).frame_count == 6


@pytest.mark.slow
def test_a_still_of_an_erased_object(cut, tmp_path):
    out = tmp_path / "empty.png"
    command = ["effect", "erase", *cut, "--out", out, "--still", "--at", "3", "--resize", "320"]
    result = run(*command, "-q")
    assert result.returncode == 0, result.stderr
    assert result.stdout == result.stderr == ""
    assert open_video(out).size[1] == 320


def test_stabilise_tells_the_jitter(cut, tmp_path):
    out = tmp_path / "steady.mp4"
    result = run("stabilise", *cut, "--out", out, "--framing", "1:1", "--strength", "0.9")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("jitter of the object's centre ")
    height, width = open_video(out).size
    assert height == width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["effect", "blurr"], "there is no effect 'blurr'; choose from blur-background"),
        (["effect", "outline", "--width", "99"], "width goes from 0 to 10, got 99"),
        (["stabilise", "--framing", "wide"], "framing is W:H such as 16:9"),
    ],
)
def test_errors_are_one_line(cut, tmp_path, arguments, message):
    position = 2 if arguments[0] == "effect" else 1
    command = [*arguments[:position], *cut, *arguments[position:], "--out", tmp_path / "a.mp4"]
    result = run(*command)
    assert result.returncode == 2
    assert result.stderr.startswith("rotomask: error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
