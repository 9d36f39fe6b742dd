"""Scaling of `rotomask batch`: short clips by 1 worker, by 2, by a Ray cluster of two nodes.

The clips are ranges of the sequences of a DAVIS folder, cut at a small size. A line a run: seconds,
core seconds, and whether its results are those of the first run, to the byte. Efficiency is the
speed-up over one worker per worker. On a busy machine workers wait for cores, so core seconds per
frame are given, too: what the work costs, however long it waits.

    python -m benchmarks.batch_scaling --davis DAVIS --clips 40 --frames 8 --size 192
    python -m benchmarks.batch_scaling --davis DAVIS --clips 12 --frames 6 --workers --ray 1 2
"""

import argparse
import hashlib
import json
import os
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rotomask


def rows(davis: Path, clips: int, frames: int, size: int) -> list[dict[str, Any]]:
    """Rows of a manifest: ranges of the sequences, spread over them and over each one's length."""
    images = davis / "JPEGImages" / "480p"
    masks = davis / "Annotations" / "480p"
    names = sorted(path.name for path in images.iterdir() if (masks / path.name).is_dir())
    listed = []
    for number in range(clips):
        name = names[number % len(names)]
        stems = sorted(path.stem for path in (images / name).iterdir())
        rounds = -(-clips // len(names))
        start = (number // len(names)) * max(0, len(stems) - frames) // max(1, rounds)
        listed.append(
            {
                "video": str(images / name),
                "mask": str(masks / name / f"{stems[start]}.png"),
                "out": f"{name}-{start:03d}",
                "frames": len(stems),
                "options": {"start": start, "end": start + frames - 1, "size": size},
            }
        )
    return listed


def results(out: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Digest of every result of a batch by its path, the files for resuming left out."""
    found = {}
    for name in sorted(names):
        for path in sorted((out / name).rglob("*")):
            relative = path.relative_to(out).as_posix()
            is_result = path.name != "job.json"
            if path.is_file() and is_result and "/.rotomask/" not in relative:
                found[relative] = hashlib.sha256(path.read_bytes()).digest()
    return found


def digest(out: Path, names: Sequence[str]) -> str:
    """Digest of all results of a batch."""
    total = hashlib.sha256()
    for relative, content in results(out, names).items():
        total.update(relative.encode() + content)
    return total.hexdigest()[:16]


@contextmanager
def ray_nodes(count: int = 2) -> Iterator[Any]:
    """A Ray cluster of some nodes of one core on this machine; gives it, to kill a node of it.

    The driver's own node runs no task. All is on the loopback, and in a temporary folder.
    """
    if "ray" not in sys.modules:  # it reads this once
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else 127.0.0.1 is replaced
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 << 20}
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "ray").mkdir()
        os.environ["RAY_TMPDIR"] = folder
        head = {**node, "num_cpus": 0, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(count):
                cluster.add_node(num_cpus=1, **node)
            yield cluster
        finally:
            import ray

            ray.shutdown()
            cluster.shutdown()


def measure(run: Callable[[], Any]) -> tuple[Any, float]:
    """A run's result and its seconds."""
    began = time.perf_counter()
    result = run()
    return result, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--davis", type=Path, required=True, help="a DAVIS folder")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip")
    parser.add_argument("--size", type=int, default=192, help="short side, px")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument(
        "--ray", type=int, nargs="*", metavar="N", help="also Ray, on N nodes; by default 2"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    listed = rows(options.davis, options.clips, options.frames, options.size)
    names = [row["out"] for row in listed]
    lines: list[dict[str, Any]] = []

    def note(label: str, workers: int, result: Any, seconds: float, out: Path) -> None:
        totals = result.totals()
        first = lines[0] if lines else None
        line = {
            "run": label,
            "workers": workers,
            "finished": totals["finished"],
            "frames": totals["frames segmented"],
            "seconds": round(seconds, 1),
            "core seconds a frame": totals["core seconds a frame"],
            "speed-up": 1.0 if first is None else round(first["seconds"] / seconds, 2),
            "load": round(os.getloadavg()[0], 1),
            "digest": digest(out, names),
        }
        line["efficiency"] = round(line["speed-up"] / workers, 2)
        line["same bytes"] = first is None or line["digest"] == first["digest"]
        lines.append(line)
        print("  ".join(f"{key} {value}" for key, value in line.items()), flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in options.workers:
            out = folder / f"workers-{number}"
            result, seconds = measure(
                lambda out=out, number=number: rotomask.batch(listed, out, workers=number)  # type: ignore[misc]
            )
            note(f"{number} processes", number, result, seconds, out)
        for number in [] if options.ray is None else options.ray or [2]:
            with ray_nodes(number) as cluster:
                out = folder / f"ray-{number}"
                result, seconds = measure(
                    lambda out=out, at=cluster.address: rotomask.batch(listed, out, ray=at)  # type: ignore[misc]
                )
                note(f"Ray, nodes: {number}", number, result, seconds, out)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"peak memory of a worker: {children.ru_maxrss // 1024} MiB")
    if options.json is not None:
        options.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
