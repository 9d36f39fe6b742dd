"""Kill the app's server and processes at random moments; nothing may be lost, doubled or changed.

    python -m benchmarks.app_kills --kills 20

A clip is uploaded in small parts, imported, marked in two frames with a cut after each, and
exported, in a server that is killed (SIGKILL) again and again: the server, the worker, the
marker, or all. Each phase gets as many kills, at random moments of the time that it took
undisturbed; `--least` and `--most` kill after so many seconds instead, whatever is done then. The
client goes on as a page does. At the end every project must have one import, two cuts and one
export, its marks once, and byte for byte the masks and cut-outs of an undisturbed run.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import signal
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from rotomask.video import VideoWriter, h264, open_video
from tests.app.serving import Server

DEMO = Path(str(resources.files("rotomask") / "assets" / "demo" / "clip.mp4"))
FRAMES = 30
PART_BYTES, PART_SECONDS = 16 << 10, 0.15
"""A slow line, so that uploads are interrupted, too."""
TARGETS = ("server", "server", "worker", "marker", "all")
PHASES = ("upload", "import", "cut", "correction", "export")
JOBS = ["cut", "cut", "export", "import"]
T = TypeVar("T")


@dataclass
class Killer:
    """Kills processes of a server at random moments, and starts the server again."""

    server: Server
    seconds: tuple[float, float] | None
    """Between kills; None: at moments of each phase in turn."""
    seed: int
    lengths: dict[str, float] = field(default_factory=dict)
    """Seconds that each phase took undisturbed."""
    kills: list[str] = field(default_factory=list)
    phase: str = "upload"
    most: int = 0
    restarted: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Kill until there were enough."""
        chance = random.Random(self.seed)
        while len(self.kills) < self.most and self._comes(chance):
            target = chance.choice(TARGETS)
            self.kills.append(f"{target} during {self.phase}")
            print(f"kill {len(self.kills)}: {self.kills[-1]}", flush=True)
            self.kill(target)

    def _comes(self, chance: random.Random) -> bool:
        """Wait for the moment of the next kill; False if there is none any more."""
        if self.seconds is not None:
            return not self._stop.wait(chance.uniform(*self.seconds))
        wanted = PHASES[len(self.kills) % len(PHASES)]
        while self.phase != wanted:
            if self._stop.wait(0.01):
                return False
        return not self._stop.wait(chance.uniform(0, self.lengths[wanted]))

    def kill(self, target: str) -> None:
        """Kill a process, or all of them."""
        process = self.server.process
        assert process is not None
        children = children_of(process.pid)
        for pid, name in children.items():
            if target == "all" or name == target:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if target in ("server", "all"):
            self.server.kill()
            self.server.start()

    def stop(self) -> None:
        """Kill no more."""
        self._stop.set()


def children_of(pid: int) -> dict[int, str]:
    """Ids of the processes of a server, with what they are."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if parent == pid and command[2] == b"rotomask.app.processes":
                found[int(folder.name)] = command[3].decode()
    return found


@dataclass
class Client:
    """What a page does: it repeats what was not answered."""

    server: Server
    said: Callable[[str], None]

    def until(self, action: Callable[[], T | None]) -> T:
        """What an action gives, tried until the server answers."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            with contextlib.suppress(OSError, ValueError):
                if (result := action()) is not None:
                    return result
            time.sleep(0.1)
        raise TimeoutError("no answer in ten minutes")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """An answer below 500; the server may be killed and started meanwhile."""

        def once() -> dict[str, Any] | None:
            status, answer = self.server.ask(method, path, body, **headers)
            return None if status >= 500 or status == 401 else {**answer, "status": status}

        return self.until(once)

    def way(self, content: bytes) -> dict[str, Any]:
        """A project's whole way; gives what must be the same in every run."""
        self.said("upload")
        upload = self.ask("POST", "/api/uploads", {"name": "dog.mp4", "size": len(content)})["id"]
        self.send(upload, content)
        project = self.ask("POST", f"/api/uploads/{upload}/finish")["id"]
        path = f"/api/projects/{project}"
        self.said("import")
        self.until(lambda: self.ask("GET", path)["state"] == "ready" or None)
        self.object(path)
        box = {"kind": "box", "x": 150, "y": 75, "width": 130, "height": 140}
        erase = {"kind": "brush", "points": [[190, 100], [235, 130]], "width": 20}
        self.mark(path, 8, box)
        self.said("cut")
        self.job(path, {"kind": "cut", "quality": "fast"}, "first")
        self.mark(path, 2, {**erase, "positive": False})
        self.said("correction")
        self.job(path, {"kind": "cut", "quality": "fast"}, "second")
        self.said("export")
        body = {"kind": "export", "formats": ["masks", "rgba", "overlay"], "zip": True}
        self.job(path, body, "export")
        return self.result(path)

    def send(self, upload: str, content: bytes) -> None:
        """Send the bytes in parts, from where the server is."""
        path, offset = f"/api/uploads/{upload}", 0
        while offset < len(content):
            part = content[offset : offset + PART_BYTES]
            try:
                status, _ = self.server.ask("PATCH", path, part, Upload_Offset=str(offset))
                if status == 204:
                    offset += len(part)
                    time.sleep(PART_SECONDS)
                    continue
            except OSError:
                pass
            time.sleep(0.1)
            offset = self.until(lambda: self.offset(path))

    def offset(self, path: str) -> int | None:
        """How many bytes the server has."""
        headers = {"Authorization": f"Bearer {self.server.token}"}
        status, found, _ = self.server.raw("HEAD", path, headers=headers)
        return int(found["upload-offset"]) if status < 300 else None

    def object(self, path: str) -> None:
        """Add the object once."""

        def once() -> bool | None:
            if not self.ask("GET", path)["objects"]:
                self.server.ask("POST", f"{path}/objects", {"name": "dog"})
            return bool(self.ask("GET", path)["objects"]) or None

        self.until(once)

    def mark(self, path: str, frame: int, mark: dict[str, Any]) -> None:
        """Mark a frame once: after a break the project says whether it was stored."""

        def once() -> bool | None:
            project = self.ask("GET", path)
            if any(m["frame"] == frame for m in project["marks"]):
                return True
            body = {"frame": frame, "object": 1, "rev": project["rev"], "marks": [mark]}
            status, _ = self.server.ask("POST", f"{path}/marks", body)
            return True if status == 200 else None

        self.until(once)

    def job(self, path: str, body: dict[str, Any], key: str) -> None:
        """Queue a job once and wait for its end."""

        def ended() -> dict[str, Any] | None:
            jobs = self.ask("GET", path)["jobs"]
            found: dict[str, Any] = next(j for j in jobs if j["id"] == number)
            return found if found["state"] in ("done", "failed", "cancelled") else None

        number = self.ask("POST", f"{path}/jobs", body, Idempotency_Key=key)["id"]
        job = self.until(ended)
        if job["state"] != "done":
            raise AssertionError(f"{job['kind']}: {job['error']}")

    def result(self, path: str) -> dict[str, Any]:
        """What is there at the end."""
        project = self.ask("GET", path)
        (file,) = project["files"]
        archive = self.until(lambda: self.server.bytes_of(f"{path}/files/{file['id']}"))
        return {
            "jobs": sorted(job["kind"] for job in project["jobs"]),
            "marks": [(m["frame"], m["mark"]["kind"]) for m in project["marks"]],
            "stale": sum(frame["stale"] for frame in project["frames"]),
            "masks": len(project["frames"]),
            **contents(archive),
        }


