"""Settings of one-shot fine-tuning, compared on videos with much change.

In the usual held-out sequences objects hardly change. So a parent is trained on seventeen sequences
of DAVIS-2016 train, and settings are compared on some of the other twelve:

    python -m studies.one_shot_settings --duts DUTS-TR --davis DAVIS-TRAIN --out runs/views \\
        --set view_scales=0.75,1.25 --set view_scales=0.5,1.6 --seeds 0,1
    python -m studies.one_shot_settings --recipe osvos-slim-distilled --duts DUTS-TR \\
        --davis DAVIS-TRAIN --out runs/slim --every 8 --sequences scooter-gray,dance-jump \\
        --set optimiser=sgd:learning_rate=0.001:kept=0 --set learning_rate=0.0001 --set kept=0.3

`--set` takes fields of `FineTuningConfig` that differ from the model's own, with colons between
them; each is a row, and without any the model's own are the row. A run that stopped goes on with
the same command. Once the parent is there, only the comparison is made anew. On one core the parent
of `oneshot` takes ten minutes and is validated once, and a row four; that of `osvos-slim` takes two
hours, and a sequence of a row three minutes.
"""

import argparse
import ast
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.jobs.loading import load_model
from rotomask.training.foreground import ForegroundRecipe
from rotomask.training.recipes import find_recipe
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


def every_few(video: VideoSequence, step: int) -> VideoSequence:
    """Every few frames of a video, from the first one with an object."""
    first = next(k for k in range(len(video)) if video.read(k)[1].any())
    names, images = video.frame_names[first::step], video.images[first::step]
    return replace(video, frame_names=names, images=images)


def parent(arguments: argparse.Namespace, recipe: ForegroundRecipe) -> Path:
    """Weights of a parent that has seen none of the sequences; trained if they are not there."""
    steps = arguments.steps or (700 if recipe.network == "oneshot" else recipe.steps)
    recipe = replace(
        recipe,
        held_out=CHANGING,
        stage=replace(recipe.stage, steps=steps),
        # At its end alone: what counts is compared below.
        schedule=replace(recipe.schedule, validate_every=0),
    )
    weights: Path = arguments.out / "weights.safetensors"
    if not weights.exists():
        data = {"duts": arguments.duts, "davis": arguments.davis}
        resumes = (arguments.out / "checkpoint.pt").exists()
        train(recipe, data, arguments.out, resume=resumes, initial=arguments.initial)
    return weights


def settings(text: str) -> dict[str, Any]:
    """Fields by name, from NAME=VALUE:NAME=VALUE; numbers with commas between them are a tuple.

    Example:
        >>> settings("kept=0.2:view_scales=0.5,1.6:optimiser=sgd")
        {'kept': 0.2, 'view_scales': (0.5, 1.6), 'optimiser': 'sgd'}
    """
    found = {}
    for part in filter(None, text.split(":")):
        name, _, value = part.partition("=")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--recipe", default="oneshot-lite", help="of the parent, which names it")
    parser.add_argument("--duts", type=Path, required=True)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the parent's run")
    parser.add_argument("--initial", type=Path, help="weights that the parent starts from")
    parser.add_argument("--steps", type=int, help="of the parent; default: 700 for oneshot")
    parser.add_argument("--sequences", default=",".join(CHANGING), help="default: all twelve")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one frame in N")
    parser.add_argument("--set", action="append", metavar="NAME=VALUE", help="settings of a row")
    parser.add_argument("--seeds", default="0", help="of the views; default: 0")
    arguments = parse(parser)
    recipe = find_recipe(arguments.recipe)
    if not isinstance(recipe, ForegroundRecipe):
        parser.error(f"{arguments.recipe} trains no one-shot model")
    chosen = arguments.sequences.split(",")
    unknown = sorted(set(chosen) - set(CHANGING))
    if unknown:
        parser.error(f"{', '.join(unknown)}: not among {', '.join(CHANGING)}")
    weights = parent(arguments, recipe)
    found = [video for video in find_videos(arguments.davis) if video.name in chosen]
    videos = [every_few(video, arguments.every) for video in found]
    rows = []
    for text in arguments.set or [""]:
        for seed in map(int, arguments.seeds.split(",")):
            changed = settings(text) | {"seed": seed}
            make = partial(load_model, recipe.network, weights=weights, device="cpu", **changed)
            scores = validate(make, videos)
            single = [scores[f"J {video.name}"] for video in videos]
            figures = [scores["score"], scores["J"], scores["F"], *single]
            rows.append([text or "its own", str(seed), *(f"{value:.3f}" for value in figures)])
            print(*rows[-1], flush=True)
    names = [f"J {video.name}" for video in videos]
    print(markdown_table(["settings", "seed", "J&F", "J", "F", *names], rows))


if __name__ == "__main__":
    main()
