"""The commands that measure edges and distance maps, on small data."""

import json
from pathlib import Path

import pytest

from tests.scripts import run_script, write_video
from tests.studies.test_hed import needs_package

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two held-out videos, and two others."""
    root = tmp_path_factory.mktemp("edges")
    for number, name in enumerate(("train/hike", "train/swing", "test/first", "test/second")):
        part, video = name.split("/")
        write_video(root / part, video, seed=50 + number, frames=4)
    return root / "train", root / "test"


def test_the_table_of_edges(data, tmp_path):
    needs_package()
    train, test = data
    options = ["--train", train, "--davis", test, "--every", 2, "--json", tmp_path / "edges.json"]
    printed = run_script("studies.edges", "measure", *options)
    figures = json.loads((tmp_path / "edges.json").read_text())["rows"]
    assert len(figures) == 10
    for name, row in figures.items():
        assert f"| {name} | {row['held-out F']:.3f} |" in printed
        assert row["F"] <= row["best F"]
    assert figures["motion, masked by foreground"] != figures["motion, not masked"]
    assert "2 frames of 2 videos" in printed


def test_the_table_of_distance_maps(data, tmp_path):
    train, test = data
    options = ["--train", train, "--davis", test, "--scenes", 3, "--json", tmp_path / "d.json"]
    run_script("studies.distance_transform", "measure", *options)
    rows = json.loads((tmp_path / "d.json").read_text())["rows"]
    # By construction the objects touch, and the real frames hold one.
    assert rows["connected parts of the true foreground"]["separated"] == 0
    assert rows["connected parts of the true foreground"]["whole"] == 1
    assert rows["true distance and foreground, watershed"]["separated"] > 0.5
