"""Twenty projects and five pages against one app: response times while it cuts, memory over time.

    python -m benchmarks.app_load --minutes 10 --json load.json
    python -m benchmarks.app_load --minutes 60 --rest 60 --pause 5 15 --plot load.png

Every page hears the events, opens a project, fetches frames and masks, moves the playhead, clicks,
looks at an effect and undoes. Jobs of every kind run one after another, with a rest between them if
one is given; now and then a project is deleted and another one uploaded. Memory is that of the
server and of each of its processes.
"""

import argparse
import contextlib
import http.client
import json
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.app_kills import DEMO, children_of
from tests.app import serving
from tests.app.serving import Server

BOX = {"kind": "box", "x": 300, "y": 150, "width": 260, "height": 280}
JOBS: tuple[dict[str, Any], ...] = (
    {"kind": "cut", "quality": "fast"},
    {"kind": "effect", "effect": "blur-background", "settings": {}, "format": "mp4"},
    {"kind": "cut", "quality": "fast"},
    {"kind": "stabilise", "objects": [], "aspect": "1:1", "strength": 0.8, "zoom": 0.5},
    {"kind": "cut", "quality": "fast"},
    {"kind": "export", "formats": ["masks", "overlay"], "zip": True},
)
EFFECTS = ("blur-background", "outline", "grey-background", "anonymise")
JOBS_A_PROJECT = 12
"""After so many jobs a project is deleted and another one uploaded."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """How the app is used."""

    minutes: float
    projects: int
    pages: int
    pause: tuple[float, float]
    """Least and most seconds between two things that a user does."""
    rest: float
    """Seconds between two jobs."""


class Times:
    """Response times by kind of request, milliseconds."""

    def __init__(self) -> None:
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """Take the time of a block."""
        began = time.perf_counter()
        yield
        self.values[kind].append(1000 * (time.perf_counter() - began))

    def summary(self) -> dict[str, dict[str, float]]:
        """Count, median, 95th percentile and largest value."""
        return {
            kind: {
                "count": len(values),
                "p50": round(statistics.median(values), 1),
                "p95": round(sorted(values)[int(0.95 * (len(values) - 1))], 1),
                "max": round(max(values), 1),
            }
            for kind, values in sorted(self.values.items())
        }


class Page(threading.Thread):
    """What one browser does."""

    def __init__(
        self, server: Server, projects: list[str], times: Times, use: Use, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.server, self.projects, self.times, self.use = server, projects, times, use
        self.chance, self.over = random.Random(seed), threading.Event()

    def run(self) -> None:
        threading.Thread(target=self.listen, daemon=True).start()
        while not self.over.is_set():
            project = self.chance.choice(self.projects)
            try:
                self.visit(project)
            except Exception as error:
                if project in self.projects:  # else it was deleted meanwhile
                    self.times.errors.append(repr(error))

    def listen(self) -> None:
        """Hear the events, as a page does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/api/events", headers=headers)
            answer = connection.getresponse()
            while not self.over.is_set() and answer.readline():
                pass

    def visit(self, project: str) -> None:
        """Open a project, look at it, click a few times."""
        path = f"/api/projects/{project}"
        with self.times.of("open project"):
            found = self.server.get(path)
        for _ in range(6):
            if self.over.wait(self.chance.uniform(*self.use.pause)):
                return
            frame = self.chance.randrange(found["frame_count"])
            first, last = frame, min(frame + 29, found["frame_count"] - 1)
            with self.times.of("30 frames"):
                self.server.bytes_of(f"{path}/frames?from={first}&to={last}")
            with self.times.of("30 masks"):
                self.server.bytes_of(f"{path}/masks?from={first}&to={last}")
            with self.times.of("playhead"):
                self.server.ask("PATCH", path, {"ui": {"frame": frame}})
            with self.times.of("queue"):
                self.server.get("/api/jobs")
            self.over.wait(self.chance.uniform(0.5, 1.0))  # a user aims before the click
            self.click(path, frame)
        effect = {"effect": self.chance.choice(EFFECTS), "settings": {}, "width": 480}
        with self.times.of("preview of an effect"):
            self.server.ask("POST", f"{path}/preview", {**effect, "frame": frame})
        self.server.ask("POST", f"{path}/undo")

    def click(self, path: str, frame: int) -> None:
        """Click twice on a frame."""
        for number in range(2):
            rev = self.server.get(path)["rev"]
            x, y = self.chance.randrange(300, 560), self.chance.randrange(180, 420)
            mark = {"kind": "click", "x": x, "y": y, "positive": True}
            body = {"frame": frame, "object": 1, "rev": rev, "marks": [mark]}
            began = time.perf_counter()
            status, _ = self.server.ask("POST", f"{path}/marks", body)
            if status == 200:
                kind = "first click on a frame" if number == 0 else "next click"
                self.times.values[kind].append(1000 * (time.perf_counter() - began))


