"""`rotomask batch`, killed at random moments and run again: is anything lost, doubled or different?

A batch of short clips is run once without a stop. Then, in other folders, its driver is killed
(SIGKILL), or a worker, or the driver gets Ctrl-C, or a node of a Ray cluster of two is killed, at
random moments, until the batch has been stopped so often; the last run is left to end. Every result
is compared with that of the run without a stop, byte for byte.

    python -m benchmarks.batch_kills --davis DAVIS --clips 12 --kills 10
    python -m benchmarks.batch_kills --davis DAVIS --what node --kills 1
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.batch_scaling import digest, ray_nodes, results, rows

WORKER = "multiprocessing.spawn"
"""In the command line of a worker process."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One run that was stopped."""

    after_s: float
    masks: int
    """Masks on disk afterwards."""
    finished: int
    """Videos with a receipt afterwards."""
    survivors: int
    """Processes of the run that were still there a few seconds later."""
    status: int | None


def start(manifest: Path, out: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start the command, in a process group of its own as a terminal does."""
    command = [sys.executable, "-m", "rotomask", "batch", str(manifest), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--quiet", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def group(process: "subprocess.Popen[bytes]") -> list[int]:
    """Ids of the processes of a run that are alive, from /proc."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == process.pid and fields[0] != "Z":  # its session; no zombie
                found.append(int(folder.name))
    return found


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    """Ids of the worker processes of a run."""
    found = []
    for pid in group(process):
        try:
            text = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        except OSError:
            continue
        if WORKER in text:
            found.append(pid)
    return found


def stop(process: "subprocess.Popen[bytes]", what: str, draw: random.Random) -> None:
    """Kill the driver or a worker, or press Ctrl-C."""
    if what == "driver":
        os.kill(process.pid, signal.SIGKILL)
    elif what == "worker":
        alive = workers_of(process)
        if alive:
            os.kill(draw.choice(alive), signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGINT)


def one_stop(
    manifest: Path, out: Path, what: str, longest_s: float, draw: random.Random
) -> Stop | None:
    """Run the batch and stop it at a random moment; None if it came to its end before."""
    process = start(manifest, out, "--workers", "2")
    before, began = masks_of(out), time.monotonic()
    more = draw.randint(0, 8)  # masks, then a moment; or a moment in the start
    wait_s = draw.uniform(0.0, 0.5) if more else draw.uniform(0.5, longest_s)
    while masks_of(out) < before + more and process.poll() is None:
        time.sleep(0.02)
    reached = time.monotonic()
    while time.monotonic() - reached < wait_s and process.poll() is None:
        time.sleep(0.02)
    after = time.monotonic() - began
    is_over = process.poll() is not None
    if is_over and process.returncode != 0:
        raise SystemExit(f"the batch failed with status {process.returncode}")
    if not is_over:
        stop(process, what, draw)
    if what != "worker":  # a batch that lost a worker goes on
        process.wait()
    for _ in range(50):
        if what == "worker" or not group(process):
            break
        time.sleep(0.1)
    survivors = [] if what == "worker" else group(process)
    if what == "worker":
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
    return None if is_over else Stop(
        after_s=round(after, 1),
        masks=masks_of(out),
        finished=len(list(out.glob("*/.rotomask/batch.json"))),
        survivors=len(survivors),
        status=process.returncode,
    )  # fmt: skip


def masks_of(out: Path) -> int:
    """How many masks a batch has written."""
    return len(list(out.glob("*/masks/*.png")))


def kill_a_node(listed: Sequence[dict[str, Any]], out: Path, after_s: float) -> dict[str, Any]:
    """Run the batch on a Ray cluster of two nodes, and kill one after so long."""
    import threading

    import rotomask

    with ray_nodes() as cluster:
        node = next(iter(cluster.worker_nodes))
        killed = {}

        def kill() -> None:
            killed["masks"] = len(list(out.glob("*/masks/*.png")))
            killed["finished"] = len(list(out.glob("*/.rotomask/batch.json")))
            cluster.remove_node(node, allow_graceful=False)

        timer = threading.Timer(after_s, kill)
        timer.start()
        result = rotomask.batch(listed, out, ray=cluster.address)
        timer.cancel()
        timer.join()
    attempts = [outcome.attempts for outcome in result.outcomes]
    return {
        "node killed at, masks": killed.get("masks"),
        "videos finished then": killed.get("finished"),
        "videos tried again": sum(number > 1 for number in attempts),
        "finished": len(result.outcomes) - len(result.failures),
        "failed": len(result.failures),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--davis", type=Path, required=True, help="a DAVIS folder")
    parser.add_argument("--what", choices=("driver", "worker", "ctrl-c", "node"), default="driver")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=6, help="frames of a clip")
    parser.add_argument("--size", type=int, default=192, help="short side, px")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    listed = rows(options.davis, options.clips, options.frames, options.size)
    names = [row["out"] for row in listed]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = folder / "clips.jsonl"
        manifest.write_text("".join(json.dumps(row) + "\n" for row in listed), encoding="utf-8")
        whole, torn = folder / "whole", folder / "torn"
        began = time.monotonic()
        undisturbed = start(manifest, whole, "--workers", "2")
        _, errors = undisturbed.communicate()
        if undisturbed.returncode != 0:
            raise SystemExit(f"the run without a stop failed: {errors.decode()}")
        seconds = time.monotonic() - began
        expected = digest(whole, names)
        print(f"without a stop: {seconds:.1f} s, digest {expected}", flush=True)
        if options.what == "node":
            print(kill_a_node(listed, torn, 12 + seconds / 4))
        else:
            draw, stops = random.Random(options.seed), 0
            while stops < options.kills:
                stopped = one_stop(manifest, torn, options.what, 0.8 * seconds, draw)
                if stopped is None:  # done before its moment came: begin in a new folder
                    print(f"  ended: {'same' if digest(torn, names) == expected else 'DIFFERENT'}")
                    torn = folder / f"torn-{stops}"
                    continue
                stops += 1
                print(f"  {options.what} {stops}: {stopped}", flush=True)
            status = start(manifest, torn, "--workers", "2").wait()
            print(f"the last run: status {status}")
        got = digest(torn, names)
        masks = len(list(torn.glob("*/masks/*.png")))
        print(f"digest {got}: {'same' if got == expected else 'DIFFERENT'}; {masks} masks of "
              f"{options.clips * options.frames}")  # fmt: skip
        if got != expected:
            before, after = results(whole, names), results(torn, names)
            differ = [p for p in {**before, **after} if before.get(p) != after.get(p)]
            raise SystemExit(f"{len(differ)} files differ: {', '.join(sorted(differ)[:10])}")


if __name__ == "__main__":
    main()
