"""The study of marking, on small data."""

from pathlib import Path

import cv2
import pytest

from tests.scripts import read_table, run_script, write_davis

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_davis(tmp_path_factory.mktemp("davis"), ("first", "second"), frames=7)


def test_the_table_of_clicks(davis, tmp_path):
    options = ["measure", "--davis", davis, "--models", "grabcut", "--out", tmp_path]
    printed = run_script("studies.marking", *options)
    (row,) = read_table(printed)
    assert row[:3] == ["DAVIS-2016 val", "grabcut", "2"]
    assert 1 <= float(row[3]) <= float(row[4]) <= 20
    # A second run reads the stored curves: its table is the same.
    assert run_script("studies.marking", *options) == printed


def test_the_times_of_hard_cases(davis):
    rows = read_table(run_script("studies.marking", "times", "--davis", davis))
    assert len(rows) == 3 * 5
    assert all(float(row[4]) > 0 for row in rows)


def test_the_picture(davis, tmp_path):
    sheet = tmp_path / "sheet.jpg"
    run_script("studies.marking", "picture", "--davis", davis, "--scribbles", "--out", sheet)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (240, 854, 3)


def test_the_rounds_of_corrections(davis, tmp_path):
    chart = tmp_path / "chart.png"
    options = ["--davis", davis, "--rounds", "2", "--size", "64", "--out", tmp_path]
    options += ["--picture", chart]
    rows = read_table(run_script("studies.interactive_video", *options))
    assert [row[0] for row in rows[:2]] == ["first", "second"]
    first, second = (float(cell) for cell in rows[2][1:])
    assert 0 < first <= 1
    assert second >= first - 0.05
    assert cv2.imread(str(chart)) is not None


def test_a_thorough_user_brushes_and_the_segmenter_learns(davis, tmp_path):
    options = ["--davis", davis, "--rounds", "2", "--size", "64", "--out", tmp_path, "--thorough"]
    rows = read_table(run_script("studies.interactive_video", *options))
    assert float(rows[2][2]) >= float(rows[2][1]) - 0.05
    assert all(1 <= float(cell) <= 20 for cell in rows[3][1:])


def test_true_masks_bound_what_rounds_can_reach(davis, tmp_path):
    options = ["--davis", davis, "--rounds", "2", "--size", "64", "--out", tmp_path]
    rows = read_table(run_script("studies.interactive_video", *options, "--marker", "true-mask"))
    assert float(rows[2][2]) >= float(rows[2][1]) - 0.05
    assert all(float(cell) <= 1 for cell in rows[3][1:]), "one prompt a round is enough"
