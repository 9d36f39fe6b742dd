"""What each part of stm-lite's design is worth: short trainings that differ in one thing.

Trains every variant for the same 320 steps of eight 192 px clips, seeded alike, and prints J on the
four sequences kept out of training, parameters, and the milliseconds of a 480p frame with six
frames in memory. Short trainings rank designs; they do not say how good a fully trained one is.

    python -m studies.stm_lite_design --duts DUTS-TR --davis DAVIS-TRAIN --out runs/design
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.training.recipes import RECIPES, STM_LITE
from rotomask.training.run import train

BASE = STMLiteConfig()
VARIANTS = {
    "base": BASE,
    "dot product": replace(BASE, similarity="dot"),
    "no guidance": replace(BASE, guidance=False),
    "key 32": replace(BASE, key_channels=32),
    "key 128": replace(BASE, key_channels=128),
    "decoder 96/64/32": replace(BASE, decoder_channels=(96, 64, 32)),
    "decoder 192/128/64": replace(BASE, decoder_channels=(192, 128, 64)),
    "context": replace(BASE, context_channels=192),
    "shipped": STM_LITE,
}


def milliseconds(config: STMLiteConfig, frames: int = 20) -> float:
    """Median time of a 480p frame, once six frames are remembered."""
    segmenter = SpaceTimeSegmenter(
        STMLite(config), SpaceTimeConfig(memory_every=1), choose_runtime("cpu")
    )
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.int32)
    mask[100:300, 200:500] = 1
    segmenter.start(frame, mask)
    times = []
    for _ in range(frames + 8):
        began = time.perf_counter()
        segmenter.step(frame)
        times.append(time.perf_counter() - began)
    return float(np.median(times[8:])) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duts", type=Path)
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/design"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="these variants, with commas between")
    parser.add_argument("--time-only", action="store_true", help="do not train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'variant':20} {'J':>6} {'parameters':>11} {'ms/frame':>9}")
    names = arguments.only.split(",") if arguments.only else list(VARIANTS)
    for name, config in ((name, VARIANTS[name]) for name in names):
        score = float("nan")
        if not arguments.time_only:
            folder = arguments.out / name.replace(" ", "-").replace("/", "-")
            recipe = replace(RECIPES["stm-lite-short"], model=config)
            data = {"duts": arguments.duts, "davis": arguments.davis}
            weights = train(recipe, data, folder, resume=(folder / "recipe.json").is_file())
            score = read_metadata(weights)["validation"]["J"]
        parameters = sum(p.numel() for p in STMLite(config).parameters())
        print(f"{name:20} {score:6.3f} {parameters:11,} {milliseconds(config):9.1f}", flush=True)


if __name__ == "__main__":
    main()
