"""Every case that version 0.1 failed (`points`), run once in forked processes."""

import json
import os

import pytest

from tests.fuzz.points import POINTS
from tests.fuzz.test_fuzz import _run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork"),
]


@pytest.fixture(scope="module")
def faults() -> dict[str, str | None]:
    answer = _run("points", "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, str | None] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", POINTS)
def test_point(faults, name):
    assert faults[name] is None
