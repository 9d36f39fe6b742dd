"""The commands of random fields: a search that resumes, its measurement, a policy from it."""

from pathlib import Path

import pytest

from tests.scripts import read_table, run_script, write_davis

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_davis(tmp_path_factory.mktemp("davis"), ("first", "second"), frames=7)


def test_the_search_of_random_fields_resumes_and_a_policy_starts_from_it(davis, tmp_path):
    optuna = pytest.importorskip("optuna")
    options = ["--davis", davis, "--cache", tmp_path, "--held-out", "first"]
    first = run_script("studies.random_field_search", *options, "--trials", 2, "--windows", 1)
    assert first.count("| 2 |") == 2, "two trials of each solver"
    more = ["--trials", 3, "--windows", 1, "--measure", "held-out"]
    measured = run_script("studies.random_field_search", *options, *more)
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.load_study(study_name="graph-cut", storage=storage)
    assert len(study.trials) == 3, "one more, not three"
    rows = read_table(measured)
    assert [row[0] for row in rows] == ["before", "graph-cut", "mean-field"]
    assert all(0 < float(cell) <= 1 for row in rows for cell in row[1:4])
    policy = run_script("studies.random_field_policy", *options, "--updates", 2)
    assert "held-out: learnt policy" in policy
