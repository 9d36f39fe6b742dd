"""Test-time refinements by name: in the job, in the benchmark and on the command line."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import rotomask
from rotomask.catalog import shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError, OutputError, WeightsError
from rotomask.jobs.loading import load_model
from rotomask.masks import read_labels, write_mask
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.refinements import REFINEMENTS, Refinements, parse_refinements
from tests.cli.running import run

ALL = Refinements(
    flip=True, scales=(0.75, 1.0), ensemble_with=("stm-lite",), components=True, crf=True
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as DAVIS-2016 has it, of one generated sequence."""
    root = tmp_path_factory.mktemp("davis")
    frames, labels = moving_shapes(21, frames=5, size=(96, 128))
    (root / "JPEGImages" / "480p" / "shape").mkdir(parents=True)
    for t, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
        name = f"shape/{t:05d}"
        cv2.imwrite(str(root / "JPEGImages" / "480p" / f"{name}.png"), frame[..., ::-1])
        write_mask(root / "Annotations" / "480p" / f"{name}.png", mask.astype(int))
    return root


def _answer(segmenter: Segmenter) -> np.ndarray:
    frames, labels = moving_shapes(22, frames=3, size=(64, 80))
    segmenter.start(frames[0], labels[0].astype(int))
    segmenter.step(frames[1])
    return segmenter.step(frames[2])


@pytest.mark.parametrize(
    "refinements",
    [
        Refinements(flip=True),
        Refinements(scales=(0.75, 1.0)),
        Refinements(online_steps=3),
        Refinements(components=True),
        Refinements(crf=True),
    ],
    ids=str,
)
def test_each_refinement_does_something(refinements):
    plain = _answer(load_model("stm-lite", device="cpu", precision="float32"))
    refined = _answer(load_model("stm-lite", refinements, device="cpu", precision="float32"))
    assert np.abs(plain - refined).max() > 0.02
    # Refined, not broken: the shapes are still there.
    assert ((plain.argmax(0) > 0) == (refined.argmax(0) > 0)).mean() > 0.9


def test_online_learning_where_possible():
    chosen = Refinements(online_where_possible=3)
    assert str(chosen) == " + online 3 steps where possible"
    for model in ("stm-lite", "rgmp-lite"):
        able = load_model(model, chosen, device="cpu")
        assert repr(able) == repr(load_model(model, Refinements(online_steps=3), device="cpu"))
    for model, settings in (
        ("embedding", {}),
        ("oneshot", {}),
        ("stm-lite", {"size": None}),
        ("stm-lite", {"focus": "always"}),
    ):
        plain = load_model(model, device="cpu", **settings)
        assert repr(load_model(model, chosen, device="cpu", **settings)) == repr(plain)
    own = load_model("stm-lite", Refinements(online_where_possible=3, online_steps=5), device="cpu")
    assert "steps=5" in repr(own)
    with pytest.raises(OptionError, match="above 0, got -1 steps"):
        Refinements(online_where_possible=-1)


def test_online_learning_where_possible_leaves_other_backends_alone():
    pytest.importorskip("openvino")
    chosen = Refinements(online_where_possible=3)
    plain = load_model("stm-lite", device="cpu", backend="openvino")
    assert repr(load_model("stm-lite", chosen, device="cpu", backend="openvino")) == repr(plain)


def test_refinements_are_parsed_from_text():
    specs = ["flip", "scales=0.75,1", "ensemble=rgmp-lite", "ensemble=stm:x.pth", "online=40"]
    assert parse_refinements([*specs, "online=20s", "components", "crf"], "tracked") == Refinements(
        flip=True,
        scales=(0.75, 1.0),
        ensemble_with=("rgmp-lite", "stm:x.pth"),
        online_steps=40,
        online_seconds=20.0,
        boxes="tracked",
        components=True,
        crf=True,
    )
    assert parse_refinements([]) == Refinements()
    for refinement in REFINEMENTS.values():
        parse_refinements([refinement.example])


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["sharpen"], "unknown refinement 'sharpen'; known: flip, scales, ensemble"),
        (["flip=2"], "takes no value, got flip=2"),
        (["flip", "flip"], "flip is given twice"),
        (["scales"], "such as scales=0.75,1"),
        (["scales=1,half"], "numbers with commas"),
        (["scales=1,1"], "counts once"),
        (["scales=0,1"], "above 0"),
        (["scales=100"], "at most 4"),
        (["scales=nan"], "at most 4"),
        (["scales=1,inf"], "at most 4"),
        (["online=nans"], "above 0"),
        (["online=infs"], "above 0"),
        (["ensemble"], "ensemble takes a model"),
        (["online"], "online=40 or online=20s"),
        (["online=20m"], "steps or seconds"),
        (["online=0"], "1 step or more"),
        (["online=0s"], "above 0"),
        (["online=40", "online=50"], "given twice"),
    ],
)
def test_wrong_refinements_are_named(specs, message):
    with pytest.raises(OptionError, match=message):
        parse_refinements(specs)


