"""A lack of memory is told as such, and never as damage of a sound file."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from rotomask.errors import VideoError, WeightsError
from rotomask.masks import write_mask
from rotomask.memory import check_memory, is_out_of_memory, is_short
from rotomask.networks.checkpoints import load_state, save_weights
from tests.clips import write_clip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")

MESSAGES = (
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
    "unable to mmap 10485760 bytes from file <a.safetensors>: Cannot allocate memory (12)",
    "could not create a primitive",
    "can't start new thread",
)


@pytest.mark.parametrize("text", MESSAGES)
def test_what_libraries_say_is_understood(text):
    error = WeightsError("a.safetensors is damaged")
    error.__cause__ = RuntimeError(text)
    assert is_out_of_memory(error)


def test_a_thread_without_room_for_its_stack_lacks_memory():
    assert is_out_of_memory(OSError(errno.EAGAIN, "Resource temporarily unavailable"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file", "/data/out of memory/clip.mp4"),
        VideoError("/data/out of memory.mp4 is damaged"),
        RuntimeError("shapes differ"),
        None,
    ],
)
def test_other_errors_are_not(error):
    assert not is_out_of_memory(error)


def test_a_lack_of_memory_can_be_asked_for(tmp_path):
    assert not is_short()
    assert is_short(1 << 46)
    with pytest.raises(MemoryError, match="not enough memory to read a"):
        check_memory(Path("a"), 1 << 46)


def test_weights_that_do_not_fit_are_not_called_damaged(tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(path, {"weight": torch.zeros(1 << 24)}, {})
    spare = 8 << 20

    def read() -> str:
        try:
            load_state(path)
        except MemoryError as error:
            return str(error)
        return "read"

    assert _in_child(read, spare) == f"not enough memory to read {path}"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="damaged"):
        load_state(path)


def _in_child(work, spare: int) -> str:
    """What a function gives in a forked process that may take only so many bytes more."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + spare
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.slow
def test_a_command_under_any_limit_works_or_says_that_memory_is_short(tmp_path):
    """From 24 MiB, with which Python barely starts, in small steps up to what is enough."""
    write_clip(tmp_path / "clip.mp4", frames=4, size=(240, 320))
    labels = np.zeros((240, 320), np.int32)
    labels[60:150, 80:200] = 1

    write_mask(tmp_path / "mask.png", labels)
    whole = _cut_under(tmp_path, None)
    assert whole[0] == 0, whole[1]
    outcomes = {}
    for mib in (24, 32, 48, 100, 200, 400, *range(500, 2000, 75), *range(2000, 6001, 250)):
        status, errors, results = _cut_under(tmp_path, mib << 20)
        outcomes[mib] = status
        if status == 0:
            assert results == whole[2], f"another result with {mib} MiB"
            if list(outcomes.values())[-3:] == [0, 0, 0]:
                break
        else:
            assert (status, len(errors)) == (2, 1), f"{mib} MiB: {status} {errors}"
            assert "memory" in errors[0], f"{mib} MiB: {errors}"
            assert "damaged" not in errors[0], f"{mib} MiB: {errors}"
    assert set(outcomes.values()) == {0, 2}, outcomes


def _cut_under(folder: Path, limit: int | None) -> tuple[int, list[str], Mapping[str, bytes]]:
    """Status, lines of errors and results of a cut that may take so much address space."""
    out = folder / f"out-{limit}"
    words = ("cut", "clip.mp4", "--mask", "mask.png", "--out", out, "--quiet", "--size", "240")

    def set_limit() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    answer = subprocess.run(
        [sys.executable, "-m", "rotomask", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=set_limit,
    )
    results = {
        path.name: path.read_bytes()
        for path in out.rglob("*")
        if path.suffix in (".png", ".mp4") and ".rotomask" not in path.parts
    }
    return answer.returncode, answer.stderr.splitlines(), results
