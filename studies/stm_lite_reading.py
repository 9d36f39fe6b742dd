"""What the segmenter's settings are worth: one network, run in different ways.

Prints J and F on the sequences kept out of training, or with --all on all of a data set, and the
median milliseconds of a 480p frame.

    python -m studies.stm_lite_reading --davis DAVIS-TRAIN [--weights FILE]
    python -m studies.stm_lite_reading --davis DAVIS-VAL --all --only "every 5th and previous"
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rotomask.catalog import shipped_weights
from rotomask.data.training.clips import find_videos
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.training.space_time import HELD_OUT
from rotomask.training.validation import validate

SHIPPED = SpaceTimeConfig(enlarge=True)
VARIANTS = {
    "shipped": SHIPPED,
    "first frame only": replace(SHIPPED, memory_frames=1),
    "previous frame only": replace(SHIPPED, memory_frames=0, use_previous=True),
    "first and previous": replace(SHIPPED, memory_frames=1, use_previous=True),
    "every 5th and previous": replace(SHIPPED, use_previous=True),
    "top 20": replace(SHIPPED, top_k=20),
    "top 50": replace(SHIPPED, top_k=50),
    "2 frames": replace(SHIPPED, memory_frames=2),
    "4 frames": replace(SHIPPED, memory_frames=4),
    "10 frames": replace(SHIPPED, memory_frames=10),
    "every 2nd frame": replace(SHIPPED, memory_every=2),
    "every 10th frame": replace(SHIPPED, memory_every=10),
    "360 px": replace(SHIPPED, size=360),
    "600 px": replace(SHIPPED, size=600),
}


def milliseconds(network: STMLite, config: SpaceTimeConfig, frames: int = 41) -> float:
    """Median time of a 480p frame once the memory is full."""
    segmenter = SpaceTimeSegmenter(network, config, choose_runtime("cpu"))
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.int32)
    mask[100:300, 200:500] = 1
    segmenter.start(frame, mask)
    full = config.memory_every * config.memory_frames
    times = []
    for _ in range(frames + full):
        began = time.perf_counter()
        segmenter.step(frame)
        times.append(time.perf_counter() - began)
    return float(np.median(times[full:])) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=shipped_weights("stm-lite"))
    parser.add_argument("--all", action="store_true", help="not only the held-out sequences")
    parser.add_argument("--only", choices=VARIANTS, help="one way of running it")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = read_metadata(arguments.weights)["config"]
    config["decoder_channels"] = tuple(config["decoder_channels"])
    network = STMLite(STMLiteConfig(**config))
    load_into(network, arguments.weights)
    videos = [v for v in find_videos(arguments.davis) if arguments.all or v.name in HELD_OUT]
    print(f"{'variant':26} {'J':>6} {'F':>6} {'ms/frame':>9}")
    chosen = [arguments.only] if arguments.only else list(VARIANTS)
    for name in chosen:
        variant = VARIANTS[name]
        scores = validate(lambda v=variant: SpaceTimeSegmenter(network, v), videos)  # type: ignore[misc]
        cost = milliseconds(network, variant)
        print(f"{name:26} {scores['J']:6.3f} {scores['F']:6.3f} {cost:9.1f}", flush=True)


if __name__ == "__main__":
    main()
