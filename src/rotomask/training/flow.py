"""Training of flow-lite: frame pairs simulated from stills, end-point error at every level."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.simulation.flow_pairs import FlowPair, FlowPairConfig, simulate_flow_pair
from rotomask.data.training.stills import Stills
from rotomask.flow.learned_flow import LearnedFlow
from rotomask.flow.optical_flow import DISFlow, Flow, OpticalFlow
from rotomask.networks.flow_lite import (
    FlowLite,
    FlowLiteConfig,
    InitialFlow,
    end_point_error,
    level_weights,
)
from rotomask.networks.precision import choose_runtime
from rotomask.training.stills_task import StillsRecipe, StillsTask, open_stills
from rotomask.training.task import Batch, Data, Schedule, Task

HELD_OUT_EVERY = 20
"""One still in this many is held out for validation."""
ROBUST_PX = 0.01
"""Added to the error before it is raised to a power below 1, whose slope is infinite at 0."""
FLOW_SCALE = 32
"""Steps per pixel of the int16 flow that the loader hands to the training process."""


@dataclass(frozen=True, kw_only=True)
class FlowRecipe(StillsRecipe):
    """Hyper-parameters of a run of flow-lite."""

    model: FlowLiteConfig = field(default_factory=FlowLiteConfig)
    pairs: FlowPairConfig = field(default_factory=lambda: FlowPairConfig(size=224))
    batch_size: int = 4
    """Frame pairs per batch."""
    power: float = 0.5
    """Exponent of the error in the loss; below 1, outliers count less (Sun et al. 2018, eq. 5)."""
    hidden_weight: float = 0.5
    """Weight of pixels that are not visible in the second frame."""
    started: float = 0.5
    """Fraction of pairs for which the fine levels start from DIS flow and learn to refine it; for
    the others the network estimates the flow alone."""
    encoder_factor: float = 0.0
    """The encoder is not trained."""
    validation: FlowPairConfig = field(default_factory=lambda: FlowPairConfig(size=384))
    """Simulation of the validation pairs, from held-out stills."""
    validation_pairs: int = 24
    """Number of validation pairs."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "flow-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return FlowTask(self, open_stills(data, "flow-lite is"), initial)


class FlowTask(StillsTask):
    """Flow-lite with its training pairs, loss and validation."""

    recipe: FlowRecipe

    def __init__(
        self, recipe: FlowRecipe, stills: Mapping[str, Stills], initial: Path | None = None
    ) -> None:
        super().__init__(recipe, stills, initial)
        self.train, self.held_out = split_stills(self.stills)

    def batch(self, step: int, part: int) -> Batch:
        """One batch of simulated pairs.

        Returns:
            ``first`` and ``second`` B×3×S×S uint8; ``flow``, the true flow, and ``start``, that of
            DIS, B×2×S×S int16 in steps of 1/`FLOW_SCALE` px; ``visible`` B×S×S bool, True where
            the second frame shows the pixel; ``started`` B bool, True where the network may start
            from DIS.
        """
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.schedule.seed, step, part))
        pairs = [
            simulate_flow_pair(self.train, self.recipe.pairs, rng)
            for _ in range(self.recipe.batch_size)
        ]
        batch = stack_pairs(pairs)
        search = DISFlow()
        starts = [search.estimate(pair.first, pair.second) for pair in pairs]
        # Some pairs start from DIS, the others from nothing: one network learns both.
        started = rng.random(len(pairs)) < self.recipe.started
        return batch | {"start": _packed(starts), "started": torch.from_numpy(started)}

    def loss(self, network: FlowLite, batch: Batch, step: int) -> Tensor:
        """Weighted sum over the levels of their robust end-point error, a scalar."""
        recipe = self.recipe
        truth = batch["flow"].float() / FLOW_SCALE  # B×2×S×S, px
        pixel_weight = torch.where(batch["visible"], 1.0, recipe.hidden_weight)[:, None]  # B×1×S×S
        first, second = batch["first"].float() / 255, batch["second"].float() / 255
        start = InitialFlow(batch["start"].float() / FLOW_SCALE, batch["started"].float())
        levels = network.levels(first, second, start)
        total = truth.new_zeros(())
        for flow, weight in zip(levels, level_weights(len(levels)), strict=True):
            # Stride of the level: 32, 16, 8, 4 or 1.
            factor = truth.shape[-1] // flow.shape[-1]
            # The target of a cell is the weighted mean of its pixels' flow: visible ones, whose
            # flow can be seen, dominate. It stays in pixels of the full size, as `levels` does.
            cell_weight = F.avg_pool2d(pixel_weight, factor)  # B×1×h×w
            target = F.avg_pool2d(truth * pixel_weight, factor) / cell_weight  # B×2×h×w
            error = (end_point_error(flow, target) + ROBUST_PX) ** recipe.power  # B×h×w
            total = total + weight * (error * cell_weight[:, 0]).mean()
        return total

    def validate(self, network: FlowLite) -> dict[str, float]:
        """End-point errors of the network, alone and started from DIS, and of DIS itself.

        All on the same pairs, simulated from held-out stills.
        """
        pairs = self.validation_pairs()
        if not pairs:
            return {}
        runtime, search = choose_runtime("cpu", "float32"), DISFlow()
        # Both ways in which the network is used; the score is their mean.
        alone = mean_error(LearnedFlow(network, runtime), pairs)
        started = mean_error(LearnedFlow(network, runtime, start=search), pairs)
        return {
            "score": 1 / (1 + (alone + started) / 2),
            "error px": alone,
            "error px from DIS": started,
            "error px of DIS": mean_error(search, pairs),
        }

    def validation_pairs(self) -> list[FlowPair]:
        """Validation pairs, the same at every call."""
        if not len(self.held_out):
            return []
        rng = np.random.default_rng((self.schedule.seed, 2**31))
        config, count = self.recipe.validation, self.recipe.validation_pairs
        return [simulate_flow_pair(self.held_out, config, rng) for _ in range(count)]