def contents(archive: bytes) -> dict[str, Any]:
    """What is in a ZIP: a digest of its pictures, and how many frames its video has.

    x264 does not give the same bytes twice on every processor, so a video is only counted.
    """
    digest, frames = hashlib.sha256(), 0
    with zipfile.ZipFile(io.BytesIO(archive)) as file, tempfile.TemporaryDirectory() as folder:
        for name in sorted(file.namelist()):
            if name.endswith(".mp4"):
                frames = open_video(file.extract(name, folder)).frame_count
            else:
                digest.update(name.encode() + b"\0" + file.read(name))
    return {"pictures": digest.hexdigest(), "video frames": frames}


def small_clip() -> bytes:
    """The first frames of the demo clip at half its size, so that there are many ways."""
    with tempfile.TemporaryDirectory() as folder:
        path, video = Path(folder) / "clip.mp4", open_video(DEMO)
        size = (video.size[0] // 2, video.size[1] // 2)
        with VideoWriter(path, size, video.fps, h264()) as writer:
            for frame in video.frames(0, FRAMES):
                image = cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_AREA)
                writer.write(np.asarray(image, np.uint8))
        return path.read_bytes()


def run(kills: int, seconds: tuple[float, float] | None, seed: int, clip: bytes) -> dict[str, Any]:
    """An undisturbed way, then ways in a server that is killed; all must end the same.

    Args:
        kills: How many.
        seconds: Least and most between two of them; None: at moments of each phase in turn.
        seed: Of the random numbers.
        clip: The video.
    """
    with tempfile.TemporaryDirectory() as folder:
        calm, began = Server(Path(folder) / "calm").start(), []
        try:
            expected = Client(calm, lambda phase: began.append(time.monotonic())).way(clip)
        finally:
            ends = [*began[1:], time.monotonic()]
            calm.stop()
        lengths = {p: end - start for p, start, end in zip(PHASES, began, ends, strict=True)}
        server = Server(Path(folder) / "killed").start()
        killer = Killer(server, seconds, seed, lengths, most=kills)
        thread = threading.Thread(target=killer.run, daemon=True)
        thread.start()
        found: list[dict[str, Any]] = []

        def said(phase: str) -> None:
            killer.phase = phase

        try:
            while thread.is_alive() or not found:
                found.append(Client(server, said).way(clip))
                said("between")
                print(f"way {len(found)}: {found[-1] == expected}", flush=True)
            killer.stop()
            thread.join()
            projects = len(Client(server, said).ask("GET", "/api/projects")["projects"])
        finally:
            killer.stop()
            thread.join(60)
            server.stop()
    return {
        "kills": killer.kills,
        "table": table(killer.kills),
        "ways": len(found),
        "projects": projects,
        "expected": expected,
        "differences": [way for way in found if way != expected],
    }


def table(kills: list[str]) -> list[str]:
    """How many kills hit what in which phase, as rows in Markdown."""
    targets = sorted(set(TARGETS), reverse=True)
    rows = ["| during | " + " | ".join(targets) + " |", "|---|" + "---:|" * len(targets)]
    for phase in (*PHASES, "between"):
        counts = [kills.count(f"{target} during {phase}") for target in targets]
        if phase != "between" or any(counts):
            rows.append(f"| {phase} | " + " | ".join(map(str, counts)) + " |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--least", type=float, help="seconds between kills")
    parser.add_argument("--most", type=float)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.least is None) != (options.most is None):
        parser.error("--least and --most go together")
    seconds = None if options.least is None else (options.least, options.most)
    report = run(options.kills, seconds, options.seed, small_clip())
    print(json.dumps(report, indent=1))
    is_right = not report["differences"] and report["projects"] == report["ways"]
    raise SystemExit(0 if is_right and report["expected"]["jobs"] == JOBS else 1)


if __name__ == "__main__":
    main()
