"""Soft aggregation, winner-take-all and the naive form (RGMP, sec. 3.3) on composed videos.

    python -m studies.merging --davis DAVIS-TRAIN [--frames 12] [--model stm-lite]

Videos of two look-alikes and of three things, composed of the held-out sequences
(`training/composed_videos.py`).
"""

import argparse
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from rotomask.data.training.clips import find_videos
from rotomask.jobs.loading import load_model
from rotomask.networks.layers.aggregation import Aggregation
from rotomask.training.composed_videos import compose_videos
from rotomask.training.validation import validate
from rotomask.training.video_split import HELD_OUT
from studies.results_page import markdown_table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--model", default="stm-lite")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    videos = compose_videos(
        [v for v in find_videos(arguments.davis) if v.name in HELD_OUT], frames=arguments.frames
    )
    rows = []
    for merge in get_args(Aggregation):
        scores = validate(
            partial(load_model, arguments.model, device="cpu", aggregation=merge), videos
        )
        rows.append([merge, *(f"{scores[name]:.3f}" for name in ("score", "J", "F"))])
        print(*rows[-1], flush=True)
    print(f"{len(videos)} videos of {arguments.frames} frames\n")
    print(markdown_table(["--merge", "J&F", "J", "F"], rows))


if __name__ == "__main__":
    main()
