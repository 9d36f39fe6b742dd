"""The start of the server: what it says, and addresses that cannot be used."""

import contextlib
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rotomask.app.app import App
from rotomask.app.database import Database
from rotomask.app.launch import claim_data, qr_code
from rotomask.app.settings import AppSettings
from rotomask.errors import OutputError


def test_a_qr_code_is_lines_of_blocks() -> None:
    lines = qr_code("http://192.168.1.20:8000/#token=" + "x" * 43).strip("\n").splitlines()
    assert len(lines) > 15
    assert len({len(line) for line in lines}) == 1


def test_a_folder_with_files_of_the_user_is_not_taken_for_data(tmp_path: Path) -> None:
    """The app deletes the files in projects/*/masks, projects/*/files and projects/*/work."""
    kept = [tmp_path / "projects/film" / name for name in ("masks/a.png", "work/b.mov")]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    with pytest.raises(OutputError, match=r"it holds projects, but no app\.sqlite"):
        claim_data(tmp_path)
    assert [path.read_text() for path in kept] == ["mine"] * 2


def test_what_is_not_the_apps_stays_in_its_folders(tmp_path: Path) -> None:
    (tmp_path / "data/lost+found").mkdir(parents=True)
    claim_data(tmp_path / "data")  # a new volume
    app = App(AppSettings(data=tmp_path / "data"))
    kept = [tmp_path / "data" / name for name in ("projects/film/masks/a.png", "uploads/b.mov")]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    app.uploads.recover()
    app.sweep()
    app.database.close()
    assert [path.read_text() for path in kept] == ["mine"] * 2
    claim_data(tmp_path / "data")


def test_what_is_no_database_of_the_app_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "app.sqlite").write_text("no database" * 100)
    with pytest.raises(OutputError, match=r"app\.sqlite cannot be used .* not a database"):
        Database(tmp_path / "app.sqlite")
    assert (tmp_path / "app.sqlite").read_text() == "no database" * 100
    (tmp_path / "app.sqlite").unlink()
    with contextlib.closing(sqlite3.connect(tmp_path / "app.sqlite")) as other:
        other.execute("CREATE TABLE mine (a TEXT)")
    with pytest.raises(OutputError, match="it is of version 0, not 1"):
        Database(tmp_path / "app.sqlite")


def test_a_port_in_use_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "rotomask", "app", "--no-open", "--data", str(tmp_path)]
        run = subprocess.run(
            [*command, "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "--port" in run.stderr
