"""Memory and time a frame while a long video is cut, measured and plotted.

Loops the demo clip to any length, cuts it with the command line in a process of its own, and
samples that process's memory and the number of masks on disk.

    python benchmarks/long_video.py --frames 3000 --plot docs/images/long-video.png
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import numpy as np

from rotomask.video import VideoWriter, h264, open_video

DEMO = Path(str(resources.files("rotomask") / "assets" / "demo"))


def loop_clip(path: Path, frames: int) -> None:
    """Write the demo clip forwards and backwards until it has so many frames, without a jump."""
    images = [frame.image for frame in open_video(DEMO / "clip.mp4").frames()]
    there_and_back = images + images[-2:0:-1]
    with VideoWriter(path, images[0].shape[:2], 24, h264(23)) as writer:
        for t in range(frames):
            writer.write(there_and_back[t % len(there_and_back)])


def resident_mib(pid: int) -> float:
    """Resident memory of a running process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure(video: Path, out: Path) -> list[tuple[float, int, float]]:
    """(seconds, masks on disk, MiB) every second until the command ends, and at its end."""
    command = [sys.executable, "-m", "rotomask", "cut", str(video), "--quiet", "-o", str(out)]
    command += ["-m", str(DEMO / "first_mask.png"), "-f", "none"]
    process = subprocess.Popen(command)
    began, samples = time.perf_counter(), []
    while process.poll() is None:
        try:
            memory = resident_mib(process.pid)
            samples.append((time.perf_counter() - began, count_masks(out), memory))
        except (FileNotFoundError, StopIteration):
            break
        time.sleep(1)
    if process.wait():
        sys.exit(f"the command failed with status {process.returncode}")
    # What it had at the end cannot be read any more: that of the last sample stands for it.
    return [*samples, (time.perf_counter() - began, count_masks(out), samples[-1][2])]


def count_masks(out: Path) -> int:
    """Masks on disk; 0 before their folder is made."""
    return len(list((out / "masks").glob("*.png")))


def plot(samples: list[tuple[float, int, float]], path: Path) -> None:
    """Plot memory and the time of a frame over the frames done."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    seconds, done, memory = (np.array(x) for x in zip(*samples, strict=True))
    # The time of a frame, over windows of about 50 frames.
    marks = np.arange(50, done.max(), 50)
    at = np.interp(marks, done, seconds)
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
    top.plot(done, memory)
    top.set_ylabel("resident memory, MiB")
    top.set_ylim(0, max(1600, memory.max() * 1.1))
    top.axhline(1536, color="grey", linestyle=":", label="1.5 GiB")
    top.legend()
    bottom.plot(marks[1:], np.diff(at) / 50 * 1000)
    bottom.set_ylabel("milliseconds a frame")
    bottom.set_ylim(0)
    bottom.set_xlabel("frames done")
    figure.suptitle("rotomask cut, stm-lite, one object, 854x480")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        loop_clip(video, arguments.frames)
        samples = measure(video, Path(folder) / "out")
    seconds, done, memory = (np.array(x) for x in zip(*samples, strict=True))
    half = np.interp(done.max() / 2, done, seconds)
    first = np.interp(done.max() / 10, done, seconds)
    figures = {
        "frames": arguments.frames,
        "seconds": seconds[-1],
        "frames_per_second": done.max() / seconds[-1],
        "peak_mib": memory.max(),
        "ms_per_frame_first_tenth": first / (done.max() / 10) * 1000,
        "ms_per_frame_second_half": (seconds[-1] - half) / (done.max() / 2) * 1000,
    }
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({**figures, "samples": samples}))
    if arguments.plot:
        plot(samples, arguments.plot)


if __name__ == "__main__":
    main()
