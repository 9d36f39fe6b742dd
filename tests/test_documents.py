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
from rotomask.cli.values import read_formats
from rotomask.export import FORMATS
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_labels, write_mask
from rotomask.segmenters.refinements import parse_refinements
from rotomask.video import open_video
from rotomask.video.encodings import h264
from rotomask.video.writer import VideoWriter
from tests.cli.running import commands, parse
from tests.clips import write_clip
from tests.scripts import write_davis

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
    "README",
    "docs/index",
    "docs/quickstart",
    "docs/guide/cut",
    "docs/guide/correct",
    "docs/guide/editors",
    "docs/guide/effects",
    "docs/guide/evaluation",
    "docs/guide/export",
    "docs/guide/fine-detail",
    "docs/guide/labelling",
    "docs/guide/look-alikes",
    "docs/guide/many-videos",
    "docs/guide/mark",
    "docs/guide/several-objects",
    "docs/guide/sizes",
    "docs/gallery",
    "docs/models/detector-lite",
    "docs/models/rgmp-lite",
    "docs/models/stm-lite",
    "docs/papers/boxes",
    "docs/papers/edges",
    "docs/papers/index",
    "docs/papers/optical-flow",
    "docs/papers/random-fields",
    "docs/papers/rgmp",
)
"""Pages whose commands are run, each in a folder of its own; docs/guide/index has a test of its own
above."""
NOT_RUN = {
    r" train ": "hours of training; tests/jobs/test_train.py runs small recipes",
    r"s3://": "tests/jobs/batch/test_storage.py has a server of its own",
    r" app\b": "tests/app starts it",
    r" completion ": "tests/cli/test_completion.py",
    r"--device cuda": "needs a GPU",
    r"\.pth|FILE\.onnx": "needs files of others",
    r"oneshot|online=": "learns for a minute; tests/segmenters/test_fine_tuned.py",
    r"--backend openvino": "tests/networks compares the back ends",
    r"--weights runs/|average runs/": "needs a run",
    r"IN OUT": "names stand for arguments",
}
"""Commands that are only parsed, by a pattern of theirs, and why."""
PARSED_PAGES = {
    "docs/guide/no-annotation": "minutes; docs/guide/index has the same",
    "docs/papers/unsupervised": "minutes; tests/unsupervised runs them on small clips",
    "docs/results": "whole data sets; the models' pages have the same",
}
QUICK = {
    "cut": ["--size", "96", "--enlarge", "never"],
    "benchmark": ["--size", "64"],
    "batch": ["--size", "64"],
    "detect": ["--end", "3"],
    "edges": ["--end", "3"],
    "effect": ["--end", "8"],
    "flow": ["--end", "3"],
    "refine": ["--size", "48"],
    "stabilise": ["--end", "8"],
}
"""Added to commands: the same steps in a tenth of the time."""
PLACES = {"VIDEO": "clip.mp4"}
"""Words of the pages that stand for a file -> the file."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_run_or_is_known_not_to_be(page):
    name = page.relative_to(ROOT).with_suffix("").as_posix()
    left = [c for c in whole_commands(page.read_text()) if not is_left_out(c)]
    known = {*RUN_PAGES, *PARSED_PAGES, "docs/guide/index"}
    assert name in known or not left, f"{name} is in none of the lists: {left}"


def is_left_out(command: str) -> bool:
    return any(re.search(pattern, command) for pattern in NOT_RUN)


@pytest.fixture(scope="module")
def finished_cut(tmp_path_factory) -> Path:
    """A folder with what the pages take to be there: a clip, masks, a finished cut, data sets."""
    folder: Path = tmp_path_factory.mktemp("finished")
    shutil.copy(demo_folder() / "clip.mp4", folder / "clip.mp4")
    truth = demo_folder() / "truth"
    masks = {"first": 0, "a": 0, "b": 52, "later": 52, "middle": 40, "m40": 40}
    for name, frame in masks.items():
        write_mask(folder / f"{name}.png", read_labels(truth / f"{frame:05d}.png"))
    write_mask(folder / "later.png", 2 * read_labels(truth / "00052.png"))
    video, mask, out = folder / "clip.mp4", folder / "first.png", folder / "clip-cut"
    rotomask.cut(video, mask, out, size=96, enlarge="never", formats=())
    Image.new("RGB", (64, 48)).save(folder / "beach.jpg")
    write_data_sets(folder)
    shutil.copytree(out, folder / "0a2f")
    rotomask.convert(folder / "0a2f", folder / "vis", "youtube-vis")
    shutil.copy(folder / "vis" / "instances.json", folder / "instances.json")
    rotomask.convert(out, folder / "yolo-export", "yolo")
    shutil.copytree(out, folder / "clip-out")
    return folder


def write_data_sets(folder: Path) -> None:
    """Data sets in the layout of DAVIS, masks of one, and clips for a batch with their list."""
    write_davis(folder / "DAVIS", ["dog"], frames=4)
    write_davis(folder / "DAVIS-TRAIN", ["dog-agility", "hike"], frames=4)
    shutil.copytree(folder / "DAVIS" / "Annotations" / "480p", folder / "my-masks")
    (folder / "clips").mkdir()
    write_clip(folder / "clips" / "dog.mp4", frames=4)
    mask = np.zeros((48, 64), np.int32)
    mask[:12, :16] = 1
    write_mask(folder / "clips" / "dog.png", mask)
    (folder / "list.csv").write_text("video,mask\nclips/dog.mp4,clips/dog.png\n")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RUN_PAGES)
def test_the_commands_of_a_page_run_one_after_the_other(
    name, finished_cut, tmp_path, monkeypatch, capsys
):
    shutil.copytree(finished_cut, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    ran = [c for c in whole_commands((ROOT / f"{name}.md").read_text()) if not is_left_out(c)]
    assert ran
    for command in ran:
        words = [PLACES.get(word, word) for word in shlex.split(command, comments=True)]
        if words[1] == "demo" or "--help" in words:  # tests/jobs/test_demo.py, tests/cli
            continue
        if words[1] in QUICK and not (words[1] == "effect" and "--still" in words):
            words += QUICK[words[1]]
        if words[1] == "cut" and "--out" not in words and "--continue" not in words:
            shutil.rmtree("clip-cut", ignore_errors=True)  # another cut than before
        elif words[1] in ("flow", "edges", "benchmark", "batch"):
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
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


def test_every_table_of_the_results_says_when_it_was_measured():
    """So that figures of one model from two days do not seem to contradict each other."""
    text = (ROOT / "docs" / "results.md").read_text()
    blocks = re.findall(r"<!-- (\S+): begin -->(.*?)<!-- \1: end -->", text, re.DOTALL)
    assert len(blocks) > 10
    undated = [name for name, block in blocks if not re.search(r"^Measured on \d{4}-", block, re.M)]
    assert not undated
