"""CPU time of a frame for every model that follows objects, on the demo clip.

    python benchmarks/model_speed.py [NAME ...] [--frames 6] [--objects 1] [--precision float32]

Networks without shipped weights run with random ones: these cost the same time. The median of the
frames after the first two, in CPU seconds of one thread at 854x480; learning from the first mask
does not count.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from rotomask.catalog import CATALOG, load_network, names, segmenter_role, shipped_weights
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_mask
from rotomask.networks.precision import choose_runtime
from rotomask.segmenters.base import Segmenter
from rotomask.video import open_video

WARM_UP = 2
"""Frames that are not counted: their memory and buffers are not full."""


def load(name: str, precision: str) -> Segmenter:
    """A model with its shipped weights, or with random ones."""
    role, entry = segmenter_role(name), CATALOG[name]
    config = role.config
    if role.learns_reference:
        config = type(config)(**{**vars(config), "iterations": 0})
    assert entry.network is not None
    torch.manual_seed(0)
    path = shipped_weights(name)
    has_weights = path is not None and path.is_file()
    network = load_network(name) if has_weights else entry.network({})
    return role.build(network, config, choose_runtime("cpu", precision))


def seconds_per_frame(segmenter: Segmenter, frames: int, objects: int) -> float:
    """Median CPU seconds of a step."""
    video = open_video(demo_folder() / "clip.mp4")
    images = video[: frames + 1]
    mask = read_mask(demo_folder() / "first_mask.png").labels
    for k in range(1, objects):  # pieces of the dog: what is in them does not change the time
        mask = np.where((mask == 1) & (np.arange(mask.shape[1]) % objects == k), k + 1, mask)
    segmenter.start(images[0], mask)
    times = []
    for image in images[1:]:
        began = time.process_time()
        segmenter.step(image)
        times.append(time.process_time() - began)
    return statistics.median(times[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    if arguments.frames <= WARM_UP:
        parser.error(f"--frames must be above {WARM_UP}")
    torch.set_num_threads(1)
    for name in arguments.models or names("segmenter"):
        segmenter = load(name, arguments.precision)
        seconds = seconds_per_frame(segmenter, arguments.frames, arguments.objects)
        print(f"{name:16} {seconds:.3f} s a frame", flush=True)


if __name__ == "__main__":
    main()
