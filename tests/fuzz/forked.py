"""Work in a process forked from one that has everything imported, under limits.

A command costs 0.1 to 0.3 s this way, where a process of its own needs 3 s to import PyTorch.
"""

import contextlib
import gc
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import torch

MEMORY_BYTES = 4 << 30
"""Address space that a command may take beyond that of the process it is forked from."""

STDOUT, STDERR = ".stdout", ".stderr"

FAILED_CHECK = 97
"""Exit status of a command that did its work, but not right."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a process."""

    status: int | None
    """None if it was killed."""
    signal: int
    """That ended it; 0 if none did."""
    output: str
    errors: str
    seconds: float
    peak_mib: int
    timed_out: bool


def fork(
    work: Callable[[], int],
    folder: Path,
    *,
    seconds: float = 120.0,
    kill_after: float | None = None,
) -> Outcome:
    """Run work in a forked process.

    Args:
        work: Returns the exit status; an error that it raises is printed, with status 1.
        folder: Where its output is stored while it runs; its working folder.
        seconds: Time after which it is killed.
        kill_after: Kill it after so many seconds with SIGKILL, whatever it does.
    """
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        _become(work, folder)
    limit = seconds if kill_after is None else kill_after
    status, usage, is_late = _wait(child, began + limit)
    was_signalled = os.WIFSIGNALED(status)
    return Outcome(
        status=None if was_signalled else os.WEXITSTATUS(status),
        signal=os.WTERMSIG(status) if was_signalled else 0,
        output=_read(folder / STDOUT),
        errors=_read(folder / STDERR),
        seconds=time.perf_counter() - began,
        peak_mib=usage.ru_maxrss // 1024,
        timed_out=is_late and kill_after is None,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # killed before it was opened
        return ""


def _wait(child: int, deadline: float) -> tuple[int, resource.struct_rusage, bool]:
    """Status, usage, and whether the process was killed at the deadline."""
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage, False
        left = deadline - time.perf_counter()
        if left <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)  # its loader processes
            return status, usage, True
        time.sleep(min(0.004, left))


def _become(work: Callable[[], int], folder: Path) -> None:
    """Do the work in place of this process; does not return."""
    status = 1
    try:
        os.setsid()
        for descriptor, name in ((1, STDOUT), (2, STDERR)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os.chdir(folder)
        space = _address_space() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run_command(arguments: Sequence[str]) -> int:
    """Status of the command line in this process."""
    from rotomask.cli import main

    sys.argv = ["rotomask", *arguments]
    try:
        main()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


def _address_space() -> int:
    """Bytes of address space that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def warm_up(commands: Sequence[Sequence[str]]) -> None:
    """Import what commands import, and keep their networks, by running them here once.

    Raises:
        RuntimeError: If a command does not end with 0.
    """
    import rotomask.catalog as catalog

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    # Loading weights takes longer than a tiny clip: every network is loaded once and shared, as
    # forked processes have memory of their own.
    catalog.load_network = cache(catalog.load_network)
    for arguments in commands:
        if status := run_command(arguments):
            raise RuntimeError(f"status {status}: rotomask {' '.join(arguments)}")
    # What is there now stays: a collection in a child would write to, and so copy, all its pages.
    gc.collect()
    gc.freeze()
