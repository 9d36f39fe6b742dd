"""A short fuzzing campaign and a few kills; `make fuzz` and `make kill` run long ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.campaign import Verdict, table
from tests.fuzz.cases import KINDS
from tests.fuzz.mutations import damage_bytes, damage_json_file

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")

ROOT = Path(__file__).parents[2]


def _run(module: str, *arguments: str | int | Path) -> subprocess.CompletedProcess[str]:
    """A campaign in a process of its own, which forks and has no threads of pytest's."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{module}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True,
        text=True,
    )


def test_two_of_each_kind_of_input(tmp_path):
    log = tmp_path / "log"
    answer = _run("campaign", 2 * len(KINDS), "--log", log)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    verdicts = [json.loads(line) for line in log.read_text().splitlines()]
    assert [v["seed"] for v in verdicts] == list(range(2 * len(KINDS)))
    assert {v["kind"] for v in verdicts} == set(KINDS)
    assert {v["status"] for v in verdicts} == {0, 2}, "a campaign that is all refused tests nothing"


@pytest.mark.slow
def test_four_hundred_inputs():
    answer = _run("campaign", 400, "--seed", 20_000)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.slow
def test_forty_kills():
    answer = _run("kills", 40)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_damage_follows_from_the_seed():
    data = b'{"a": [1, 2, {"b": "c"}]}' * 3
    for seed in range(50):
        first, second = (damage_bytes(data, np.random.default_rng(seed)) for _ in range(2))
        assert first == second
        one = damage_json_file(b'{"a": [1, 2]}', np.random.default_rng(seed))
        assert one == damage_json_file(b'{"a": [1, 2]}', np.random.default_rng(seed))


def test_the_table_counts_what_is_wrong():
    good = Verdict(0, "video", 2, None, (), 0.5, 300)
    bad = Verdict(1, "video", None, "signal 11", (), 1.5, 400)
    assert "| video | 2 | 0 | 1 | 1 | 1.00 | 400 |" in table([good, bad])
