"""Blocks of docs/results.md, which commands replace."""

import re
import subprocess

from studies.results_page import measured_with, write_block


def test_a_block_is_replaced_where_it_stands(tmp_path):
    page = tmp_path / "results.md"
    for name, text in (("one", "1"), ("two", "2"), ("one", "3")):
        write_block(name, text, page)
    assert re.findall(r"^\d$", page.read_text(), re.M) == ["3", "2"]


def test_the_day_and_the_commit_are_told(tmp_path):
    assert re.fullmatch(r"Measured on \d{4}-\d\d-\d\d\.", measured_with(tmp_path))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert re.fullmatch(r"Measured on [\d-]{10}, commit [0-9a-f]{7,}\.", measured_with(tmp_path))
    (tmp_path / "file").write_text("")
    subprocess.run([*git, "add", "file"], check=True)
    assert "-dirty." in measured_with(tmp_path)
