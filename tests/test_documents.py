"""Every `rotomask ...` in the documentation is a command that the command line takes."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask import catalog
from rotomask.cli import main
from rotomask.cli.options import read_formats
from rotomask.export import FORMATS
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_labels, write_mask
from rotomask.segmenters.refinements import parse_refinements
from rotomask.video import open_video
from rotomask.video.encodings import h264
from rotomask.video.writer import VideoWriter
from tests.cli.running import commands, parse

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
    ]
)


def whole_commands(text: str) -> Iterator[str]:
    """Commands of code blocks, fenced or indented, without prompt and with continued lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in text.splitlines():
        match = re.match(r"(?:    )?(?:\$ )?(rotomask .*)", line)
        if match is not None:
            yield match[1]


def mentioned_commands(text: str) -> Iterator[str]:
    """Commands in running text, which may leave required arguments out."""
    for code in re.findall(r"(?<!`)`(rotomask\s[^`]+)`", text):
        yield " ".join(code.split())


def check(command: str, *, whole: bool) -> None:
    words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
    if words[-1] == "--help" or words[0].startswith("-"):
        assert words[0] in {"--help", "--version", *commands()}
        return
    try:
        context = parse(words)
    except Exception as error:
        if not whole and type(error).__name__ == "MissingParameter":
            return
        raise AssertionError(f"{command}\n{error}") from error
    values = context.params
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    hidden = {o for p in commands()[words[0]].params for o in p.opts if p.hidden}
    assert not given & hidden, f"{command}\nuses an old spelling"
    if "refine" in values:
        parse_refinements(values["refine"] or [], values["boxes"])
    if words[0] in ("cut", "benchmark", "edges"):
        assert all(name in catalog.CATALOG for name in values["model"].split("+")), command
    if words[0] in ("cut", "export"):
        formats = values.get("formats") or values.get("output_format")
        assert set(read_formats(formats)) <= set(FORMATS), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_are_taken(page):
    text = page.read_text()
    for command in whole_commands(text):
        check(command, whole=True)
    for command in mentioned_commands(text):
        check(command, whole=False)


def test_the_check_sees_the_commands_and_what_is_wrong():
    guide = (ROOT / "docs" / "guide" / "index.md").read_text()
    assert len(list(whole_commands(guide))) > 15
    assert list(whole_commands("    rotomask cut a \\\n        --end 3   # short\n"))
    with pytest.raises(AssertionError, match="No such option"):
        check("rotomask cut a.mp4 --colour red", whole=False)
    with pytest.raises(AssertionError, match="old spelling"):
        check("rotomask cut a.mp4 --flip", whole=True)
    with pytest.raises(AssertionError, match="Missing"):
        check("rotomask evaluate davis2016", whole=True)


def test_the_readme_is_a_screen_and_a_half_and_begins_with_a_real_cut():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 100
    picture = ROOT / re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)[0]
    with Image.open(picture) as image:
        assert getattr(image, "n_frames", 1) > 10
    assert picture.stat().st_size < 500_000
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Install"
    install = text[text.index("## Install") :].split("$ ")[1].splitlines()[0]
    assert "whl/cpu" in install, "the first command brings PyTorch without CUDA"
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(1800)  # fifteen minutes on a busy machine
def test_the_commands_under_use_it_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "guide" / "index.md").read_text()
    text = text[text.index("## Use it") : text.index("From Python:")]
    half_demo(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in whole_commands(text):
        monkeypatch.setattr(sys, "argv", shlex.split(command, comments=True))
        with pytest.raises(SystemExit) as exit_:
            main()
        assert not exit_.value.code, f"{command}\n{capsys.readouterr().err}"
    for path in ("clip-cut/overlay.mp4", "two/masks/00059.png", "clip-edges", "cuts/dog/masks"):
        assert (tmp_path / path).exists()
    assert len(list((tmp_path / "part" / "masks").iterdir())) == 41


RUN_PAGES = (
    "quickstart",
    "guide/cut",
    "guide/correct",
    "guide/export",
    "guide/several-objects",
    "guide/look-alikes",
    "guide/sizes",
    "guide/fine-detail",
    "guide/editors",
)
"""Pages of the documentation whose commands are run, each in a folder of its own. Those of
guide/no-annotation take minutes; the guide's own page, above, has the same."""
QUICK = ["--size", "96", "--enlarge", "never"]
"""Added to every cut: the same steps with a coarse mask, in a tenth of the time."""


@pytest.fixture(scope="module")
def finished_cut(tmp_path_factory) -> Path:
    """A folder as it is before the pages that begin with a finished cut."""
    folder: Path = tmp_path_factory.mktemp("finished")
    shutil.copy(demo_folder() / "clip.mp4", folder / "clip.mp4")
    truth = demo_folder() / "truth"
    masks = {"first": 0, "a": 0, "b": 52, "later": 52, "middle": 40}
    for name, frame in masks.items():
        write_mask(folder / f"{name}.png", read_labels(truth / f"{frame:05d}.png"))
    write_mask(folder / "later.png", 2 * read_labels(truth / "00052.png"))
    video, mask, out = folder / "clip.mp4", folder / "first.png", folder / "clip-cut"
    rotomask.cut(video, mask, out, size=96, enlarge="never", formats=())
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RUN_PAGES)
def test_the_commands_of_a_page_run_one_after_the_other(
    name, finished_cut, tmp_path, monkeypatch, capsys
):
    shutil.copytree(finished_cut, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    ran = list(whole_commands((ROOT / "docs" / f"{name}.md").read_text()))
    assert ran
    for command in ran:
        words = shlex.split(command, comments=True)
        if words[1] == "demo":  # tests/jobs/test_demo.py
            continue
        if words[1:2] == ["cut"]:
            words += QUICK
            if "--out" not in words and "--continue" not in words:  # another cut than before
                shutil.rmtree("clip-cut", ignore_errors=True)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as exit_:
            main()
        assert not exit_.value.code, f"{command}\n{capsys.readouterr().err}"


def half_demo(folder: Path) -> None:
    """Write the shipped clip at half size, its frames and some of its masks."""
    source = demo_folder()
    images = [half(frame.image) for frame in open_video(source / "clip.mp4").frames()]
    (folder / "frames").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / "frames" / f"{index:05d}.png")
    height, width = images[0].shape[:2]
    with VideoWriter(folder / "clip.mp4", (height, width), 24, h264()) as writer:
        for image in images:
            writer.write(image)
    (folder / "clips").mkdir()  # for a batch
    with VideoWriter(folder / "clips" / "dog.mp4", (height, width), 24, h264()) as writer:
        for image in images[:5]:
            writer.write(image)
    truth = source / "truth"
    for name, path in (
        ("first.png", source / "first_mask.png"),
        ("clips/dog.png", source / "first_mask.png"),
        ("a.png", source / "first_mask.png"),
        ("b.png", truth / "00052.png"),
    ):
        write_mask(folder / name, half(read_labels(path)))


def half(image: np.ndarray) -> np.ndarray:
    """Every second row and column; an even width, as H.264 needs it."""
    return np.ascontiguousarray(image[::2, : image.shape[1] // 4 * 4 : 2])