def test_a_model_that_averages_over_scales_itself_is_told_them(tmp_path):
    torch.manual_seed(0)
    torch.save(RGMP(RGMPConfig()).state_dict(), tmp_path / "rgmp.pth")
    segmenter = load_model(
        "rgmp", Refinements(scales=(0.5, 1.0)), weights=tmp_path / "rgmp.pth", device="cpu"
    )
    assert segmenter.config.scales == (0.5, 1.0)  # type: ignore[attr-defined]


def test_an_ensemble_takes_other_weights(tmp_path):
    weights = shipped_weights("stm-lite")
    assert weights is not None
    other = {name: value * 1.02 for name, value in load_state(weights).items()}
    save_weights(tmp_path / "other.safetensors", other, read_metadata(weights))
    named = f"stm-lite:{tmp_path / 'other.safetensors'}"
    on_cpu = partial(load_model, "stm-lite", device="cpu", precision="float32")
    both = _answer(on_cpu(Refinements(ensemble_with=(named,))))
    alone = _answer(on_cpu())
    second = _answer(on_cpu(weights=tmp_path / "other.safetensors"))
    assert np.abs(both - (alone + second) / 2).max() < 1e-6
    assert np.abs(alone - second).max() > 1e-3
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        load_model("stm-lite", Refinements(ensemble_with=("stm-lite:none.safetensors",)))
    with pytest.raises(OptionError, match="unknown model 'yolo'"):
        load_model("stm-lite", Refinements(ensemble_with=("yolo",)))


def test_a_refined_job_goes_on_and_its_folder_is_its_own(clip, tmp_path):
    frames = clip / "JPEGImages" / "480p" / "shape"
    mask = clip / "Annotations" / "480p" / "shape" / "00000.png"
    out = tmp_path / "out"
    rotomask.cut(frames, mask, out, refinements=ALL, stop=3, formats=())
    with pytest.raises(OutputError, match=r"flip True there, unset here; .*crf True there"):
        rotomask.cut(frames, mask, out, formats=())
    result = rotomask.cut(frames, mask, out, refinements=ALL, formats=())
    assert result.frames_segmented == 2
    truth = read_labels(clip / "Annotations" / "480p" / "shape" / "00004.png") > 0
    found = read_labels(out / "masks" / "00004.png") > 0
    assert (truth & found).sum() / (truth | found).sum() > 0.6


@pytest.mark.slow
def test_on_the_command_line(clip, tmp_path):
    frames = clip / "JPEGImages" / "480p" / "shape"
    mask = clip / "Annotations" / "480p" / "shape" / "00000.png"
    options = ["--flip", "--scales", "0.75,1", "--crf", "--ensemble-with", "stm-lite"]
    options += ["--online-steps", "1"]
    answer = run(
        "cut", frames, "--mask", mask, "--out", tmp_path / "cut", "-f", "none", *options, "-q"
    )
    assert answer.returncode == 0, answer.stderr
    settings = json.loads((tmp_path / "cut" / "job.json").read_text())["settings"]
    assert settings["refinements"] == {
        "flip": True,
        "scales": [0.75, 1.0],
        "ensemble_with": ["stm-lite"],
        "crf": True,
        "online_steps": 1,
    }

    where = ["davis2016", "--root", clip, "--out", tmp_path / "run"]
    figures = tmp_path / "run.json"
    answer = run("benchmark", *where, "--json", figures, *options, "--components", "-q")
    assert answer.returncode == 0, answer.stderr
    assert "components + crf" in json.loads(figures.read_text())["run"]["model"]
    assert run("benchmark", *where).returncode == 2  # other settings

    for wrong, words in (
        (["--scales", "1,half"], "numbers"),
        (["--scales", "1,1"], "counts once"),
        (["--online-seconds", "0"], "above 0"),
    ):
        answer = run("cut", frames, "--mask", mask, "--out", tmp_path / "no", *wrong)
        assert answer.returncode == 2
        assert words in answer.stderr
        assert "Traceback" not in answer.stderr
