"""Which views of the marked frame `oneshot` should learn from, on videos with much change.

In the usual held-out sequences objects hardly change. So a parent is trained on seventeen sequences
of DAVIS-2016 train, and fine-tuning is compared on the other twelve:

    python -m studies.one_shot_views --duts DUTS-TR --davis DAVIS-TRAIN --out runs/views \\
        --scales 0.75,1.25 --scales 0.5,1.6 --seeds 0,1

A run that stopped goes on with the same command. Once the parent is there, only the comparison is
made anew. The parent takes ten minutes of one core and is validated once, a row four.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from rotomask.data.training.clips import find_videos
from rotomask.jobs.loading import load_model
from rotomask.training.recipes import ONESHOT_LITE
from rotomask.training.run import train
from rotomask.training.validation import validate
from studies.results_page import markdown_table
from studies.scripts import parse, script_parser

CHANGING = (
    "bmx-bumps",
    "breakdance-flare",
    "car-turn",
    "dance-jump",
    "drift-turn",
    "horsejump-low",
    "kite-walk",
    "motocross-bumps",
    "scooter-gray",
    "soccerball",
    "stroller",
    "surf",
)
"""Sequences of DAVIS-2016 train in which much moves and turns."""


def parent(arguments: argparse.Namespace) -> Path:
    """Weights of a parent that has seen none of the sequences; trained if they are not there."""
    recipe = replace(
        ONESHOT_LITE,
        held_out=CHANGING,
        stage=replace(ONESHOT_LITE.stage, steps=arguments.steps),
        # At its end alone: what counts is compared below.
        schedule=replace(ONESHOT_LITE.schedule, validate_every=0),
    )
    weights: Path = arguments.out / "weights.safetensors"
    if not weights.exists():
        data = {"duts": arguments.duts, "davis": arguments.davis}
        resumes = (arguments.out / "checkpoint.pt").exists()
        train(recipe, data, arguments.out, resume=resumes, initial=arguments.initial)
    return weights


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--duts", type=Path, required=True)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the parent's run")
    parser.add_argument("--initial", type=Path, help="weights of stm-lite, for the encoder")
    parser.add_argument("--steps", type=int, default=700, help="of the parent; default: 700")
    parser.add_argument("--scales", action="append", metavar="LEAST,MOST")
    parser.add_argument("--iterations", type=int, default=80, help="default: 80")
    parser.add_argument("--seeds", default="0", help="of the views; default: 0")
    arguments = parse(parser)
    weights = parent(arguments)
    videos = [v for v in find_videos(arguments.davis) if v.name in CHANGING]
    rows = []
    for text in arguments.scales or ["0.5,1.6"]:
        least, most = map(float, text.split(","))
        for seed in arguments.seeds.split(","):
            make = partial(
                load_model,
                "oneshot",
                weights=weights,
                device="cpu",
                iterations=arguments.iterations,
                view_scales=(least, most),
                seed=int(seed),
            )
            scores = validate(make, videos)
            rows.append([text, seed, *(f"{scores[key]:.3f}" for key in ("score", "J", "F"))])
            print(*rows[-1], flush=True)
    print(markdown_table(["scales", "seed", "J&F", "J", "F"], rows))


if __name__ == "__main__":
    main()
