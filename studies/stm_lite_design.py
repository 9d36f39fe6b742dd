"""Ablation of stm-lite's design: short trainings that differ in one thing.

Trains every variant for the same 320 steps of eight 192 px clips, seeded alike, and prints J on the
four sequences kept out of training, parameters, and the milliseconds of a 480p frame with six
frames in memory. Short trainings rank designs; they do not say how good a fully trained one is.

    python -m studies.stm_lite_design --duts DUTS-TR --davis DAVIS-TRAIN --out runs/design
"""

from dataclasses import replace
from pathlib import Path

from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig
from rotomask.training.recipes import RECIPES, STM_LITE
from rotomask.training.run import train
from rotomask.training.space_time import SpaceTimeRecipe
from studies.measuring import noise_milliseconds
from studies.scripts import parse, script_parser

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


def milliseconds(config: STMLiteConfig) -> float:
    """Median time of a 480p frame, with six frames in memory."""
    segmenter = SpaceTimeSegmenter(
        STMLite(config), SpaceTimeConfig(memory_every=1), choose_runtime("cpu")
    )
    return noise_milliseconds(segmenter, warm=8, frames=20)


def main() -> None:
    parser = script_parser(__doc__, threads=2)
    parser.add_argument("--duts", type=Path)
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/design"))
    parser.add_argument("--only", help="only these variants, comma-separated")
    parser.add_argument("--time-only", action="store_true", help="do not train")
    arguments = parse(parser)
    base = RECIPES["stm-lite-short"]
    assert isinstance(base, SpaceTimeRecipe)
    print(f"{'variant':20} {'J':>6} {'parameters':>11} {'ms/frame':>9}")
    names = arguments.only.split(",") if arguments.only else list(VARIANTS)
    for name, config in ((name, VARIANTS[name]) for name in names):
        score = float("nan")
        if not arguments.time_only:
            folder = arguments.out / name.replace(" ", "-").replace("/", "-")
            recipe = replace(base, model=config)
            data = {"duts": arguments.duts, "davis": arguments.davis}
            weights = train(recipe, data, folder, resume=(folder / "recipe.json").is_file())
            score = read_metadata(weights)["validation"]["J"]
        parameters = sum(p.numel() for p in STMLite(config).parameters())
        print(f"{name:20} {score:6.3f} {parameters:11,} {milliseconds(config):9.1f}", flush=True)


if __name__ == "__main__":
    main()
