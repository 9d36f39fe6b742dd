"""oneshot-boxes, and the boxes of a detector as a refinement of any model, by name."""

import json
from typing import Any

import cv2
import numpy as np
import pytest

from rotomask.catalog import shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError, WeightsError
from rotomask.jobs.loading import load_model
from rotomask.masks import write_mask
from rotomask.refine.box_filters import FOLLOWING
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.fine_tuned import FineTunedSegmenter
from rotomask.segmenters.refinements import Refinements
from tests.cli.running import run

CPU: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def test_it_is_oneshot_and_a_detector():
    segmenter = load_model("oneshot-boxes", iterations=0, **CPU)
    assert isinstance(segmenter, BoxFiltered)
    assert isinstance(segmenter.segmenter, FineTunedSegmenter)
    assert "DetectorLite" in repr(segmenter)
    assert shipped_weights("oneshot-boxes") == shipped_weights("oneshot")


def test_the_detector_is_a_setting_of_it_and_a_refinement_of_others():
    chosen = Refinements(boxes="none.onnx", online_steps=1)
    for model in ("oneshot-boxes", "stm-lite"):
        with pytest.raises(WeightsError, match=r"no detector at none\.onnx"):
            load_model(model, chosen, **CPU)
    with pytest.raises(OptionError, match="unknown detector"):
        load_model("oneshot-boxes", boxes="yolo", **CPU)
    filtered = load_model("stm-lite", Refinements(boxes="detector-lite"), **CPU)
    assert isinstance(filtered, BoxFiltered)
    assert filtered.config == FOLLOWING, "the thresholds of models that follow"
    own = load_model("oneshot-boxes", Refinements(boxes="detector-lite"), **CPU)
    assert isinstance(own, BoxFiltered)
    assert isinstance(own.segmenter, FineTunedSegmenter)


def test_without_a_detector_boxes_are_tracked():
    filtered = load_model("stm-lite", Refinements(boxes="tracked"), **CPU)
    assert isinstance(filtered, BoxFiltered)
    frames, labels = moving_shapes(5, frames=4, size=(64, 96))
    filtered.start(frames[0], labels[0].astype(int))
    found = [filtered.labels(filtered.step(frame)) for frame in frames[1:]]
    assert len(filtered.detections) == 0
    for mask, truth in zip(found, labels[1:], strict=True):
        assert ((mask > 0) & (truth > 0)).sum() > 0.7 * ((mask > 0) | (truth > 0)).sum()


def test_learning_is_reported():
    frames, labels = moving_shapes(5, frames=2, size=(64, 96))
    segmenter = load_model("oneshot-boxes", iterations=2, views=2, **CPU)
    told: list[float] = []
    segmenter.report_learning(told.append)
    segmenter.start(frames[0], labels[0].astype(int))
    assert told[-1] == 1


def test_on_the_command_line(tmp_path):
    frames, labels = moving_shapes(9, frames=3, size=(96, 128))
    (tmp_path / "video").mkdir()
    for t, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "video" / f"{t}.png"), frame[..., ::-1])
    write_mask(tmp_path / "first.png", labels[0].astype(int))
    out = tmp_path / "cut"
    where = [tmp_path / "video", "--mask", tmp_path / "first.png", "--out", out, "-f", "none"]
    learned = ["--model", "oneshot-boxes", "--online-steps", "6"]
    answer = run("cut", *where, *learned, "--detector", "detector-lite", "-q")
    assert answer.returncode == 0, answer.stderr
    settings = json.loads((out / "job.json").read_text())["settings"]
    assert settings["model"] == "oneshot-boxes"
    assert settings["refinements"] == {"boxes": "detector-lite", "online_steps": 6}
    found = np.asarray(cv2.imread(str(out / "masks" / "2.png"), cv2.IMREAD_GRAYSCALE))
    assert found.shape == (96, 128)

    answer = run("detect", tmp_path / "video", "--out", tmp_path / "boxes", "--score", "0.1")
    assert answer.returncode == 0, answer.stderr
    assert "boxes in 3 frames" in answer.stdout
    assert len(json.loads((tmp_path / "boxes" / "boxes.json").read_text())["images"]) == 3
    answer = run("cut", *where, "--overwrite", "--detector", "yolo")
    assert answer.returncode == 2
    assert "unknown detector" in answer.stderr
