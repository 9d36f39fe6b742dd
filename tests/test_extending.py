"""The programs of docs/extending.md run as they stand, and what they add works."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.catalog import CATALOG
from rotomask.cli.names import DESCRIPTIONS
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.evaluation import BENCHMARKS, open_benchmark
from rotomask.jobs.fingerprints import changed_refinements
from rotomask.masks import write_mask
from rotomask.segmenters.refinements import REFINEMENTS

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def _tables():
    """Remove what a program adds to the tables of the package."""
    yield
    CATALOG.pop("mean-colour", None)
    BENCHMARKS.pop("tiny", None)
    REFINEMENTS.pop("smooth", None)


@pytest.fixture(scope="module")
def clip():
    """A disk that moves over another colour: frames T×H×W×3, labels T×H×W."""
    frames = np.full((5, 48, 64, 3), (30, 60, 120), np.uint8)
    labels = np.zeros((5, 48, 64), np.int32)
    for t, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
        cv2.circle(mask, (20 + 4 * t, 24), 10, 1, -1)
        frame[mask == 1] = (220, 160, 40)
    return frames, labels


def run(number):
    program = PROGRAMS[number]
    assert len(program.splitlines()) < 60
    names: dict[str, Any] = {}
    exec(compile(program, f"{PAGE.name}, program {number}", "exec"), names)
    return names


def test_the_segmenter_cuts_a_video(clip, tmp_path):
    segmenter = run(0)["segmenter"]
    frames, labels = clip
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{t:05d}.png"), frame[..., ::-1])
    rotomask.cut(folder, labels[0], tmp_path / "out", segmenter=segmenter, formats=())
    for t, truth in enumerate(labels):
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{t:05d}.png"))
        np.testing.assert_array_equal(mask, truth)
    corrected = np.zeros_like(labels[0])
    corrected[:6, :6] = 4
    probabilities = segmenter.add(frames[0], corrected)
    assert segmenter.object_ids == (1, 4)
    assert (segmenter.labels(probabilities)[:6, :6] == 4).all()
    assert vars(rotomask.load_model("mean-colour"))["config"].softness == 20


def test_the_refinement_smooths(clip):
    names = run(1)
    frames, labels = clip
    refined = names["refined"]
    refined.start(frames[0], labels[0])
    probabilities = refined.step(frames[1])
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    plain = rotomask.load_model("stm-lite", size=240)
    plain.start(frames[0], labels[0])
    sharp = plain.step(frames[1])
    np.testing.assert_allclose(probabilities, names["smooth"](sharp, frames[1]), atol=1e-5)
    assert np.abs(np.diff(probabilities[1])).max() < np.abs(np.diff(sharp[1])).max()


def test_the_entry_is_the_only_place_of_a_refinement():
    run(1)
    refinements = rotomask.parse_refinements(["smooth", "crf"])
    assert str(refinements) == " + crf + smooth"
    assert changed_refinements(refinements) == {"crf": True, "further": ("smooth",)}
    assert DESCRIPTIONS["Refinements"]()["smooth"] == "smooth the outlines"
    for wrong, message in (
        (["smooth", "smooth"], "smooth is given twice"),
        (["smooth=2"], "smooth takes no value, got smooth=2"),
        (["blur"], "unknown refinement 'blur'; known: .*smooth"),
    ):
        with pytest.raises(OptionError, match=message):
            rotomask.parse_refinements(wrong)
    with pytest.raises(OptionError, match="unknown refinement 'blur'"):
        rotomask.Refinements(further=("blur",))


def test_the_benchmark_is_run_and_scored(tmp_path):
    run(0)
    run(2)
    root = tmp_path / "tiny"
    for seed, name in enumerate(("one", "two")):
        frames, labels = moving_shapes(seed, frames=4, size=(48, 64))
        (root / name / "frames").mkdir(parents=True)
        for t, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
            cv2.imwrite(str(root / name / "frames" / f"{t:05d}.png"), frame[..., ::-1])
            write_mask(root / name / "masks" / f"{t:05d}.png", mask.astype(np.int32))
    assert [s.name for s in open_benchmark("tiny", root)] == ["one", "two"]
    segmenter = rotomask.load_model("mean-colour")
    result = rotomask.benchmark("tiny", root, tmp_path / "out", segmenter=segmenter)
    assert [len(o.frames) for s in result.sequences for o in s.objects] == [3, 3]
    assert 0.2 < result.figures["J_mean"] < 1
