"""One `rotomask` command with the code of several checkouts, run in turn: time and peak memory.

    git worktree add ../old d811bf5
    python -m benchmarks.in_turn --source ../old/src --source src --rounds 5 -- \\
        cut DAVIS/JPEGImages/480p/dog --mask DAVIS/Annotations/480p/dog/00000.png --format overlay

Whole commands are timed, their start included; each run gets an `--out` of its own, which is
deleted afterwards. A machine is slower at some hours than at others, so that only figures of runs
in turn can be compared: the last column has the ratio of a checkout's median time to the first's.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Run(NamedTuple):
    """Figures of one run."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run(source: Path, command: list[str]) -> Run:
    """Run a command with the package of a source folder, its output in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [*command, "--out", str(Path(scratch) / "out"), "--quiet"]
        environment = os.environ | {"PYTHONPATH": str(source.resolve())}
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "rotomask", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"{source}: the command failed with {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", type=Path, action="append", required=True, help="folder that holds `rotomask`"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("command", nargs="+", help="after `--`: the command and its options")
    options = parser.parse_args()
    for source in options.source:
        if not (source / "rotomask").is_dir():
            parser.error(f"{source} holds no package rotomask; give a checkout's src folder")
    runs: list[list[Run]] = [[] for _ in options.source]
    for _ in range(options.rounds):
        for source, own in zip(options.source, runs, strict=True):
            own.append(run(source, options.command))
    print("| source | s | median s | CPU s | peak MiB | ratio |")
    print("|---|---|---:|---:|---:|---:|")
    medians = [statistics.median(r.seconds for r in own) for own in runs]
    for source, own, median in zip(options.source, runs, medians, strict=True):
        times = ", ".join(f"{seconds:.2f}" for seconds in sorted(r.seconds for r in own))
        cpu = statistics.median(r.cpu_seconds for r in own)
        peak = max(r.peak_mib for r in own)
        ratio = median / medians[0]
        print(f"| {source} | {times} | {median:.2f} | {cpu:.2f} | {peak:.0f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
