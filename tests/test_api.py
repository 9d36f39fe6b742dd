"""The public names of the package."""

import pydoc
import subprocess
import sys

import pytest
from typer.main import get_command

import rotomask
from rotomask.cli import app
from rotomask.cli.extras import EXTRAS
from rotomask.errors import OptionError

WITHOUT_EXTRAS = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
import rotomask
for name in rotomask.__all__:
    getattr(rotomask, name)
try:
    rotomask.train("stm-lite", {{}}, "run")
except (rotomask.RotomaskError, ModuleNotFoundError) as error:
    print(error)
"""


def test_every_public_name_is_there():
    for name in rotomask.__all__:
        assert getattr(rotomask, name) is not None
    assert not hasattr(rotomask, "paint")


OTHER_NAMES = {
    "average": "average_weights",
    "edges": "write_edges",
    "export": "export_cut",
    "export-model": "export_model",
    "flow": "write_flow",
    "refine": "refine_cut",
}
NO_FUNCTIONS = {"app", "completion", "models"}
"""A server, a script for the shell, and a list that `rotomask.catalog.CATALOG` is."""


def test_every_command_is_a_function():
    commands = {*get_command(app).commands} - NO_FUNCTIONS  # type: ignore[attr-defined]
    assert commands - {OTHER_NAMES.get(name, name) for name in commands} == set(OTHER_NAMES)
    assert {OTHER_NAMES.get(name, name) for name in commands} <= set(rotomask.__all__)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("average_weights", ([], "mean.safetensors")),
        ("compare", ("a.json", "b.json")),
        ("cut", ("clip.mp4", "first.png", "out")),
        ("export_cut", ("clip.mp4", "out")),
        ("export_model", ("stm-lite", "out")),
        ("open_effect", ("outline", "clip.mp4", "out")),
        ("review", ("clip.mp4", "out")),
        ("train", ("stm-lite", {}, "out")),
    ],
)
def test_an_unknown_keyword_lists_the_known_ones(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=r"has no setting 'colour'; it has .*, "):
        getattr(rotomask, name)(*arguments, colour=1)
    assert not list(tmp_path.iterdir())


def test_every_public_name_is_there_without_the_extras(tmp_path):
    command = [sys.executable, "-c", WITHOUT_EXTRAS]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert not list(tmp_path.iterdir())


def test_importing_loads_nothing_heavy():
    code = "import sys, rotomask; print('torch' in sys.modules or 'numpy' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "False"


def test_dir_and_help_list_every_public_name():
    page = pydoc.plain(pydoc.render_doc(rotomask))
    for name in rotomask.__all__:
        assert name in dir(rotomask)
        assert name.startswith("_") or name in page
