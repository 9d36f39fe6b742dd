"""How much `rotomask cut` slows down on a busy machine, and beside a second cut.

    python -m benchmarks.load                            as the command is, and with one thread
    python -m benchmarks.load --ways default spinning    with threads that spin while they wait, too

Every round runs each way alone, beside LOAD processes that do nothing but compute, and twice at
once; the table has the medians of the rounds' times, and of the ratios within a round. A fair share
of two cores at load 4 is a third; two jobs at once should take hardly more than two after another.
A command that fails or takes above five minutes ends the benchmark.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rotomask.jobs.demo import demo_folder

WAYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "default": ((), {}),
    "one-thread": (("--threads", "1"), {}),
    "spinning": ((), {"GOMP_SPINCOUNT": "300000"}),
}
"""Name -> options and environment. libgomp spins so often where nothing is set."""

MOST_SECONDS = 300.0
LIMITS = {"load": 3.0, "two": 2.2}
"""Ratios to the time alone that are promised."""

BUSY = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
"""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute during the block; they end by themselves after five minutes.

    Args:
        count: Number of processes.
    """
    command = [sys.executable, "-c", BUSY, str(MOST_SECONDS)]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def start_cut(way: str, frames: int, out: Path) -> subprocess.Popen[bytes]:
    """The command, cutting the dog out of the first frames of its clip."""
    options, environment = WAYS[way]
    demo = demo_folder()
    command = [sys.executable, "-m", "rotomask", "cut", str(demo / "clip.mp4"), "--quiet"]
    command += ["--mask", str(demo / "first_mask.png"), "--end", str(frames - 1)]
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return subprocess.Popen([*command, "--out", str(out), *options], env=kept | environment)


def seconds_of(way: str, frames: int, jobs: int) -> float:
    """Time until so many cuts at once are all done, start included."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        running = [start_cut(way, frames, Path(scratch) / str(k)) for k in range(jobs)]
        try:
            statuses = [p.wait(MOST_SECONDS - (time.perf_counter() - began)) for p in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        if any(statuses):
            sys.exit(f"a cut ({way}) failed with status {max(statuses)}")
        return time.perf_counter() - began


def measure(way: str, frames: int, load: int) -> dict[str, float]:
    """Seconds alone, under load and of two at once."""
    times = {"alone": seconds_of(way, frames, 1)}
    with busy(load):
        times["load"] = seconds_of(way, frames, 1)
    times["two"] = seconds_of(way, frames, 2)
    return times


def print_table(times: Mapping[str, list[dict[str, float]]], load: int) -> None:
    """Medians of each way as a table in Markdown."""
    print(f"| way | alone, s | at load {load}, s | ratio | two at once, s | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for way, rounds in times.items():
        seconds = {case: statistics.median(one[case] for one in rounds) for case in rounds[0]}
        ratios = {
            case: statistics.median(one[case] / one["alone"] for one in rounds) for case in LIMITS
        }
        print(
            f"| {way} | {seconds['alone']:.1f} | {seconds['load']:.1f} | {ratios['load']:.2f} "
            f"| {seconds['two']:.1f} | {ratios['two']:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["default", "one-thread"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--load", type=int, default=4, help="processes that compute (default: 4)")
    arguments = parser.parse_args()
    times: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    for number in range(arguments.rounds):
        for way in arguments.ways:
            times[way].append(measure(way, arguments.frames, arguments.load))
            shown = "  ".join(f"{case} {s:.1f}" for case, s in times[way][-1].items())
            print(f"round {number + 1}, {way}: {shown} s", file=sys.stderr, flush=True)
    print(f"{arguments.frames} frames of the demo clip, 854x480, start included; limits {LIMITS}")
    print_table(times, arguments.load)


if __name__ == "__main__":
    main()
