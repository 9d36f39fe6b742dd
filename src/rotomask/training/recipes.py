"""Training recipes: plain data, one named recipe a model."""

from dataclasses import dataclass, field

from rotomask.models.stm_lite import STMLiteConfig


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a run with clips of one kind."""

    steps: int
    """Optimiser steps."""
    batch: int = 8
    """Clips a step."""
    frames: int = 3
    """Frames a clip."""
    size: int = 256
    """Side of the square frames, px; a multiple of 16."""
    real: float = 0.35
    """Part of the clips from real video; the others are simulated from stills."""
    two_objects: float = 0.25
    """Part of the steps whose clips have two objects; those are all simulated."""
    max_gap: tuple[int, int] = (2, 6)
    """Most frames from one frame of a real clip to the next, at the stage's first and last step."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a run depends on, but for the data."""

    name: str
    model: STMLiteConfig = field(default_factory=STMLiteConfig)
    stages: tuple[Stage, ...]
    learning_rate: float = 4e-4
    """Of the new layers, after warm-up; a half cosine over the last `decay` of the run."""
    encoder_factor: float = 0.25
    """Learning rate of the pre-trained encoder, as a part of `learning_rate`."""
    frozen_stages: int = 2
    """Encoder stages, from the input, that keep the weights they start with."""
    warmup: int = 100
    """Steps of linear warm-up."""
    decay: float = 0.6
    """Part of the run over which the learning rate falls."""
    weight_decay: float = 1e-4
    ema: float = 0.998
    """Of the averaged weights, which are the ones that are exported."""
    hardest: tuple[float, float] = (1.0, 0.25)
    """Part of the pixels in the bootstrapped cross-entropy, at the first and the last step."""
    clip_norm: float = 1.0
    """Largest norm of a step's gradient."""
    seed: int = 0
    validation: tuple[str, ...] = ("dog-agility", "hike", "motorbike", "swing")
    """Sequences kept out of training, on which weights are chosen."""

    @property
    def steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step, and how far through the stage it is, 0 to 1."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step / max(1, stage.steps - 1)
            step -= stage.steps
        return self.stages[-1], 1.0


RECIPES: dict[str, Recipe] = {
    "stm-lite": Recipe(
        name="stm-lite",
        stages=(
            Stage(steps=2300),
            Stage(steps=1000, batch=4, frames=4, size=320, real=0.5, max_gap=(4, 8)),
        ),
    ),
    # Goes on from the weights of stm-lite (--initial): longer clips teach it not to drift.
    "stm-lite-long": Recipe(
        name="stm-lite-long",
        stages=(Stage(steps=900, batch=4, frames=6, real=0.55, two_objects=0.2, max_gap=(3, 6)),),
        learning_rate=1.5e-4,
        warmup=50,
        decay=1.0,
        hardest=(0.25, 0.25),
        seed=1,
    ),
    # To compare designs: benchmarks/stm_lite_design.py.
    "stm-lite-short": Recipe(
        name="stm-lite-short", stages=(Stage(steps=320, size=192),), warmup=50
    ),
}
