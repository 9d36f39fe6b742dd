"""The commands in benchmarks/ that make tables of the documentation, on small data."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from rotomask.data.synthetic import moving_shapes
from rotomask.masks import write_mask
from rotomask.models.catalog import shipped_weights

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    for number, name in enumerate(("first", "second")):
        frames, labels = moving_shapes(50 + number, frames=4, size=(64, 80))
        (root / "JPEGImages" / "480p" / name).mkdir(parents=True)
        for t, (frame, mask) in enumerate(zip(frames, labels, strict=True)):
            picture = root / "JPEGImages" / "480p" / name / f"{t:05d}.png"
            cv2.imwrite(str(picture), frame[..., ::-1])
            write_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", mask.astype(int))
    return root


def _run(script: str, *arguments: object) -> str:
    command = [sys.executable, BENCHMARKS / script, *arguments]
    answer = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_table_of_refinements(davis, tmp_path):
    other = f"stm-lite:{shipped_weights('stm-lite')}"
    options = ["--davis", davis, "--ensemble-with", other, "--out", tmp_path]
    printed = _run("test_time_refinements.py", *options)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")][2:]
    figures = [[float(cell) for cell in row[-4:]] for row in rows]
    assert all(0.3 < value <= 1 for *scores, _ in figures for value in scores)
    times = [time for *_, time in figures]
    assert times[0] == 1
    assert all(time > 1 for row, time in zip(rows, times, strict=True) if "✓" in "".join(row))
    # A run that was stopped takes what is finished, and the same weights twice are no ensemble.
    assert _run("test_time_refinements.py", *options) == printed
    alone, together = figures[0][:3], figures[5][:3]
    assert alone == pytest.approx(together, abs=2e-3)


def test_the_spread_of_checkpoints(davis, tmp_path):
    shipped = shipped_weights("stm-lite")
    options = [shipped, shipped, "--davis", davis, "--sequences", "first"]
    lines = _run("checkpoint_spread.py", *options).splitlines()
    rows = {line[:32].strip(): [float(part) for part in line[32:].split()] for line in lines[2:]}
    assert rows["standard deviation"] == [0, 0, 0]
    assert rows["mean"] == rows["stm-lite.safetensors"]
    assert rows["their average"] == pytest.approx(rows["mean"], abs=5e-3)
