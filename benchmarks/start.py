"""Time from the start of `rotomask cut` to its first frame, beside what importing torch takes.

    python -m benchmarks.start                 medians of five runs of each, in turn
    python -m benchmarks.start --modules 25    and the imports that take longest

The first frame begins when --verbose has told the model; the process is ended then. CPU seconds are
given too: on a busy machine the time says little.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rotomask.jobs.demo import demo_folder

LIMIT_S = 1.5
"""Time to the first frame that is promised on a quiet machine."""
RUNS: dict[str, tuple[list[str], str | None]] = {
    "python": (["-c", "pass"], None),
    "import torch": (["-c", "import torch"], None),
    "rotomask --help": (["-m", "rotomask", "--help"], None),
    "rotomask cut, first frame": (["-m", "rotomask", "cut"], "model "),
}
"""Name -> what Python runs, and the beginning of the line at which it is ended."""


def seconds_of(name: str) -> tuple[float, float]:
    """Seconds, and CPU seconds, of one run."""
    arguments, last_line = RUNS[name]
    demo = demo_folder()
    with tempfile.TemporaryDirectory() as scratch:
        if last_line is not None:
            mask, out = str(demo / "first_mask.png"), str(Path(scratch) / "out")
            arguments = [*arguments, str(demo / "clip.mp4"), "--mask", mask, "--out", out, "-v"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        with process.stderr as lines:
            found = last_line is None
            for line in lines:
                if last_line is not None and line.startswith(last_line):
                    found = True
                    process.kill()
                    break
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if not found or (last_line is None and status):
        sys.exit(f"{name} ended with status {process.returncode} before its first frame")
    return seconds, usage.ru_utime + usage.ru_stime


def slowest_imports(count: int) -> list[tuple[float, str]]:
    """Milliseconds, without those of the modules that it imports in turn, and name of each."""
    code = "import rotomask.jobs.cut"
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    ).stderr
    pattern = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
    times = [(int(m[1]) / 1000, m[2]) for m in map(pattern.match, told.splitlines()) if m]
    return sorted(times, reverse=True)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--modules", type=int, default=0, metavar="N", help="print N slow imports")
    arguments = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNS}
    for _ in range(arguments.runs):
        for name, measured in times.items():
            measured.append(seconds_of(name))
    print("| | s | CPU s |")
    print("|---|---:|---:|")
    for name, measured in times.items():
        seconds, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
        print(f"| {name} | {seconds:.2f} | {cpu:.2f} |")
    print(f"\nlimit of the first frame on a quiet machine: {LIMIT_S} s")
    for milliseconds, module in slowest_imports(arguments.modules) if arguments.modules else ():
        print(f"{milliseconds:8.1f} ms  {module}")


if __name__ == "__main__":
    main()
