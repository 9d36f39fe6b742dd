"""The commands in benchmarks/ that make tables of the documentation, on small data."""

from pathlib import Path

import cv2
import pytest

from rotomask.catalog import shipped_weights
from tests.scripts import run_script, write_video


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    for number, name in enumerate(("first", "second")):
        write_video(root, name, seed=50 + number, frames=4)
    return root


def test_the_table_of_refinements(davis, tmp_path):
    other = f"stm-lite:{shipped_weights('stm-lite')}"
    options = ["--davis", davis, "--ensemble-with", other, "--out", tmp_path]
    printed = run_script("studies.test_time_refinements", *options)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")][2:]
    figures = [[float(cell) for cell in row[-4:]] for row in rows]
    assert all(0.3 < value <= 1 for *scores, _ in figures for value in scores)
    times = [time for *_, time in figures]
    assert times[0] == 1
    assert all(time > 1 for row, time in zip(rows, times, strict=True) if "✓" in "".join(row))
    # A run that was stopped takes what is finished, and the same weights twice are no ensemble.
    assert run_script("studies.test_time_refinements", *options) == printed
    alone, together = figures[0][:3], figures[5][:3]
    assert alone == pytest.approx(together, abs=2e-3)


def test_the_spread_of_checkpoints(davis, tmp_path):
    shipped = shipped_weights("stm-lite")
    options = [shipped, shipped, "--davis", davis, "--sequences", "first"]
    lines = run_script("studies.checkpoint_spread", *options).splitlines()
    rows = {line[:32].strip(): [float(part) for part in line[32:].split()] for line in lines[2:]}
    assert rows["standard deviation"] == [0, 0, 0]
    assert rows["mean"] == rows["stm-lite.safetensors"]
    assert rows["their average"] == pytest.approx(rows["mean"], abs=5e-3)


def test_the_table_of_box_filters(davis, tmp_path):
    options = ["--davis", davis, "--models", "stm-lite", "--cache", tmp_path]
    printed = run_script("studies.box_filters", *options)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")]
    figures = {row[0].strip(): [float(cell) for cell in row[-2:]] for row in rows[2:10]}
    assert figures["appearance map"][0] > 0.5
    assert all(0 <= value <= 1 for both in figures.values() for value in both)
    perfect = figures["the last, true boxes (a perfect detector)"]
    assert perfect[0] > figures["appearance map"][0] - 0.1
    assert len(list((tmp_path / "stm-lite").glob("*.npz"))) == 2
    # The maps are kept: made of nothing else, the table is the same.
    assert (
        run_script("studies.box_filters", *options) == printed.partition("\n")[2].partition("\n")[2]
    )
    picture = tmp_path / "stages.jpg"
    where = ["--davis", davis, "--model", "stm-lite", "--cache", tmp_path]
    run_script(
        "studies.box_filter_stages", *where, "--frames", "first:2,second:1", "--out", picture
    )
    sheet = cv2.imread(str(picture))
    assert sheet is not None
    assert sheet.shape[1] > 1200


def test_the_figures_of_the_detector(davis):
    printed = run_script("studies.detector", "--davis", davis)
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")][2:]
    assert [row[0].strip() for row in rows] == ["first", "second", "all"]
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[1:])


def test_the_ablations_without_annotation(davis, tmp_path):
    options = ["--davis", davis, "--split", "val", "--threads", "1", "--out", tmp_path]
    printed = run_script("studies.unsupervised_ablations", *options)
    rows = {line[:26].strip(): line[26:].split() for line in printed.splitlines()}
    assert len(rows["made anew every k frames"]) == 6
    assert all(0 <= float(value) <= 1 for value in (*rows["J"], *rows["seed on the object"]))
    assert "J of backbone features" in printed
    assert float(printed.splitlines()[-1].split()[-1]) > 0.3, "with the first mask"
    assert cv2.imread(str(tmp_path / "drift.png")) is not None
    # Finished sequences are taken as they are.
    assert run_script("studies.unsupervised_ablations", *options) == printed
