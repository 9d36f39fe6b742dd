"""The public names of the package."""

import pydoc
import subprocess
import sys

import rotomask


def test_every_public_name_is_there():
    for name in rotomask.__all__:
        assert getattr(rotomask, name) is not None
    assert not hasattr(rotomask, "paint")


def test_importing_loads_nothing_heavy():
    code = "import sys, rotomask; print('torch' in sys.modules or 'numpy' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "False"


def test_dir_and_help_list_every_public_name():
    page = pydoc.plain(pydoc.render_doc(rotomask))
    for name in rotomask.__all__:
        assert name in dir(rotomask)
        assert name.startswith("_") or name in page
