"""What each stage of training is worth: equal budgets, one thing left out at a time.

The rows of the papers (STM, table 1; RGMP, table 5) for stm-lite at short length: every variant has
the same number of steps and clips, starts from ImageNet and the same seed, and is validated on the
sequences kept out of training. Short trainings rank variants; they do not say how good a fully
trained one is.

    python benchmarks/training_ablation.py --duts DUTS-TR --davis DAVIS-TRAIN --out runs/ablation
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from rotomask.models.checkpoints import read_metadata
from rotomask.training.clip_data import Stage
from rotomask.training.loop import Hardware
from rotomask.training.recipes import STM_LITE
from rotomask.training.run import train
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Schedule

STEPS = 240
STILLS = Stage(steps=STEPS, batch=6, frames=4, size=192, real=0.0, objects=(1.0,))
VIDEO = replace(STILLS, real=1.0)
NO_RECURRENCE = Recurrence(soft_masks=False)


def both(recurrence: Recurrence, *, seed: int = 0) -> SpaceTimeRecipe:
    """Half the steps on stills, half on video."""
    stages = (replace(STILLS, steps=STEPS // 2), replace(VIDEO, steps=STEPS // 2))
    return recipe(stages, recurrence, seed=seed)


def recipe(stages: tuple[Stage, ...], recurrence: Recurrence, *, seed: int = 0) -> SpaceTimeRecipe:
    return SpaceTimeRecipe(
        name="ablation",
        schedule=Schedule(steps=STEPS, warmup=50, validate_every=0, seed=seed),
        model=STM_LITE,
        stages=stages,
        recurrence=recurrence,
    )


VARIANTS = {
    "both": both(Recurrence()),
    "both, another seed": both(Recurrence(), seed=1),
    "-PT: video only": recipe((VIDEO,), Recurrence()),
    "-FT: stills only": recipe((STILLS,), Recurrence()),
    "-Rec: true masks": both(NO_RECURRENCE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duts", type=Path, required=True)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = {"duts": arguments.duts, "davis": arguments.davis}
    hardware = Hardware(accelerator="cpu")
    print(f"{'variant':22} {'J':>6} {'F':>6}")
    for name, variant in VARIANTS.items():
        folder = arguments.out / "".join(c if c.isalnum() else "-" for c in name)
        resume = (folder / "recipe.json").is_file()
        weights = train(variant, data, folder, resume=resume, hardware=hardware)
        scores = read_metadata(weights)["validation"]
        print(f"{name:22} {scores['J']:6.3f} {scores['F']:6.3f}", flush=True)


if __name__ == "__main__":
    main()
