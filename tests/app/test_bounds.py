"""What the processes that decode cannot do."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="Windows has no such bounds")


def ran(program: str) -> "subprocess.CompletedProcess[str]":
    """A program in a process of its own, for bounds cannot be taken back."""
    head = "from rotomask.app.processes.bounds import *\n"
    return subprocess.run(
        [sys.executable, "-c", head + program], capture_output=True, text=True, check=False
    )


def test_a_process_without_network_reaches_not_even_this_computer() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        connect = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5).close()\n"
        assert ran(connect).returncode == 0
        left = ran("import os\nprint(leave_network(), os.getuid() == os.geteuid())\n")
        if left.stdout.split() == ["False", "True"]:
            pytest.skip("the system lets no process leave the network")
        assert left.stdout.split() == ["True", "True"], left.stderr
        refused = ran("leave_network()\n" + connect)
    assert refused.returncode == 1
    assert "OSError" in refused.stderr


def test_a_process_that_leaves_the_network_still_writes_files_of_the_user(
    tmp_path: Path,
) -> None:
    assert ran(f"leave_network()\nopen({str(tmp_path / 'a')!r}, 'w').close()\n").returncode == 0
    assert (tmp_path / "a").owner() == tmp_path.owner()


def test_an_endless_loop_is_ended_and_steps_in_time_are_not() -> None:
    steps = (
        "import time\nfor _ in range(5):\n    allow_cpu(1)\n    end = time.process_time() + 0.3\n"
    )
    busy = "    while time.process_time() < end: pass\n"
    assert ran(steps + busy).returncode == 0
    assert ran("allow_cpu(0)\nwhile True: pass\n").returncode == -signal.SIGXCPU


def test_low_priority_is_that_of_the_process_and_of_no_other_in_its_session() -> None:
    group = Path("/proc/self/autogroup")
    before = group.read_text() if group.exists() else ""
    told = ran("import os\nlower_priority(7)\nprint(os.nice(0))\n")
    assert int(told.stdout) >= 7
    assert (group.read_text() if group.exists() else "") == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has such a signal")
def test_a_stopped_process_ends_with_the_one_that_started_it() -> None:
    child = "from rotomask.app.processes.bounds import *; import time\n"
    child += "print(end_with_server(), flush=True); time.sleep(600)"
    parent = (
        "import os, signal, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE,"
        " start_new_session=True)\n"
        "assert child.stdout.readline() == b'True\\n'\n"
        "os.kill(child.pid, signal.SIGSTOP)\n"
        "os.waitid(os.P_PID, child.pid, os.WSTOPPED)\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    told = ran(parent)
    assert told.returncode == -signal.SIGKILL, told.stderr
    end = time.monotonic() + 60
    while Path(f"/proc/{int(told.stdout)}/cmdline").exists():
        if not Path(f"/proc/{int(told.stdout)}/cmdline").read_bytes():  # ended, but not reaped
            break
        assert time.monotonic() < end, "it is still there"
        time.sleep(0.05)
