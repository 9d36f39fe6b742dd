"""Strong scaling of training: the same batches of clips by one process, and by more.

Every step has the same clips, however many processes share them; each has one thread and makes its
own clips. A line a number of processes: clips a second, core seconds a clip, and the speed-up over
one process. On a busy machine the core seconds say more than the speed-up.

    python -m benchmarks.training_scaling --processes 1 2 --clips 8
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.training_speed import recipe, stills
from rotomask.training.hardware import Hardware
from rotomask.training.loop import Progress, fit

WARM_UP = 2
"""Steps that are not timed."""


def measure(processes: int, clips: int, steps: int, folder: Path, data: Path) -> None:
    """Train in this process, and in those that Fabric starts, and write times to a file."""
    torch.set_num_threads(1)
    base = recipe(steps + WARM_UP)
    stage = replace(base.stages[0], batch=clips // processes)
    short = replace(base, stages=(stage,), schedule=replace(base.schedule, validate_every=0))
    marks: list[tuple[float, float]] = []

    def on_step(_: Progress) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    hardware = Hardware(accelerator="cpu", devices=processes, workers=0)
    fit(short.task({"stills": data}), folder, hardware, on_step=on_step)
    if marks:  # only the first process is told of steps; the others do as much as it does
        (began, cpu_began), (ended, cpu_ended) = marks[WARM_UP - 1], marks[-2]
        timed = len(marks) - 1 - WARM_UP
        result = {
            "clips a second": clips * timed / (ended - began),
            "core seconds a clip": (cpu_ended - cpu_began) * processes / (clips * timed),
        }
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--clips", type=int, default=8, help="clips of a step, by all processes")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed, 2 or more")
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.processes[0], options.clips, options.steps, *options.measure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        data.mkdir()
        stills(data)
        first: float | None = None
        for processes in options.processes:
            run = Path(temporary) / f"run-{processes}"
            command = [sys.executable, "-m", "benchmarks.training_scaling"]
            command += ["--processes", str(processes), "--clips", str(options.clips)]
            command += ["--steps", str(options.steps), "--measure", str(run), str(data)]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            result: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
            rate = result["clips a second"]
            first = rate if first is None else first
            print(
                f"{processes} processes  {rate:.2f} clips/s  "
                f"{result['core seconds a clip']:.2f} core seconds a clip  "
                f"speed-up {rate / first:.2f}  load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
