"""Training throughput, with and without what makes it fast, in one run on random clips.

python benchmarks/training_speed.py --threads 1
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rotomask.models.layers.efficientnet_lite import DepthwiseConv2d
from rotomask.models.stm_lite import STMLite
from rotomask.training.loop import Run
from rotomask.training.recipes import RECIPES


def clips_per_second(frozen_stages: int, batch: int = 4, steps: int = 5) -> float:
    """Median throughput of the first stage's steps, data preparation apart."""
    recipe = replace(RECIPES["stm-lite"], frozen_stages=frozen_stages)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(recipe, STMLite(), Path(folder))
        generator = torch.Generator().manual_seed(0)
        frames = torch.randint(0, 256, (batch, 3, 3, 256, 256), generator=generator).byte()
        labels = torch.randint(0, 2, (batch, 3, 256, 256), generator=generator).byte()
        times = []
        for _ in range(steps + 2):
            began = time.perf_counter()
            run.learn(frames, labels)
            times.append(time.perf_counter() - began)
    return batch / float(np.median(times[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    ours = DepthwiseConv2d.forward
    DepthwiseConv2d.forward = nn.Conv2d.forward  # type: ignore[method-assign]
    plain, frozen = clips_per_second(0), clips_per_second(2)
    DepthwiseConv2d.forward = ours  # type: ignore[method-assign]
    print(f"bfloat16 throughout             {plain:5.1f} clips/s")
    print(f"+ early encoder stages frozen   {frozen:5.1f} clips/s")
    print(f"+ depthwise layers in float32   {clips_per_second(2):5.1f} clips/s")


if __name__ == "__main__":
    main()
