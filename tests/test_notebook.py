"""The notebooks of examples/ run from their first to their last cell, and show what they should."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import rotomask
from rotomask.masks import write_mask
from tests.clips import write_folder
from tests.scripts import write_davis

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the kernel's own packages
]


def run_notebook(name: str, folder: Path):
    """A notebook after all of its cells have run in a folder, and the pages that they showed."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    return notebook, run_cells(notebook, folder)


def run_cells(notebook, folder: Path) -> list[str]:
    """The pages that a notebook's cells show, run in a folder."""
    client = pytest.importorskip("nbclient")
    resources = {"metadata": {"path": str(folder)}}
    client.NotebookClient(notebook, timeout=600, resources=resources).execute()
    return [page for cell in notebook.cells for page in pages_of(cell)]


def pages_of(cell) -> list[str]:
    """What a cell shows as HTML."""
    outputs = cell.get("outputs", ())
    return [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]


def value(cell) -> str:
    """What the last line of a cell is."""
    return str(cell.outputs[-1]["data"]["text/plain"])


def test_the_first_notebook_shows_a_strip_bars_and_a_player(tmp_path):
    notebook, pages = run_notebook("notebook.ipynb", tmp_path)
    assert len(notebook.cells) == 10
    assert pages[0].count("<img") == 6
    assert any("<progress" in page and "20/20" in page for page in pages)
    players = [page for page in pages if "<video" in page]
    assert len(players) == 1
    assert "data:video/mp4;base64," in players[0]
    assert float(value(notebook.cells[-1])) > 0.85
    assert (tmp_path / "dog-cut" / "cutout.webm").stat().st_size > 1000


def test_the_notebook_of_researchers_trains_measures_and_compares(tmp_path):
    notebook, _ = run_notebook("research.ipynb", tmp_path)
    assert (tmp_path / "run" / "weights.safetensors").stat().st_size > 1_000_000
    (training,) = (cell for cell in notebook.cells if "rotomask.train(" in cell.source)
    assert any("4/4" in page and "loss" in page for page in pages_of(training))
    scores = [cell for cell in notebook.cells if "rotomask.benchmark(" in cell.source]
    assert all(float(value(cell)) > 0.8 for cell in scores)
    assert "J&F" in notebook.cells[-1].outputs[-1]["text"]


JOBS = {
    "cut": "rotomask.cut('clip', 'first.png', 'clip-cut', size=64, formats=())",
    "correct": "rotomask.correct('clip', 'clip-cut', [Click(22, 6)], at=2, size=64)",
    "export_cut": "rotomask.export_cut('clip', 'clip-cut', formats='rgba')",
    "effect": "rotomask.effect('outline', 'clip', 'clip-cut', 'outlined.mp4')",
    "stabilise": "rotomask.stabilise('clip', 'clip-cut', 'steady.mp4')",
    "convert": "rotomask.convert('clip-cut', 'converted', 'coco')",
    "refine_cut": "rotomask.refine_cut('clip', 'clip-cut', 'refined', size=48)",
    "propose": "rotomask.propose('clip', 'proposed', model='flow-saliency')",
    "detect": "rotomask.detect('clip', 'boxes')",
    "write_flow": "rotomask.write_flow('clip', 'flow')",
    "write_edges": "rotomask.write_edges('clip', 'edges', size=48)",
    "batch": "rotomask.batch([{'video': 'clip', 'mask': 'first.png'}], 'many', workers=1)",
    "benchmark": "rotomask.benchmark('davis2016', 'DAVIS', 'run', size=64, sequences=['a'])",
    "evaluate": "rotomask.evaluate('davis2016', 'DAVIS', 'run', sequences=['a'])",
    "demo": "rotomask.demo('shown')",
}
"""A call of every function that reports progress, in this order."""


def test_every_job_shows_bars(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    functions = {name: getattr(rotomask, name) for name in rotomask.__all__}
    reports = {
        name
        for name, function in functions.items()
        if inspect.isfunction(function) and "on_progress" in inspect.signature(function).parameters
    }
    assert set(JOBS) == reports
    write_folder(tmp_path / "clip", [f"{index:05d}.png" for index in range(5)])
    first = np.zeros((48, 64), np.int32)
    first[:12, :16] = 1  # the yellow block
    write_mask(tmp_path / "first.png", first)
    write_davis(tmp_path / "DAVIS", ["a"], frames=4)
    new = nbformat.v4
    begin = new.new_code_cell("import rotomask\nfrom rotomask.prompts import Click")
    calls = [new.new_code_cell(call) for call in JOBS.values()]
    run_cells(new.new_notebook(cells=[begin, *calls]), tmp_path)
    without = [cell.source for cell in calls if not any("<progress" in p for p in pages_of(cell))]
    assert not without
