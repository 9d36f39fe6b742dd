"""A real server on a free port, with real processes, and a small client for it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 120.0
"""Longest wait for anything; a busy machine takes its time."""


class Server:
    """`rotomask app` in a process of its own."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.port = 0
        self.link = ""
        self.arguments = arguments
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "Server":
        command = [sys.executable, "-m", "rotomask", "app", "--no-open", "--data", str(self.data)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *self.arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Open "):
                self.link = line.split()[1]
                self.port = int(self.link.split(":")[2].split("/")[0])
                break
        wait_for(lambda: self.answers(), "the server")
        return self

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "/api/status")[0] == 200
        return False

    @property
    def token(self) -> str:
        return (self.data / "token").read_text()

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of an answer; no header is added but Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer to a script."""
        sent = {"Authorization": f"Bearer {self.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content: bytes | None = None
        if isinstance(body, bytes):
            content = body
            sent.setdefault("Content-Type", "application/octet-stream")
        elif body is not None:
            content = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        status, _, answer = self.raw(method, path, content, sent)
        return status, json.loads(answer) if answer[:1] in (b"{", b"[") else {}

    def get(self, path: str) -> dict[str, Any]:
        status, answer = self.ask("GET", path)
        assert status == 200, (path, status, answer)
        return answer

    def bytes_of(self, path: str) -> bytes:
        status, _, body = self.raw("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        assert status == 200, (path, status, body[:200])
        return body

    def post(self, path: str, body: Any, expected: int | None = None) -> dict[str, Any]:
        status, answer = self.ask("POST", path, body)
        assert status == expected or (expected is None and status < 300), (path, status, answer)
        return answer

    def upload(self, content: bytes, name: str = "clip.mp4") -> dict[str, Any]:
        """A project of a file, sent in one part."""
        upload = self.post("/api/uploads", {"name": name, "size": len(content)})
        status, _ = self.ask("PATCH", f"/api/uploads/{upload['id']}", content, Upload_Offset="0")
        assert status == 204
        return self.post(f"/api/uploads/{upload['id']}/finish", None)

    def imported(self, project: str) -> dict[str, Any]:
        """The project once its import has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.get(f"/api/projects/{project}")
            return None if found["state"] == "importing" else found

        found: dict[str, Any] = wait_for(ended, "the import")
        return found

    def job(self, number: str) -> dict[str, Any]:
        return next(j for j in self.get("/api/jobs")["jobs"] if j["id"] == number)

    def ended(self, number: str) -> dict[str, Any]:
        """A job once it has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.job(number)
            return found if found["state"] in ("done", "failed", "cancelled") else None

        found: dict[str, Any] = wait_for(ended, "the job")
        return found

    def run(self, project: str, **job: Any) -> dict[str, Any]:
        """A job of a project, run to its end."""
        return self.ended(self.post(f"/api/projects/{project}/jobs", job)["id"])

    def mark(self, project: str, frame: int, label: int, *marks: Any) -> dict[str, Any]:
        rev = self.get(f"/api/projects/{project}")["rev"]
        body = {"frame": frame, "object": label, "rev": rev, "marks": list(marks)}
        return self.post(f"/api/projects/{project}/marks", body)

    def kill(self) -> None:
        """End the server as a crash of the machine would; its children end by themselves."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
            self._reap()

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def serving(data: Path, *arguments: str) -> Iterator[Server]:
    server = Server(data, *arguments).start()
    try:
        yield server
    finally:
        server.stop()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What a condition gives once it gives something true."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come in {SECONDS:.0f} s")
