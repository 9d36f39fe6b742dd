"""The long training of stm-lite in stages: small and many first, large and long last.

Each stage is a recipe of its own that starts from the weights of the one before (`--initial`), so
that it can be stopped, resumed and repeated alone. `for_gpu` and `with_steps` give the same stages
for a machine of another speed.
"""

from dataclasses import replace

from rotomask.data.simulation import Composition, MotionConfig
from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Schedule

MODEL = STMLiteConfig(
    key_channels=128,
    decoder_channels=(192, 128, 64),
    context_channels=192,
    others_guidance=True,
)

# Of one to eight objects a clip.
MANY = (0.3, 0.33, 0.17, 0.1, 0.04, 0.02, 0.02, 0.02)
FEWER = (0.36, 0.32, 0.18, 0.08, 0.02, 0.02, 0.01, 0.01)

# Late stages look like video again: fewer jumps, longer absences.
LATE = Composition(
    same_kind=0.2,
    look_alike=0.2,
    twin=0.15,
    crowd=0.1,
    zoom_jumps=0.05,
    growth=0.15,
    covered=0.2,
    thin_parts=0.05,
    low_resolution=0.08,
)


def _recipe(
    name: str,
    stage: Stage,
    recurrence: Recurrence,
    *,
    learning_rate: float,
    falls: bool,
    weight_decay: float,
    encoder_factor: float,
    hardest: tuple[float, float],
    seed: int,
) -> SpaceTimeRecipe:
    """A recipe of one stage; the average reaches back over a tenth of it."""
    return SpaceTimeRecipe(
        name=name,
        schedule=Schedule(
            learning_rate=learning_rate,
            decay="cosine" if falls else "constant",
            decay_part=1.0,
            warmup=max(20, stage.steps // 50),
            weight_decay=weight_decay,
            ema=averaging(stage.steps),
            validate_every=0,
            seed=seed,
        ),
        model=MODEL,
        stages=(stage,),
        recurrence=recurrence,
        hardest=hardest,
        hardest_per_clip=True,
        encoder_factor=encoder_factor,
        frozen_filters=True,
        composed_validation=True,
    )


def averaging(steps: int) -> float:
    """The averaged weights' decay for a horizon of a tenth of the steps."""
    return 1 - 1 / max(10, steps // 10)


A = _recipe(
    "stm-lite-a",
    Stage(
        steps=7200,
        batch=16,
        frames=3,
        size=192,
        real=0.2,
        objects=MANY,
        most_objects=48,
        max_gap=(2, 6),
        composition=Composition(),
    ),
    Recurrence(own_masks=0.35, memory_frames=2),
    learning_rate=4e-4,
    falls=False,
    weight_decay=0.03,
    encoder_factor=0.25,
    hardest=(0.5, 0.25),
    seed=21,
)
B = _recipe(
    "stm-lite-b",
    Stage(
        steps=3200,
        batch=12,
        frames=4,
        size=256,
        real=0.35,
        objects=MANY,
        most_objects=36,
        max_gap=(2, 8),
        composition=Composition(),
    ),
    Recurrence(own_masks=0.6, memory_frames=2),
    learning_rate=4e-4,
    falls=False,
    weight_decay=0.03,
    encoder_factor=0.25,
    hardest=(0.25, 0.2),
    seed=22,
)
C = _recipe(
    "stm-lite-c",
    Stage(
        steps=4600,
        batch=8,
        frames=6,
        size=288,
        real=0.6,
        objects=FEWER,
        most_objects=20,
        max_gap=(2, 8),
        scales=(0.6, 1.6),
        composition=LATE,
    ),
    Recurrence(memory_frames=3),
    learning_rate=2.5e-4,
    falls=True,
    weight_decay=0.05,
    encoder_factor=0.1,
    hardest=(0.2, 0.15),
    seed=23,
)
D = _recipe(
    "stm-lite-d",
    Stage(
        steps=1900,
        batch=4,
        frames=8,
        size=384,
        real=0.75,
        objects=FEWER,
        most_objects=10,
        max_gap=(4, 3),
        scales=(0.7, 1.8),
        motion=MotionConfig(strength=0.7, bending=0.3),
        appearance=0.5,
        composition=LATE,
    ),
    Recurrence(memory_frames=3),
    learning_rate=1e-4,
    falls=True,
    weight_decay=0.05,
    encoder_factor=0.1,
    hardest=(0.15, 0.15),
    seed=24,
)
STAGES = (A, B, C, D)
# A short D, to have weights for use from a stage that is under way.
FINISH = replace(
    D,
    name="stm-lite-finish",
    schedule=replace(D.schedule, warmup=10, ema=averaging(200), seed=25),
    stages=(replace(D.stages[0], steps=200, frames=6, max_gap=(3, 3)),),
)


def with_steps(recipe: SpaceTimeRecipe, steps: int) -> SpaceTimeRecipe:
    """A recipe of one stage with another number of steps, all else to scale."""
    schedule = replace(recipe.schedule, warmup=max(5, steps // 50), ema=averaging(steps))
    return replace(recipe, schedule=schedule, stages=(replace(recipe.stages[0], steps=steps),))


def for_gpu(recipe: SpaceTimeRecipe) -> SpaceTimeRecipe:
    """A stage with larger batches and frames, its learning rate by the square root of the batch."""
    changes = {
        A.name: {"batch": 64, "size": 256, "most_objects": 192},
        B.name: {"batch": 48, "size": 288, "most_objects": 144},
        C.name: {"batch": 24, "size": 352, "frames": 8, "most_objects": 60},
        D.name: {"batch": 12, "size": 448, "frames": 8, "most_objects": 30},
    }[recipe.name]
    stage = replace(recipe.stages[0], **changes)  # type: ignore[arg-type]
    rate = recipe.schedule.learning_rate * (stage.batch / recipe.stages[0].batch) ** 0.5
    return replace(
        recipe,
        schedule=replace(recipe.schedule, learning_rate=rate, refresh_every=500),
        stages=(stage,),
        frozen_filters=False,
    )
