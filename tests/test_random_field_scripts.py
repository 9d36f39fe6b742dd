"""The commands of random fields: a search that goes on, its measurement, a policy from it."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from rotomask.data.synthetic import moving_shapes
from rotomask.masks import write_mask

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    for number, name in enumerate(("first", "second")):
        frames, labels = moving_shapes(50 + number, frames=7, size=(64, 80))
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


def test_the_search_of_random_fields_goes_on_and_a_policy_starts_from_it(davis, tmp_path):
    optuna = pytest.importorskip("optuna")
    options = ["--davis", davis, "--cache", tmp_path, "--held-out", "first"]
    first = _run("random_field_search.py", *options, "--trials", 2, "--windows", 1)
    assert first.count("| 2 |") == 2, "two trials of each solver"
    more = ["--trials", 3, "--windows", 1, "--measure", "held-out"]
    measured = _run("random_field_search.py", *options, *more)
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.load_study(study_name="graph-cut", storage=storage)
    assert len(study.trials) == 3, "one more, not three"
    rows = [line.split("|")[1:-1] for line in measured.splitlines() if line.startswith("|")][2:]
    assert [row[0].strip() for row in rows] == ["before", "graph-cut", "mean-field"]
    assert all(0 < float(cell) <= 1 for row in rows for cell in row[1:4])
    policy = _run("random_field_policy.py", *options, "--updates", 2)
    assert "held-out: learnt policy" in policy
