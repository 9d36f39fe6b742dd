"""The manual page has every command and option, and formats without a warning."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.running import commands
from tests.scripts import run_script
from tools.man_page import escaped, man_page


def test_every_command_and_option_is_there():
    page = man_page().replace("\\-", "-")
    for name, command in commands().items():
        assert f'.SS "rotomask {name}"' in page
        for option in (
            o for p in command.params if not getattr(p, "hidden", False) for o in p.opts
        ):
            if option.startswith("--") and name != "effect":
                assert option in page, f"{name} {option}"
    assert '.SS "rotomask effect erase"' in page
    assert "{formats}" not in page


def test_lines_that_look_like_requests_are_text():
    assert escaped(".mp4 or -x\n'a") == "\\&.mp4 or \\-x\n\\&'a"


def test_it_formats_without_a_warning(tmp_path):
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    run_script("tools.man_page", "--out", tmp_path / "rotomask.1")
    command = ["groff", "-man", "-ww", "-Tutf8", "-z", str(Path(tmp_path, "rotomask.1"))]
    formatted = subprocess.run(command, capture_output=True, text=True)
    assert (formatted.returncode, formatted.stderr) == (0, "")
