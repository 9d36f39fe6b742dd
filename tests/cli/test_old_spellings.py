"""Options of version 0.1: hidden, with a warning, and the same job as their new spelling."""

import json
import sys

import pytest

from rotomask.cli import main
from tests.cli.running import commands, run
from tests.clips import write_clip, write_corner_mask

SIZE = (64, 96)
OLD_AND_NEW = [
    (["--flip"], ["--refine", "flip"]),
    (["--scales", "0.75,1"], ["--refine", "scales=0.75,1"]),
    (["--ensemble-with", "rgmp-lite"], ["--refine", "ensemble=rgmp-lite"]),
    (["--online-steps", "1"], ["--refine", "online=1"]),
    (["--online-seconds", "0.2"], ["--refine", "online=0.2s"]),
    (["--seconds", "0.2"], ["--refine", "online=0.2s"]),
    (["--components"], ["--refine", "components"]),
    (["--crf"], ["--refine", "crf"]),
    (["--detector", "none"], ["--boxes", "tracked"]),
    (["--detector", "detector-lite"], ["--boxes", "detector-lite"]),
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of a short cut."""
    folder = tmp_path_factory.mktemp("clip")
    clip = write_clip(folder / "clip.mp4", frames=2, size=SIZE)
    mask = write_corner_mask(folder / "first.png", SIZE, corner=(24, 32))
    return ["cut", str(clip), "--mask", str(mask), "--format", "none"]


def cut(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rotomask", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert not exit_.value.code


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW, ids=lambda words: " ".join(words))
def test_an_old_spelling_is_the_same_job_as_the_new_one(
    old, new, job, tmp_path, monkeypatch, capsys
):
    cut([*job, *old, "--out", str(tmp_path / "out")], monkeypatch)
    warning = f"rotomask: warning: {' '.join(old)} is deprecated; use {' '.join(new)}"
    assert capsys.readouterr().err.splitlines()[0] == warning
    cut([*job, *new, "--out", str(tmp_path / "out")], monkeypatch)  # resumes: the same identity
    printed = capsys.readouterr()
    assert "deprecated" not in printed.err
    assert "all were finished before" in printed.out
    description = json.loads((tmp_path / "out" / "job.json").read_text())
    cut([*job, *new, "--out", str(tmp_path / "new")], monkeypatch)
    assert description == json.loads((tmp_path / "new" / "job.json").read_text())


@pytest.mark.parametrize("command", ["cut", "benchmark"])
def test_old_spellings_are_hidden(command):
    options = {option: p for p in commands()[command].params for option in p.opts}
    for old, _ in OLD_AND_NEW:
        assert options[old[0]].hidden
    assert not options["--boxes"].hidden


def test_a_warning_is_one_line_even_when_quiet(job, tmp_path):
    result = run(*job, "--flip", "--quiet", "--out", tmp_path / "out")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "rotomask: warning: --flip is deprecated; use --refine flip\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--detector", "none", "--boxes", "tracked"], "leave --detector none out"),
        (["--flip", "--refine", "flip"], "given twice"),
    ],
)
def test_both_spellings_of_one_option_are_refused(
    options, words, job, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["rotomask", *job, *options, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
