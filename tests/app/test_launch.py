"""The start of the server: what it says, and addresses that cannot be used."""

import socket
import subprocess
import sys
from pathlib import Path

from rotomask.app.launch import qr_code


def test_a_qr_code_is_lines_of_blocks() -> None:
    lines = qr_code("http://192.168.1.20:8000/#token=" + "x" * 43).strip("\n").splitlines()
    assert len(lines) > 15
    assert len({len(line) for line in lines}) == 1


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
