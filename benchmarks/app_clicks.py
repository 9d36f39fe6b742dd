"""From a click to its mask, while the app is idle and while it cuts.

    python -m benchmarks.app_clicks --json clicks.json

A page's requests are sent to a real server: go to a frame, wait as a person does who looks where to
click, click, click again. One way is with nothing else to do, the other while another project is
cut without a pause. Of each click there is the time of the whole answer and that of the marker's
part in it; beside them how many frames a second the cut made. It takes under four minutes on a
quiet machine.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.app_load import prepared
from tests.app.serving import Server

AIM_SECONDS = (0.8, 1.6)
"""From the playhead's rest to the first click on a frame."""
BETWEEN_SECONDS = (0.5, 1.0)
KINDS = ("first click on a frame", "next click")


class Cutting(threading.Thread):
    """Cuts a project again and again, and counts the frames."""

    def __init__(self, server: Server, project: str) -> None:
        super().__init__(daemon=True)
        self.server, self.path = server, f"/api/projects/{project}"
        self.over = threading.Event()
        self.frames, self.seconds = 0, 0.0

    def run(self) -> None:
        began = time.monotonic()
        while not self.over.is_set():
            job = self.server.post(f"{self.path}/jobs", {"kind": "cut"})["id"]
            while not self.over.wait(0.5):
                if self.server.job(job)["state"] not in ("queued", "running"):
                    break
            self.seconds = time.monotonic() - began
            self.frames += self.server.job(job)["done"]
            if self.over.is_set():
                self.server.ask("PATCH", f"/api/jobs/{job}", {"state": "cancelled"})
            else:
                self.server.ask("POST", f"{self.path}/undo")


def clicks(server: Server, project: str, count: int, seed: int) -> dict[str, list[Any]]:
    """Times of answers and of the marker's part, ms, by kind of click."""
    chance, path = random.Random(seed), f"/api/projects/{project}"
    last = server.get(path)["frame_count"] - 1
    times: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for frame in chance.sample(range(last + 1), min(count, last + 1)):
        server.ask("PATCH", path, {"ui": {"frame": frame}})
        time.sleep(chance.uniform(*AIM_SECONDS))
        for kind in KINDS:
            rev = server.get(path)["rev"]
            x, y = chance.randrange(300, 560), chance.randrange(180, 420)
            mark = {"kind": "click", "x": x, "y": y, "positive": True}
            body = {"frame": frame, "object": 1, "rev": rev, "marks": [mark]}
            began = time.perf_counter()
            answer = server.post(f"{path}/marks", body)
            times[kind].append((1000 * (time.perf_counter() - began), answer["ms"]))
            time.sleep(chance.uniform(*BETWEEN_SECONDS))
    return times


def summary(times: dict[str, list[Any]]) -> dict[str, Any]:
    """Median, 95th percentile and largest of the answers, and the median of the marker's part."""
    found = {}
    for kind, pairs in times.items():
        whole = sorted(ms for ms, _ in pairs)
        found[kind] = {
            "count": len(whole),
            "p50_ms": round(statistics.median(whole)),
            "p95_ms": round(whole[int(0.95 * (len(whole) - 1))]),
            "max_ms": round(whole[-1]),
            "marker_p50_ms": round(statistics.median(ms for _, ms in pairs)),
            "within_300_ms": round(sum(ms <= 300 for ms in whole) / len(whole), 3),
        }
    return found


def measure(count: int, seed: int) -> dict[str, Any]:
    """Clicks without and with a cut."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data").start()
        try:
            clicked, cut = prepared(server), prepared(server)
            report: dict[str, Any] = {"load_before": os.getloadavg()[0]}
            report["idle"] = summary(clicks(server, clicked, count, seed))
            alone = Cutting(server, cut)
            alone.start()
            time.sleep(30)
            alone.over.set()
            alone.join()
            report["cut_alone_fps"] = round(alone.frames / alone.seconds, 2)
            cutting = Cutting(server, cut)
            cutting.start()
            time.sleep(10)  # until the first mask
            report["during a cut"] = summary(clicks(server, clicked, count, seed + 1))
            cutting.over.set()
            cutting.join()
            report["cut_fps"] = round(cutting.frames / cutting.seconds, 2)
            report["load_after"] = os.getloadavg()[0]
        finally:
            server.stop()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clicks", type=int, default=20, help="frames, each clicked twice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = measure(options.clicks, options.seed)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
