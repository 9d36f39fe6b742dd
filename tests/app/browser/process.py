"""A real server in a process of its own, and packs of masks as arrays."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
LINK = re.compile(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)")
START_S = 90


class Server:
    """`rotomask app` on a free port of this computer.

    Args:
        data: Its data folder.
        port: 0 for a free one.
    """

    def __init__(self, data: Path, port: int = 0) -> None:
        self.data = data
        command = [sys.executable, "-m", "rotomask", "app", "--no-open"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--data", str(data), "--keep-free", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.said: list[str] = []
        self._links: queue.Queue[tuple[str, str]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self.origin, self._link = self._links.get(timeout=START_S)
        except queue.Empty:
            self.kill()
            raise RuntimeError(f"the server did not start: {''.join(self.said)}") from None
        self.token = (data / "token").read_text(encoding="ascii")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if found := LINK.search(line):
                self._links.put((found[1], found[2]))

    @property
    def link(self) -> str:
        """Address that opens the page with a session."""
        return f"{self.origin}/#token={self.token}"

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        request = urllib.request.Request(
            self.origin + path, headers={"Authorization": f"Bearer {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return bytes(response.read())

    def json(self, path: str) -> Any:
        """An answer in JSON."""
        return json.loads(self.get(path))

    def send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """The answer in JSON to a change."""
        request = urllib.request.Request(
            self.origin + path,
            data=json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def masks(self, project: str) -> dict[int, Labels]:
        """Label masks of a project by frame."""
        count = self.json(f"/api/projects/{project}")["frame_count"]
        found: dict[int, Labels] = {}
        for first in range(0, count, 120):
            pack = self.get(
                f"/api/projects/{project}/masks?from={first}&to={min(count, first + 120) - 1}"
            )
            found.update(read_mask_pack(zlib.decompress(pack)))
        return found

    def kill(self) -> None:
        """End the server and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listener.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for_jobs(self, project: str, timeout_s: float) -> list[dict[str, Any]]:
        """The jobs of a project once none waits or runs."""
        end = time.monotonic() + timeout_s
        while True:
            jobs: list[dict[str, Any]] = self.json(f"/api/projects/{project}")["jobs"]
            if all(job["state"] in ("done", "failed", "cancelled") for job in jobs):
                return jobs
            if time.monotonic() > end:
                raise TimeoutError(f"jobs still run: {jobs}")
            time.sleep(0.3)


def read_mask_pack(content: bytes) -> dict[int, Labels]:
    """Masks of an inflated pack (docs/app-design.md), read in the plainest way."""
    masks: dict[int, Labels] = {}
    numbers = np.frombuffer(content, dtype=np.uint8)
    at = 0
    while at < len(content):
        frame = int.from_bytes(content[at : at + 4], "little")
        width = int.from_bytes(content[at + 4 : at + 6], "little")
        height = int.from_bytes(content[at + 6 : at + 8], "little")
        end = at + 12 + int.from_bytes(content[at + 8 : at + 12], "little")
        at += 12
        flat = np.zeros(width * height, dtype=np.uint8)
        while at < end:
            label = numbers[at]
            count = int.from_bytes(content[at + 1 : at + 5], "little")
            at += 5
            position = 0
            for run in range(count):
                gap, at = _leb128(content, at)
                if run % 2:
                    flat[position : position + gap] = label
                position += gap
        masks[frame] = flat.reshape(height, width)
    return masks


def _leb128(content: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (content[at] & 127) << shift
        shift += 7
        at += 1
        if content[at - 1] < 128:
            return value, at


@contextlib.contextmanager
def running(data: Path) -> Iterator[Server]:
    """A server for the time of a block."""
    server = Server(data)
    try:
        yield server
    finally:
        server.kill()
