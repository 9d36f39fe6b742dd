"""The scripts of studies/ that make tables of the documentation, on small data."""

import json
from pathlib import Path

import cv2
import pytest

from rotomask.catalog import shipped_weights
from rotomask.training.video_split import HELD_OUT
from tests.scripts import read_table, run_script, write_davis

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_davis(tmp_path_factory.mktemp("davis"), ("first", "second"), frames=4)


def test_the_table_of_refinements(davis, tmp_path):
    other = f"stm-lite:{shipped_weights('stm-lite')}"
    options = ["--davis", davis, "--ensemble-with", other, "--out", tmp_path]
    printed = run_script("studies.test_time_refinements", *options)
    rows = read_table(printed)
    figures = [[float(cell) for cell in row[-4:]] for row in rows]
    assert all(0.3 < value <= 1 for *scores, _ in figures for value in scores)
    times = [time for *_, time in figures]
    assert times[0] == 1
    assert all(time > 1 for row, time in zip(rows, times, strict=True) if "✓" in "".join(row))
    # A second run reads the finished sequences; an ensemble of equal weights equals one of them.
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
    figures = {row[0]: [float(cell) for cell in row[-2:]] for row in read_table(printed)}
    assert len(figures) == 8
    assert figures["appearance map"][0] > 0.5
    perfect = figures["the last, true boxes (a perfect detector)"]
    assert perfect[0] > figures["appearance map"][0] - 0.1
    assert len(list((tmp_path / "stm-lite").glob("*.npz"))) == 2
    # A second run reads the stored maps: its table is the same.
    assert read_table(run_script("studies.box_filters", *options)) == read_table(printed)
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
    rows = read_table(printed)
    assert [row[0] for row in rows] == ["first", "second", "all"]
    recalls = {row[0]: float(row[4]) for row in rows}  # of ten boxes
    assert recalls["all"] == pytest.approx((recalls["first"] + recalls["second"]) / 2, abs=2e-3)


def test_the_ablations_without_annotation(davis, tmp_path):
    options = ["--davis", davis, "--split", "val", "--threads", "1", "--out", tmp_path]
    printed = run_script("studies.unsupervised_ablations", *options)
    rows = {line[:26].strip(): line[26:].split() for line in printed.splitlines()}
    assert len(rows["recomputed every k frames"]) == 6
    assert len(rows["seed on the object"]) == 3
    assert "J of backbone features" in printed
    assert float(printed.splitlines()[-1].split()[-1]) > 0.3, "with the first mask"
    assert cv2.imread(str(tmp_path / "drift.png")) is not None
    # A second run reads the finished sequences.
    assert run_script("studies.unsupervised_ablations", *options) == printed


def test_learning_from_the_reference_frame(davis):
    options = ["--davis", davis, "--sequences", "first", "--tried", "2:1e-4"]
    lines = run_script("studies.online_learning", *options).splitlines()
    rows = {line[:20].strip(): [float(value) for value in line[20:].split()] for line in lines[2:]}
    assert list(rows) == ["without", "2 steps at 1e-4"]
    assert rows["without"][0] == pytest.approx(sum(rows["without"][1:3]) / 2, abs=1e-4)
    assert rows["2 steps at 1e-4"][0] != rows["without"][0]
    assert rows["2 steps at 1e-4"][3] > rows["without"][3], "seconds to learn"


def test_a_grid_of_crf_parameters(davis):
    options = ["--davis", davis, "--sequences", "first", "--every", "2", "--best", "100"]
    lines = run_script("studies.dense_crf_search", *options).splitlines()
    assert lines[0] == "1 frames of first; 54 combinations"
    both = [sum(map(float, line[44:].split()[:2])) for line in lines[3:-1]]
    assert len(both) == 54
    assert both == sorted(both, reverse=True)


def test_the_settings_of_the_segmenter(davis):
    options = [
        "--davis",
        davis,
        "--sequences",
        "second",
        "--only",
        "first frame only",
        "--timed",
        "1",
        "--threads",
        "1",
    ]
    (row,) = run_script("studies.stm_lite_reading", *options).splitlines()[1:]
    j, f, _ = map(float, row[26:].split())
    assert j > 0.5
    assert f > 0.5


