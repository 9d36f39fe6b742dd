"""Recipes of the long training of stm-lite in stages: many small clips first, few large ones last.

Each stage is a recipe of its own that starts from the weights of the stage before (`--initial`), so
that it can be interrupted, resumed and repeated alone. `for_gpu` and `with_steps` adapt the stages
to the speed of the machine.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
    context_slope=0.1,
)

# Fractions of the batches whose clips have one to eight objects.
MANY = (0.3, 0.33, 0.17, 0.1, 0.04, 0.02, 0.02, 0.02)
FEWER = (0.36, 0.32, 0.18, 0.08, 0.02, 0.02, 0.01, 0.01)

# The late stages are more like real video: fewer jumps in size, longer absences.
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


def averaging(steps: int) -> float:
    """Decay of the averaged weights for a horizon of a tenth of the steps."""
    return 1 - 1 / max(10, steps // 10)


def _after(
    recipe: SpaceTimeRecipe,
    name: str,
    *,
    stage: Mapping[str, Any],
    schedule: Mapping[str, Any],
    **changes: Any,
) -> SpaceTimeRecipe:
    """Recipe of the next stage, given what differs; warm-up and average fit its steps."""
    clips = replace(recipe.stages[0], **stage)
    own = {"warmup": max(20, clips.steps // 50), "ema": averaging(clips.steps), **schedule}
    return replace(
        recipe, name=name, stages=(clips,), schedule=replace(recipe.schedule, **own), **changes
    )


A = SpaceTimeRecipe(
    name="stm-lite-a",
    schedule=Schedule(
        learning_rate=4e-4,
        decay="constant",
        decay_part=1.0,
        warmup=144,
        weight_decay=0.03,
        ema=averaging(7200),
        validate_every=0,
        recycle=True,
        seed=21,
    ),
    model=MODEL,
    stages=(
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
    ),
    recurrence=Recurrence(own_masks=0.35, memory_frames=2),
    hardest=(0.5, 0.25),
    hardest_per_clip=True,
    encoder_factor=0.25,
    frozen_filters=True,
    composed_validation=True,
)
B = _after(
    A,
    "stm-lite-b",
    stage={
        "steps": 3200,
        "batch": 12,
        "frames": 4,
        "size": 256,
        "real": 0.35,
        "most_objects": 36,
        "max_gap": (2, 8),
    },
    schedule={"seed": 22},
    recurrence=Recurrence(own_masks=0.6, memory_frames=2),
    hardest=(0.25, 0.2),
)
C = _after(
    B,
    "stm-lite-c",
    stage={
        "steps": 4600,
        "batch": 8,
        "frames": 6,
        "size": 288,
        "real": 0.6,
        "objects": FEWER,
        "most_objects": 20,
        "scales": (0.6, 1.6),
        "composition": LATE,
    },
    schedule={"learning_rate": 2.5e-4, "decay": "cosine", "weight_decay": 0.05, "seed": 23},
    recurrence=Recurrence(memory_frames=3),
    encoder_factor=0.1,
    hardest=(0.2, 0.15),
)
D = _after(
    C,
    "stm-lite-d",
    stage={
        "steps": 1900,
        "batch": 4,
        "frames": 8,
        "size": 384,
        "real": 0.75,
        "most_objects": 10,
        "max_gap": (4, 3),
        "scales": (0.7, 1.8),
        "motion": MotionConfig(strength=0.7, bending=0.3),
        "appearance": 0.5,
    },
    schedule={"learning_rate": 1e-4, "seed": 24},
    hardest=(0.15, 0.15),
)
STAGES = (A, B, C, D)
# A short stage D, to get usable weights from an unfinished stage.
FINISH = _after(
    D,
    "stm-lite-finish",
    stage={"steps": 200, "frames": 6, "max_gap": (3, 3)},
    schedule={"warmup": 10, "seed": 25},
)


def with_steps(recipe: SpaceTimeRecipe, steps: int) -> SpaceTimeRecipe:
    """Recipe with another number of steps, its warm-up and average in proportion."""
    schedule = {"warmup": max(5, steps // 50)}
    return _after(recipe, recipe.name, stage={"steps": steps}, schedule=schedule)


def for_gpu(recipe: SpaceTimeRecipe) -> SpaceTimeRecipe:
    """Recipe with larger batches and frames; the learning rate grows by the batch's square root."""
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
