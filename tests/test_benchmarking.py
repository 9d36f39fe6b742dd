"""A model over a benchmark in its layout on disk, through the command line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rotomask.masks import read_labels, write_mask
from tests.test_cli import run


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short sequences of a textured disk on textured ground, as DAVIS-2016 has them."""
    root = tmp_path_factory.mktemp("davis")
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (96, 128, 3), np.uint8), (5, 5), 0)
    for name, step in (("left", -3), ("right", 3)):
        images = root / "JPEGImages" / "480p" / name
        images.mkdir(parents=True)
        for t in range(6):
            disk = np.zeros((96, 128), np.uint8)
            cv2.circle(disk, (64 + step * t, 48), 20, 1, -1)
            image = np.where(disk[..., None] == 1, np.array([40, 40, 210], np.uint8), ground)
            cv2.imwrite(str(images / f"{t:05d}.jpg"), image)
            write_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", disk.astype(int))
    return root


def test_benchmark_scores_every_sequence_and_says_what_it_cost(davis, tmp_path):
    out, file = tmp_path / "run", tmp_path / "run.json"
    answer = run("benchmark", "davis2016", "--root", davis, "--out", out, "--json", file)
    assert answer.returncode == 0, answer.stderr
    result = json.loads(file.read_text())
    assert {s["name"] for s in result["sequences"]} == {"left", "right"}
    assert result["figures"]["J_mean"] > 0.7
    assert result["run"]["frames"] == 10
    assert result["run"]["seconds_per_frame"] > 0
    assert result["run"]["peak_memory_mib"] > 100
    assert "torch" in result["run"]["versions"]
    assert read_labels(out / "left" / "00003.png").any()
    assert "s a frame" in answer.stdout

    # Finished sequences are not segmented again, and other settings are not mixed in.
    before = (out / "left" / "00003.png").stat().st_mtime_ns
    again = run("benchmark", "davis2016", "--root", davis, "--out", out, "--json", file, "-q")
    assert again.returncode == 0
    assert (out / "left" / "00003.png").stat().st_mtime_ns == before
    assert json.loads(file.read_text())["figures"] == result["figures"]
    other = run("benchmark", "davis2016", "--root", davis, "--out", out, "--size", "64")
    assert other.returncode == 2
    assert "other settings" in other.stderr

    # The masks are what `evaluate` reads, and it finds the same figures.
    score = tmp_path / "score.json"
    evaluated = run("evaluate", "davis2016", "--root", davis, "--results", out, "--json", score)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(score.read_text())["figures"] == result["figures"]


def test_only_named_sequences(davis, tmp_path):
    file = tmp_path / "run.json"
    options = ["--root", davis, "--out", tmp_path / "run", "--json", file, "-q"]
    assert run("benchmark", "davis2016", *options, "--sequences", "left").returncode == 0
    assert [s["name"] for s in json.loads(file.read_text())["sequences"]] == ["left"]
    unknown = run("benchmark", "davis2016", *options, "--sequences", "up")
    assert unknown.returncode == 2
    assert "no sequence up" in unknown.stderr


def test_a_missing_data_set_is_named(tmp_path):
    answer = run("benchmark", "davis2016", "--root", tmp_path / "no", "--out", tmp_path / "run")
    assert answer.returncode == 2
    assert str(tmp_path / "no") in answer.stderr
    assert "Traceback" not in answer.stderr
