"""Twenty projects and five pages against one app: response times while it cuts, memory over time.

    python -m benchmarks.app_load --minutes 10 --json load.json --plot docs/images/app-load.png

Every page reads events, opens a project, fetches frames and masks, moves the playhead, clicks and
undoes; a cut is always running. Memory is that of the server and of each of its processes.
"""

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.app_kills import DEMO, children_of
from tests.app.serving import Server

PAUSE_SECONDS = (0.2, 1.2)
"""Between two things that a user does."""


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

    def __init__(self, server: Server, projects: list[str], times: Times, seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.projects, self.times = server, projects, times
        self.chance, self.over = random.Random(seed), threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.visit(self.chance.choice(self.projects))
            except Exception as error:
                self.times.errors.append(repr(error))

    def visit(self, project: str) -> None:
        """Open a project, look at it, click a few times."""
        path = f"/api/projects/{project}"
        with self.times.of("open project"):
            found = self.server.get(path)
        for _ in range(6):
            if self.over.wait(self.chance.uniform(*PAUSE_SECONDS)):
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


def keep_cutting(server: Server, projects: list[str], over: threading.Event, seed: int) -> None:
    """Queue a cut whenever none waits."""
    chance = random.Random(seed)
    while not over.wait(1.0):
        jobs = server.get("/api/jobs")["jobs"]
        if not any(job["state"] in ("queued", "running") for job in jobs):
            path = f"/api/projects/{chance.choice(projects)}/jobs"
            server.ask("POST", path, {"kind": "cut", "quality": "fast"})


def measure(minutes: float, count: int, pages: int) -> dict[str, Any]:
    """Response times and memory of a run."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        assert server.process is not None
        content = DEMO.read_bytes()
        projects = [str(server.upload(content)["id"]) for _ in range(count)]
        for project in projects:
            server.imported(project)
            server.post(f"/api/projects/{project}/objects", {"name": "dog"})
            box = {"kind": "box", "x": 300, "y": 150, "width": 260, "height": 280}
            server.mark(project, 8, 1, box)
        print(f"{count} projects are imported", flush=True)
        times, over, samples = Times(), threading.Event(), []
        threads: list[threading.Thread] = [Page(server, projects, times, k) for k in range(pages)]
        arguments = (server, projects, over, 99)
        threads.append(threading.Thread(target=keep_cutting, args=arguments, daemon=True))
        for thread in threads:
            thread.start()
        began = time.monotonic()
        while (now := time.monotonic() - began) < 60 * minutes:
            time.sleep(5)
            sample = {"seconds": round(now), "server": round(memory_mib(server.process.pid), 1)}
            for pid, name in children_of(server.process.pid).items():
                sample[name] = round(memory_mib(pid), 1)
            samples.append(sample)
        over.set()
        for thread in threads:
            if isinstance(thread, Page):
                thread.over.set()
            thread.join(60)
        server.stop()
    return {"times_ms": times.summary(), "errors": times.errors[:5], "memory_mib": samples}


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw memory over time."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    for name in ("server", "marker", "worker"):
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
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    report = measure(options.minutes, options.projects, options.pages)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    if options.plot:
        plot(report, options.plot)
    print(json.dumps(report["times_ms"], indent=1), report["errors"])
    parts = [report["memory_mib"][k] for k in (len(report["memory_mib"]) // 4, -1)]
    print("memory after a quarter of the time and at the end, MiB:", *parts)


if __name__ == "__main__":
    main()