def test_the_tables_of_rgmp(davis):
    options = ["ablations", "--davis", davis, "--sequences", "first"]
    paper, ours = read_table(run_script("studies.rgmp_tables", *options))
    assert paper[1] == "0.815 / 0.820"
    full, without_reference = ours[1], ours[2]
    assert full != without_reference.partition(" (")[0]


def test_the_figures_of_optical_flow(davis):
    rows = read_table(run_script("studies.optical_flow", "--davis", davis, "--every", "1"))
    overlap = {row[0]: float(row[1]) for row in rows}
    assert overlap["dis"] > overlap["no motion"]


def test_a_picture_of_every_stage(davis, tmp_path):
    picture = tmp_path / "stages.jpg"
    video = davis / "JPEGImages" / "480p" / "first"
    run_script("studies.unsupervised_stages", video, "--frame", "1", "--out", picture)
    assert cv2.imread(str(picture)) is not None


def test_the_table_of_one_shot_systems(tmp_path):
    figures = {"J&F": 0.75, "J_mean": 0.7, "F_mean": 0.8}
    for name, shift in (("a", 0.0), ("b", 0.1)):
        shifted = {key: value + shift for key, value in figures.items()}
        result = {
            "figures": shifted,
            "run": {"seconds_per_frame": 1.5},
            "sequences": [{"name": "dog", "figures": shifted}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    pairs = [f"{name}={tmp_path / name}.json" for name in ("a", "b")]
    printed = run_script("studies.one_shot_tables", *pairs)
    assert read_table(printed) == [
        ["a", "0.750", "0.700", "0.800", "1.50"],
        ["b", "0.850", "0.800", "0.900", "1.50"],
    ]
    assert "| b | 0.80 / 0.90 |" in printed


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_davis(tmp_path_factory.mktemp("held-out"), ("hike", "swing"), frames=6)


def test_the_ways_of_merging_are_compared(held_out):
    printed = run_script("studies.merging", "--davis", held_out, "--frames", 4)
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in read_table(printed)}
    assert set(rows) == {"soft", "winner-take-all", "naive"}
    assert all(0 <= value <= 1 for row in rows.values() for value in row)


def test_ways_to_run_stm_lite_are_compared_on_what_training_keeps_out(held_out):
    ways = ["--way", "size=64", "--way", "size=64 boxes=tracked refine=flip"]
    rows = read_table(run_script("studies.stm_lite_held_out", "--davis", held_out, *ways))
    assert [row[:2] for row in rows] == [["stm-lite.safetensors", way] for way in ways[1::2]]
    scores = [[float(cell) for cell in row[2:11]] for row in rows]
    assert all(0 <= value <= 1 for row in scores for value in row)
    assert scores[0] != scores[1]


def test_several_objects_and_look_alikes_are_measured_and_shown(held_out, tmp_path):
    where = ["--davis", held_out, "--size", 64]
    rows = read_table(run_script("studies.look_alikes", *where, "--davis2017", held_out))
    assert [row[0] for row in rows] == ["two alike", "three different"]
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[2:])
    sheet = tmp_path / "sheet.jpg"
    run_script("studies.look_alikes", *where, "--picture", sheet)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 4 * 200


def test_objects_found_with_and_without_evidence_are_counted(held_out):
    options = ["--davis", held_out, "--frames", 3, "--objects", 2]
    rows = read_table(run_script("studies.several_found", *options))
    assert [row[0] for row in rows] == ["none", "of each object's own"]
    assert all("/" in cell for row in rows for cell in row[1:])


def test_the_settings_of_marking(tmp_path):
    davis = write_davis(tmp_path, HELD_OUT, frames=4)
    rows = read_table(run_script("studies.marker_settings", "found", "--davis", davis))
    assert rows[0][0] == "found"
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[1:])


def test_the_pictures_of_effects(davis, tmp_path):
    where = ["--davis", davis, "--cuts", tmp_path, "--sequences", "first,second", "--last", "3"]
    rows = read_table(run_script("studies.object_effects", "jitter", *where))
    assert [row[0] for row in rows][-2:] == ["first", "second"]
    assert all(float(cell) >= 0 for row in rows[-2:] for cell in row[1:])
    for what in ("erased", "camera"):
        out = tmp_path / f"{what}.jpg"
        run_script("studies.object_effects", what, *where, "--out", out)
        assert cv2.imread(str(out)) is not None
