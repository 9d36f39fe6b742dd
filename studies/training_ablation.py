"""Ablation of the stages of training: equal budgets, one thing left out at a time.

The rows of the papers (STM, table 1; RGMP, table 5) for stm-lite at short length: every variant has
the same number of steps and clips, starts from ImageNet and the same seed, and is validated on the
sequences kept out of training. Short trainings rank variants; they do not say how good a fully
trained one is.

    python -m studies.training_ablation --duts DUTS-TR --davis DAVIS-TRAIN --out runs/ablation
"""

from dataclasses import replace
from pathlib import Path

from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.hardware import Hardware
from rotomask.training.recipes import STM_LITE
from rotomask.training.run import train
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Schedule
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

STEPS = 240
STILLS = Stage(steps=STEPS, batch=6, frames=4, size=192, real=0.0, objects=(1.0,))
VIDEO = replace(STILLS, real=1.0)
NO_RECURRENCE = Recurrence(own_masks=0.0)


def both(recurrence: Recurrence, *, seed: int = 0) -> SpaceTimeRecipe:
    """Half the steps on stills, half on video."""
    stages = (replace(STILLS, steps=STEPS // 2), replace(VIDEO, steps=STEPS // 2))
    return recipe(stages, recurrence, seed=seed)


def recipe(
    stages: tuple[Stage, ...],
    recurrence: Recurrence,
    *,
    seed: int = 0,
    model: STMLiteConfig = STM_LITE,
) -> SpaceTimeRecipe:
    return SpaceTimeRecipe(
        name="ablation",
        schedule=Schedule(warmup=50, validate_every=0, seed=seed),
        model=model,
        stages=stages,
        recurrence=recurrence,
    )


VARIANTS = {
    "both": both(Recurrence()),
    "both, another seed": both(Recurrence(), seed=1),
    "-PT: video only": recipe((VIDEO,), Recurrence()),
    "-FT: stills only": recipe((STILLS,), Recurrence()),
    "-Rec: true masks": both(NO_RECURRENCE),
    "-FT, refined strides": recipe(
        (STILLS,), Recurrence(), model=replace(STM_LITE, refine_channels=64)
    ),
}

TABLES = """
Table 1 (Yu et al. 2019), STM with ResNet-50, YouTube-VOS validation, overall score: pre-training
only 0.617 with YouTube-VOS, 0.667 without; main training only 0.681; both 0.766. Table 2, with
pre-training only: ResNet-50 0.667, Refine-50 0.708.
"""


def main() -> None:
    parser = script_parser(__doc__, threads=2)
    parser.add_argument("--duts", type=Path, required=True)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    add_write(parser)
    arguments = parse(parser)
    data = {"duts": arguments.duts, "davis": arguments.davis}
    hardware = Hardware(accelerator="cpu")
    print(f"{'variant':22} {'J':>6} {'F':>6}")
    rows = []
    for name, variant in VARIANTS.items():
        folder = arguments.out / "".join(c if c.isalnum() else "-" for c in name)
        resume = (folder / "recipe.json").is_file()
        weights = train(variant, data, folder, resume=resume, hardware=hardware)
        scores = read_metadata(weights)["validation"]
        print(f"{name:22} {scores['J']:6.3f} {scores['F']:6.3f}", flush=True)
        overall = (scores["J"] + scores["F"]) / 2
        rows.append([name, f"{overall:.3f}", f"{scores['J']:.3f}", f"{scores['F']:.3f}"])
    table = markdown_table(["stm-lite", "J&F", "J", "F"], rows)
    text = (
        f"{STEPS} steps of six 192 px clips each; the four held-out sequences.\n\n{table}\n{TABLES}"
    )
    title = "Stages of training and refined strides (paper 2, tables 1 and 2)"
    command = "python -m studies.training_ablation --duts DUTS-TR --davis DAVIS --write"
    publish(arguments, "training", title, text, command=command)


if __name__ == "__main__":
    main()
