"""Large frames: the whole frame reduced, against a window around the objects (`--focus`).

    python -m benchmarks.large_input --time                       1080 and 2160 lines, whole command
    python -m benchmarks.large_input --davis DAVIS --sequences hike,swing --size 192

The first enlarges the demo clip and cuts it by the real command with --size 480 and with --size 0,
in turn; the ratio is that of medians. The second follows objects of DAVIS at a processing size
below that of the frames: reduced, focused, and at the frames' own size. It prints J, F, and F with
a tolerance of one pixel, which tells how sharp the edges are, with CPU seconds of one thread.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import rotomask
from benchmarks.profile_cut import clip_of
from rotomask.evaluation.measures.boundary import boundary_accuracy
from rotomask.evaluation.measures.region import region_similarity
from rotomask.masks import read_labels, write_mask
from rotomask.segmenters.base import Segmenter
from rotomask.video import open_video

WAYS: dict[str, tuple[str, ...]] = {
    "--size 480": ("--size", "480"),
    "--size 0": ("--size", "0"),
    "--size 0 --focus never": ("--size", "0", "--focus", "never"),
}
"""Ways to cut large frames, as on the command line."""
LIMIT = 1.5
"""Time of --size 0 per time of --size 480 that is promised."""


def seconds_of(clip: Path, mask: Path, way: str, frames: int) -> float:
    """Wall time of a whole command without an overlay."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "rotomask", "cut", str(clip), "--mask", str(mask)]
        command += ["--out", f"{scratch}/out", "--quiet", "--end", str(frames - 1)]
        began = time.perf_counter()
        subprocess.run([*command, "--format", "none", *WAYS[way]], check=True)
        return time.perf_counter() - began


def print_times(heights: Sequence[int], ways: Sequence[str], frames: int, rounds: int) -> None:
    """Medians of each way at each height, in Markdown."""
    print("| lines | object | " + " | ".join(f"{way}, s" for way in ways) + " | ratio |")
    print("|---:|---:|" + "---:|" * (len(ways) + 1))
    with tempfile.TemporaryDirectory() as scratch:
        for height in heights:
            clip, labels = clip_of(height, Path(scratch))
            mask = Path(scratch) / f"mask-{height}.png"
            write_mask(mask, labels)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, measured in times.items():
                    measured.append(seconds_of(clip, mask, way, frames))
            medians = [statistics.median(measured) for measured in times.values()]
            shown = " | ".join(f"{seconds:.1f}" for seconds in medians)
            ratio = f"{medians[1] / medians[0]:.2f}" if len(medians) > 1 else ""
            print(f"| {height} | {(labels > 0).mean():.0%} | {shown} | {ratio} |", flush=True)
    print(f"\nlimit of the ratio: {LIMIT}")


def follow(segmenter: Segmenter, frames: Sequence[Any], truths: Sequence[Any]) -> list[float]:
    """Means of J, F, F within 1 px, and CPU seconds a frame; the first frame is not scored."""
    segmenter.start(frames[0], truths[0].astype(np.int32))
    scores, seconds = [], []
    for frame, truth in zip(frames[1:], truths[1:], strict=True):
        began = time.thread_time()
        probabilities = segmenter.step(frame)
        seconds.append(time.thread_time() - began)
        mask = segmenter.labels(probabilities) > 0
        scores.append(
            (
                region_similarity(mask, truth),
                boundary_accuracy(mask, truth),
                boundary_accuracy(mask, truth, tolerance=1),
            )
        )
    return [*(float(value) for value in np.mean(scores, 0)), statistics.mean(seconds)]


def print_quality(root: Path, sequences: Sequence[str], size: int, frames: int) -> None:
    """J and F of each sequence in three ways, in Markdown."""
    images = next((root / "JPEGImages").iterdir())
    ways: dict[str, dict[str, Any]] = {
        f"reduced to {size}": {"size": size},
        f"focused, {size}": {"size": size, "focus": "always"},
        "own size": {"size": None, "focus": "never"},
    }
    print("| sequence | frame | object | way | J | F | F within 1 px | CPU s |")
    print("|---|---|---:|---|---:|---:|---:|---:|")
    totals: dict[str, list[list[float]]] = {way: [] for way in ways}
    for name in sequences:
        video = open_video(images / name)
        stop = min(frames, video.frame_count)
        pictures = [video.frame(index).image for index in range(stop)]
        files = sorted((root / "Annotations" / images.name / name).iterdir())[:stop]
        truths = [read_labels(file) > 0 for file in files]
        for way, settings in ways.items():
            segmenter = rotomask.load_model("stm-lite", device="cpu", enlarge=False, **settings)
            totals[way].append(follow(segmenter, pictures, truths))
            *shown, seconds = totals[way][-1]
            row = " | ".join(f"{value:.3f}" for value in shown)
            height, width = video.size
            about = f"{name} | {width}x{height} | {truths[0].mean():.0%}"
            print(f"| {about} | {way} | {row} | {seconds:.3f} |", flush=True)
    for way, scores in totals.items():
        row = " | ".join(f"{value:.3f}" for value in np.mean(scores, 0))
        print(f"| mean | | | {way} | {row} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time", action="store_true", help="time the whole command")
    parser.add_argument("--heights", type=int, nargs="+", default=[1080, 2160], metavar="PX")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS)[:2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--davis", type=Path, help="measure quality on this data set")
    parser.add_argument("--sequences", default="dog-agility,hike,motorbike,swing")
    parser.add_argument("--size", type=int, default=192, help="processing size, px")
    parser.add_argument("--frames", type=int, default=24, help="only the first so many")
    parser.add_argument("--threads", type=int, default=1, help="of the measurement of quality")
    options = parser.parse_args()
    if not options.time and options.davis is None:
        parser.error("give --time, --davis DIR or both")
    if options.time:
        print_times(options.heights, options.ways, options.frames, options.rounds)
    if options.davis is not None:
        torch.set_num_threads(options.threads)
        cv2.setNumThreads(options.threads)
        print_quality(options.davis, options.sequences.split(","), options.size, options.frames)


if __name__ == "__main__":
    main()
