"""The notebook of examples/ runs from its first cell to its last, and shows what it should."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")  # of the kernel's own packages
def test_the_notebook_runs_and_shows_strips(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) == 10
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    strips = [out["data"]["text/html"] for out in outputs if "text/html" in out.get("data", {})]
    assert [page.count("<img") for page in strips] == [6, 6]
    score = float(notebook.cells[-1].outputs[-1]["data"]["text/plain"])
    assert score > 0.85
    assert (tmp_path / "dog-cut" / "cutout.webm").stat().st_size > 1000
