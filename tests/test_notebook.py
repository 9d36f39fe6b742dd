"""The notebooks of examples/ run from their first to their last cell, and show what they should."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the kernel's own packages
]


def run_notebook(name: str, folder: Path):
    """A notebook after all of its cells have run in a folder, and the pages that they showed."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    resources = {"metadata": {"path": str(folder)}}
    client.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    pages = [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]
    return notebook, pages


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
    notebook, pages = run_notebook("research.ipynb", tmp_path)
    assert (tmp_path / "run" / "weights.safetensors").stat().st_size > 1_000_000
    assert any("<progress" in page for page in pages)
    scores = [cell for cell in notebook.cells if "rotomask.benchmark(" in cell.source]
    assert all(float(value(cell)) > 0.8 for cell in scores)
    assert "J&F" in notebook.cells[-1].outputs[-1]["text"]
