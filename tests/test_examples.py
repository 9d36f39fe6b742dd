"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.py")))
def test_example_runs(name, tmp_path):
    command = [sys.executable, str(EXAMPLES / name), "--frames", "6"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()
    if name == "two_objects.py":
        overlaps = [float(line.split()[-1]) for line in answer.stdout.splitlines()]
        assert len(overlaps) >= 2
        assert min(overlaps) > 0.7
    if name == "cut_a_file.py":
        assert len(list((tmp_path / "example-out" / "masks").iterdir())) == 6
