"""Peak memory of `rotomask cut` on large frames and with many objects, each in its own process.

    python -m benchmarks.memory                      all cases
    python -m benchmarks.memory 4k objects-300       some
    python -m benchmarks.memory --json FILE          with the figures in a file

A case is a short clip that is made first: 4K (3840x2160, VP9 in WebM) with one object, 720p with
two, or 854x480 with 1, 100 or 300. The figure is the process's largest resident memory, as the
system counts it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np

from rotomask.masks import write_mask

SIZES = {"4k": (2160, 3840), "720p": (720, 1280), "480p": (480, 854)}
LIMITS_MIB = {"4k": 1144, "4k-webm": 1144, "720p": 600, "objects-1": 507, "objects-300": 1430}
"""Largest peaks that are promised: 1.2 GB for 4K, 1.5 GB for 300 objects."""


def write_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """A VP9 clip of a textured scene that moves by 4 px a frame."""
    height, width = size
    y, x = np.mgrid[:height, : width + 4 * frames]
    grey = (127 + 60 * np.sin(x / 17) * np.cos(y / 23) + 60 * np.sin((x + y) / 91)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libvpx-vp9", 25, options={"cpu-used": "8", "crf": "32", "deadline": "realtime"}
        )
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for t in range(frames):
            part = grey[:, 4 * t : 4 * t + width]
            picture = np.stack([part, part[::-1], 255 - part], 2)
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24"))
            )
        container.mux(stream.encode(None))


def write_objects(path: Path, size: tuple[int, int], count: int) -> None:
    """A mask of so many rectangles on a grid."""
    height, width = size
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = -(-count // columns)
    labels = np.zeros(size, np.int32)
    for k in range(count):
        row, column = divmod(k, columns)
        top, left = row * height // rows, column * width // columns
        labels[top + 2 : top + height // rows - 2, left + 2 : left + width // columns - 2] = k + 1
    write_mask(path, labels)


CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "4k": ("4k", 1, ("--format", "overlay")),
    "4k-webm": ("4k", 1, ("--format", "webm")),
    "4k-all": ("4k", 1, ("--format", "overlay,webm,prores,rgba,mattes,coco")),
    "4k-size-0": ("4k", 1, ("--format", "none", "--size", "0")),
    "720p": ("720p", 2, ("--format", "overlay")),
    "720p-size-0": ("720p", 2, ("--format", "overlay", "--size", "0")),
    "objects-1": ("480p", 1, ("--format", "overlay")),
    "objects-100": ("480p", 100, ("--format", "overlay")),
    "objects-300": ("480p", 300, ("--format", "overlay")),
    "objects-300-rgmp-lite": ("480p", 300, ("--format", "none", "--model", "rgmp-lite")),
    "objects-100-oneshot": (
        *("480p", 100),
        ("--format", "none", "--model", "oneshot", "--refine", "online=20s"),
    ),
}
"""Name -> size, objects, options."""


def measure(name: str, folder: Path, frames: int) -> dict[str, float]:
    """Peak memory in MiB, and seconds, of a case."""
    size_name, count, options = CASES[name]
    clip, mask = folder / f"{size_name}.webm", folder / f"{name}.png"
    if not clip.exists():
        # In a process of its own: the system counts the memory of the process that starts another
        # to the peak of that one.
        writer = get_context("spawn").Process(
            target=write_clip, args=(clip, SIZES[size_name], frames)
        )
        writer.start()
        writer.join()
    write_objects(mask, SIZES[size_name], count)
    out = folder / f"out-{name}"
    command = [sys.executable, "-m", "rotomask", "cut", str(clip), "-m", str(mask), "-o", str(out)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--quiet", *options])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name}: the command failed with {os.waitstatus_to_exitcode(status)}")
    return {
        "objects": count,
        "frames": frames,
        "peak_mib": usage.ru_maxrss / 1024,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"unknown cases: {', '.join(unknown)}; there are {', '.join(CASES)}")
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.cases or CASES:
            found[name] = measure(name, Path(scratch), options.frames)
            limit = f"  (limit {LIMITS_MIB[name]})" if name in LIMITS_MIB else ""
            figures = "  ".join(f"{key} {value:.0f}" for key, value in found[name].items())
            print(f"{name:24} {figures}{limit}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1))
    over = [n for n, limit in LIMITS_MIB.items() if n in found and found[n]["peak_mib"] > limit]
    if over:
        sys.exit(f"above the limit: {', '.join(over)}")


if __name__ == "__main__":
    main()
