"""The public names of the package."""

import pydoc
import subprocess
import sys

import rotomask
from rotomask.cli.extras import EXTRAS

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