class StillsSubset(Stills):
    """Subset of a collection of stills.

    Args:
        stills: The collection.
        indices: Positions of the subset's stills in it.
    """

    def __init__(self, stills: Stills, indices: range | list[int]) -> None:
        self.stills, self.indices = stills, indices

    def __len__(self) -> int:
        """Number of stills."""
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One image and its labels; see `Stills`."""
        return self.stills[self.indices[index]]


def split_stills(stills: Stills) -> tuple[Stills, Stills]:
    """Stills for training, and the one in `HELD_OUT_EVERY` for validation."""
    last = HELD_OUT_EVERY - 1
    held_out = range(last, len(stills), HELD_OUT_EVERY)
    training = [i for i in range(len(stills)) if i % HELD_OUT_EVERY != last]
    return StillsSubset(stills, training), StillsSubset(stills, held_out)


def stack_pairs(pairs: list[FlowPair]) -> Batch:
    """Pairs as tensors: ``first``, ``second``, ``flow``, ``visible``; see `FlowTask.batch`."""
    first, second = (
        torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs])).movedim(-1, 1)
        for name in ("first", "second")
    )
    return {
        "first": first.contiguous(),
        "second": second.contiguous(),
        "flow": _packed([pair.flow for pair in pairs]),
        "visible": torch.from_numpy(np.stack([pair.visible for pair in pairs])),
    }


def _packed(flows: list[Flow]) -> Tensor:
    """Flows H×W×2 as B×2×H×W int16, `FLOW_SCALE` steps per pixel: half the bytes to hand over."""
    limit = np.iinfo(np.int16).max
    steps = np.clip(np.rint(np.stack(flows) * FLOW_SCALE), -limit, limit).astype(np.int16)
    return torch.from_numpy(steps).movedim(-1, 1).contiguous()


def mean_error(estimator: OpticalFlow, pairs: list[FlowPair]) -> float:
    """Mean end-point error over all pixels that are visible in the second frame, px."""
    total, count = 0.0, 0
    for pair in pairs:
        error = np.linalg.norm(estimator.estimate(pair.first, pair.second) - pair.flow, axis=-1)
        total, count = total + float(error[pair.visible].sum()), count + int(pair.visible.sum())
    return total / max(1, count)


RECIPE = FlowRecipe(
    name="flow-lite",
    optimiser_steps=1700,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.5, ema=0.995, validate_every=425),
)
