"""CPU time of the random field where it computes only near doubt, and in the whole frame.

    python -m benchmarks.field_speed [--frames 10] [--rounds 2]

The first mask of the demo clip, with soft edges and moved by 4 px a frame, stands for a cut with
mattes. CPU seconds of one thread, both ways in turn, flow included, and the largest difference.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from rotomask.arrays import Frame, Probabilities
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_labels
from rotomask.refine import random_field
from rotomask.refine.field_windows import refine_video
from rotomask.video import open_video


def everywhere(probabilities: Any, _links: Any) -> Any:
    """Every pixel T·H·W as open."""
    return np.ones(probabilities[:, 0].size, bool)


def timed(run: Callable[[], Sequence[Any]]) -> tuple[float, Sequence[Any]]:
    """CPU seconds of the calling thread, and the result."""
    began = time.thread_time()
    result = run()
    return time.thread_time() - began, result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    frames = open_video(demo_folder() / "clip.mp4")[: arguments.frames]
    mask = (read_labels(demo_folder() / "first_mask.png") > 0).astype(np.float32)
    soft = [cv2.GaussianBlur(np.roll(mask, 4 * t, 1), (0, 0), 2) for t in range(len(frames))]
    pairs: list[tuple[Frame, Probabilities]] = [
        (frame, np.stack([1 - p, p]).astype(np.float32))
        for frame, p in zip(frames, soft, strict=True)
    ]
    times: dict[str, list[float]] = {"near doubt": [], "everywhere": []}
    for _ in range(arguments.rounds):
        seconds, near = timed(lambda: list(refine_video(pairs)))
        times["near doubt"].append(seconds)
        with mock.patch.object(random_field, "_open_pixels", everywhere):
            seconds, whole = timed(lambda: list(refine_video(pairs)))
        times["everywhere"].append(seconds)
    for name, measured in times.items():
        print(f"{name:12} {statistics.median(measured) / len(frames):.3f} s a frame")
    differences = [np.abs(a - b).max() for a, b in zip(near, whole, strict=True)]
    changed = sum(int((a.argmax(0) != b.argmax(0)).sum()) for a, b in zip(near, whole, strict=True))
    print(f"largest difference {max(differences):.1e}; {changed} labels differ")


if __name__ == "__main__":
    main()
