"""Named recipes: plain data, one a model and stage of its training."""

from dataclasses import replace

from rotomask.errors import OptionError
from rotomask.models.stm import STMConfig
from rotomask.models.stm_lite import STMLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Recipe, Schedule

STM_LITE = STMLiteConfig(key_channels=128, decoder_channels=(192, 128, 64), context_channels=192)

_PRE_TRAINING = Stage(steps=2000, real=0.0, objects=(0.7, 0.25, 0.05))
_MAIN_TRAINING = Stage(
    steps=1500, batch=4, frames=6, size=288, real=0.55, objects=(0.8, 0.2), max_gap=(2, 7)
)

RECIPES: dict[str, Recipe] = {
    "stm-lite": SpaceTimeRecipe(
        name="stm-lite",
        schedule=Schedule(steps=3500),
        model=STM_LITE,
        stages=(_PRE_TRAINING, _MAIN_TRAINING),
    ),
    # Goes on from the weights of another run (--initial): longer clips teach it not to drift.
    "stm-lite-long": SpaceTimeRecipe(
        name="stm-lite-long",
        schedule=Schedule(steps=1600, learning_rate=2.5e-4, decay_part=0.7, seed=4),
        model=STM_LITE,
        stages=(
            replace(
                _MAIN_TRAINING,
                steps=1600,
                real=0.5,
                objects=(0.75, 0.25),
                max_gap=(2, 8),
                scales=(0.6, 1.6),
            ),
        ),
        hardest=(0.3, 0.2),
    ),
    # To compare designs and stages: benchmarks/training_ablation.py.
    "stm-lite-short": SpaceTimeRecipe(
        name="stm-lite-short",
        schedule=Schedule(steps=320, warmup=50, validate_every=0),
        model=STM_LITE,
        stages=(Stage(steps=320, size=192),),
    ),
    # As the paper trains (Oh et al. 2019, sec. 3.5), at a size that fits one GPU.
    "stm": SpaceTimeRecipe(
        name="stm",
        schedule=Schedule(
            steps=60000, learning_rate=1e-5, decay="constant", accumulate=2, validate_every=4000
        ),
        network="stm",
        model=STMConfig(),
        stages=(
            Stage(steps=30000, batch=2, size=384, real=0.0, objects=(0.5, 0.3, 0.2)),
            Stage(
                steps=30000, batch=2, size=384, real=1.0, objects=(0.5, 0.3, 0.2), max_gap=(1, 25)
            ),
        ),
        recurrence=Recurrence(skip_previous=0.0, guidance_dropped=0.0, guidance_stale=0.0),
        hardest=(1.0, 1.0),
        dice=0.0,
        encoder_factor=1.0,
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        OptionError: If there is none; the message lists the known ones.
    """
    if name not in RECIPES:
        raise OptionError(f"unknown recipe {name!r}; known recipes: {', '.join(RECIPES)}")
    return RECIPES[name]
