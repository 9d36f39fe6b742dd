"""Help texts: instant, and their lists are those of the tables."""

import subprocess
import sys

import pytest

from rotomask import catalog
from rotomask.cli.names import DESCRIPTIONS, NAMES
from rotomask.conversion.formats import FORMATS as CONVERSIONS
from rotomask.evaluation import BENCHMARKS
from rotomask.export import FORMATS
from rotomask.jobs.quality import QUALITIES
from rotomask.refine.field_windows import TUNED
from rotomask.segmenters.follow import DIRECTIONS
from rotomask.segmenters.refinements import REFINEMENTS
from tests.cli.running import commands, run

TABLES = {
    "benchmarks": tuple(BENCHMARKS),
    "conversions": tuple(CONVERSIONS),
    "detectors": catalog.names("detector"),
    "discoverers": catalog.names("discoverer"),
    "edge_models": catalog.names("edges"),
    "estimators": catalog.names("flow"),
    "fields": tuple(TUNED),
    "formats": tuple(FORMATS),
    "markers": catalog.names("interactive"),
    "models": catalog.names("segmenter"),
    "qualities": tuple(f"{name} ({quality.help})" for name, quality in QUALITIES.items()),
}
WRITES_A_FOLDER = {
    "batch", "benchmark", "convert", "cut", "demo", "detect", "edges", "flow", "propose", "refine",
    "train",
}  # fmt: skip
LISTS = {
    "cut": ("models", "discoverers", "formats", "markers", "qualities"),
    "mark": ("markers",),
    "detect": ("detectors",),
    "flow": ("estimators",),
    "edges": ("edge_models", "estimators"),
    "export": ("formats",),
    "refine": ("fields",),
    "benchmark": ("benchmarks", "models", "discoverers"),
    "evaluate": ("benchmarks",),
}


def test_no_help_loads_a_heavy_package():
    code = """
import sys
from rotomask.cli import app
for name in ["", *sys.argv[1:]]:
    app([name, "--help"][not name:], standalone_mode=False)
print("heavy:", sorted({"torch", "av", "cv2", "scipy", "rich.console"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, *commands()], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("name", TABLES)
def test_a_list_has_the_names_of_its_table(name):
    assert NAMES[name]() == TABLES[name]
    assert set(NAMES) == set(TABLES)


def test_described_names_are_those_of_their_tables():
    assert DESCRIPTIONS["Directions"]() == DIRECTIONS
    assert list(DESCRIPTIONS["Refinements"]()) == [r.example for r in REFINEMENTS.values()]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", LISTS)
def test_help_lists_every_name(command, columns, monkeypatch, capsys):
    from rotomask.cli import app

    monkeypatch.setenv("COLUMNS", str(columns))
    app([command, "--help"], standalone_mode=False)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= columns
    words = " ".join(text.split())
    for table in LISTS[command]:
        assert ", ".join(TABLES[table]) in words


def test_every_command_that_writes_a_folder_can_overwrite():
    options = {name: {o for p in c.params for o in p.opts} for name, c in commands().items()}
    overwriting = {name for name in options if "--overwrite" in options[name]}
    # export adds files to a folder, stabilise writes a file or a folder, export-model has --onnx
    assert overwriting == WRITES_A_FOLDER | {"export", "stabilise", "export-model"}
    writers = {name for name in options if "--out" in options[name]}
    assert writers - WRITES_A_FOLDER == {"average", "mark", "stabilise"}  # these write a file


def test_without_arguments_help_is_printed_and_nothing_is_done():
    result = run()
    assert result.returncode == 2
    assert "Usage: rotomask" in result.stdout
    assert "cut" in result.stdout