def memory_mib(pid: int) -> float:
    """Resident memory of a process that is its own, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    value = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return (int(value["RssAnon"]) + int(value["RssShmem"])) / 1024


class Working(threading.Thread):
    """Runs jobs one after another, and replaces projects that had many."""

    def __init__(self, server: Server, projects: list[str], use: Use, seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.projects, self.use = server, projects, use
        self.chance, self.over = random.Random(seed), threading.Event()
        self.done: defaultdict[str, int] = defaultdict(int)

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            with contextlib.suppress(OSError, AssertionError):
                self.work(JOBS[number % len(JOBS)])
            number += 1
            if number % JOBS_A_PROJECT == 0:
                self.replace(self.chance.randrange(len(self.projects)))
            self.over.wait(self.use.rest)

    def work(self, body: dict[str, Any]) -> None:
        """Run a job to its end."""
        project = self.chance.choice(self.projects)
        job = self.server.post(f"/api/projects/{project}/jobs", body)["id"]
        while not self.over.wait(0.5):
            found = self.server.job(job)
            if found["state"] not in ("queued", "running"):
                self.done[f"{found['kind']} {found['state']}"] += 1
                return

    def replace(self, place: int) -> None:
        """Upload a project in the place of another one, which is deleted."""
        old, self.projects[place] = self.projects[place], prepared(self.server)
        self.server.ask("DELETE", f"/api/projects/{old}")


def prepared(server: Server) -> str:
    """A project of the demo clip with an object marked in it."""
    project = str(server.upload(DEMO.read_bytes())["id"])
    server.imported(project)
    server.post(f"/api/projects/{project}/objects", {"name": "dog"})
    server.mark(project, 8, 1, BOX)
    return project


def measure(use: Use) -> dict[str, Any]:
    """Response times, memory and finished jobs of a run."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        try:
            return used(server, use)
        finally:
            server.stop()


def used(server: Server, use: Use) -> dict[str, Any]:
    """What a server did while it was used."""
    assert server.process is not None
    projects = [prepared(server) for _ in range(use.projects)]
    print(f"{use.projects} projects are imported", flush=True)
    times, samples = Times(), []
    working = Working(server, projects, use, 99)
    pages = [Page(server, projects, times, use, k) for k in range(use.pages)]
    threads: list[Working | Page] = [working, *pages]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    while (now := time.monotonic() - began) < 60 * use.minutes:
        time.sleep(5)
        sample = {"seconds": round(now), "server": round(memory_mib(server.process.pid), 1)}
        for pid, name in children_of(server.process.pid).items():
            sample[name] = round(memory_mib(pid), 1)
        samples.append(sample)
        if len(samples) % 60 == 1:
            print(sample, flush=True)
    for thread in threads:
        thread.over.set()
    for thread in threads:
        thread.join(60)
    return {
        "times_ms": times.summary(),
        "errors": times.errors[:5],
        "jobs": dict(working.done),
        "memory_mib": samples,
    }


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw memory over time."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    for name in ("server", "marker", "viewer", "worker"):
        points = [(s["seconds"] / 60, s[name]) for s in report["memory_mib"] if name in s]
        axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="minutes", ylabel="own memory, MiB", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--pause", type=float, nargs=2, default=(0.2, 1.2), metavar="SECONDS")
    parser.add_argument("--rest", type=float, default=1.0, help="seconds between two jobs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    use = Use(
        minutes=options.minutes,
        projects=options.projects,
        pages=options.pages,
        pause=(options.pause[0], options.pause[1]),
        rest=options.rest,
    )
    serving.SECONDS = 900.0  # other programs may keep every core busy
    report = measure(use)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    if options.plot:
        plot(report, options.plot)
    print(json.dumps(report["times_ms"], indent=1), report["errors"], report["jobs"])
    parts = [report["memory_mib"][k] for k in (len(report["memory_mib"]) // 4, -1)]
    print("memory after a quarter of the time and at the end, MiB:", *parts)


if __name__ == "__main__":
    main()
