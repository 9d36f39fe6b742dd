"""What trains flow-lite: pairs simulated from stills, the end-point error at every level."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.simulation.flow_pairs import FlowPair, FlowPairConfig, simulate_flow_pair
from rotomask.data.training.stills import JoinedStills, Stills
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
from rotomask.training.clip_data import open_stills
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.training.task import Batch, Data, Recipe, Schedule, Task

KEPT_OUT = 20
"""One still in so many is never trained on."""
ROBUST_PX = 0.01
FLOW_SCALE = 32
"""Flow travels from the loader as int16 of this many steps a pixel."""


@dataclass(frozen=True, kw_only=True)
class FlowRecipe(Recipe):
    """Everything that a run of flow-lite depends on, but for the data."""

    optimiser_steps: int
    """Steps of the run."""
    model: FlowLiteConfig = field(default_factory=FlowLiteConfig)
    pairs: FlowPairConfig = field(default_factory=lambda: FlowPairConfig(size=224))
    batch_size: int = 4
    """Pairs a batch."""
    power: float = 0.5
    """Of the error in the loss: below 1, what is far off counts less (Sun et al. 2018, eq. 5)."""
    hidden_weight: float = 0.5
    """Weight of pixels that the second frame does not show."""
    started: float = 0.5
    """Part of the pairs on which the fine levels start from DIS, which they learn to make better;
    on the others the network finds the flow alone."""
    encoder_factor: float = 0.0
    """The encoder is not trained."""
    validation: FlowPairConfig = field(default_factory=lambda: FlowPairConfig(size=384))
    """Of the pairs that are validated on, from stills kept out."""
    validation_pairs: int = 24

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.optimiser_steps

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "flow-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return FlowTask(self, open_stills(data, "flow-lite is"), initial)


class FlowTask(Task):
    """A recipe on the user's data."""

    def __init__(
        self, recipe: FlowRecipe, stills: Mapping[str, Stills], initial: Path | None = None
    ) -> None:
        super().__init__(recipe, initial)
        self.recipe = recipe
        self.sizes = {name: len(part) for name, part in stills.items()}
        self.train, self.held_out = split_stills(JoinedStills(tuple(stills.values())))

    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""
        network = FlowLite(self.recipe.model)
        network.encoder.load_imagenet(lite0_imagenet_weights())
        return network, "EfficientNet-Lite0 on ImageNet"

    def batch(self, step: int, part: int) -> Batch:
        """Frames B×3×S×S uint8, flow and that of DIS B×2×S×S int16 in 1/32 px, visible B×S×S."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.schedule.seed, step, part))
        pairs = [
            simulate_flow_pair(self.train, self.recipe.pairs, rng)
            for _ in range(self.recipe.batch_size)
        ]
        batch = stack_pairs(pairs)
        search = DISFlow()
        starts = [search.estimate(pair.first, pair.second) for pair in pairs]
        started = rng.random(len(pairs)) < self.recipe.started
        return batch | {"start": _packed(starts), "started": torch.from_numpy(started)}

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """The robust end-point error of every level, finer ones with more weight."""
        assert isinstance(network, FlowLite)
        recipe = self.recipe
        truth = batch["flow"].float() / FLOW_SCALE
        counts = torch.where(batch["visible"], 1.0, recipe.hidden_weight)[:, None]
        first, second = batch["first"].float() / 255, batch["second"].float() / 255
        start = InitialFlow(batch["start"].float() / FLOW_SCALE, batch["started"].float())
        levels = network.levels(first, second, start)
        total = truth.new_zeros(())
        for flow, weight in zip(levels, level_weights(len(levels)), strict=True):
            factor = truth.shape[-1] // flow.shape[-1]
            counted = F.avg_pool2d(counts, factor)
            aim = F.avg_pool2d(truth * counts, factor) / counted
            error = (end_point_error(flow, aim) + ROBUST_PX) ** recipe.power
            total = total + weight * (error * counted[:, 0]).mean()
        return total

    def validate(self, network: nn.Module) -> dict[str, float]:
        """End-point error on pairs of the stills kept out, and that of DIS on the same."""
        assert isinstance(network, FlowLite)
        pairs = self.validation_pairs()
        if not pairs:
            return {}
        runtime, search = choose_runtime("cpu", "float32"), DISFlow()
        alone = mean_error(LearnedFlow(network, runtime), pairs)
        started = mean_error(LearnedFlow(network, runtime, start=search), pairs)
        return {
            "score": 1 / (1 + (alone + started) / 2),
            "error px": alone,
            "error px from DIS": started,
            "error px of DIS": mean_error(search, pairs),
        }

    def validation_pairs(self) -> list[FlowPair]:
        """The same pairs at every validation."""
        if not len(self.held_out):
            return []
        rng = np.random.default_rng((self.schedule.seed, 2**31))
        config, count = self.recipe.validation, self.recipe.validation_pairs
        return [simulate_flow_pair(self.held_out, config, rng) for _ in range(count)]

    def data_sizes(self) -> dict[str, int]:
        """Number of items in each part of the training data."""
        return self.sizes


class SomeStills(Stills):
    """Some of a collection."""

    def __init__(self, stills: Stills, indices: range | list[int]) -> None:
        self.stills, self.indices = stills, indices

    def __len__(self) -> int:
        """How many."""
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """One image and its labels; see `Stills`."""
        return self.stills[self.indices[index]]


def split_stills(stills: Stills) -> tuple[Stills, Stills]:
    """What is trained on, and the one in twenty that is not."""
    kept_out = range(KEPT_OUT - 1, len(stills), KEPT_OUT)
    rest = [i for i in range(len(stills)) if i % KEPT_OUT != KEPT_OUT - 1]
    return SomeStills(stills, rest), SomeStills(stills, kept_out)


def stack_pairs(pairs: list[FlowPair]) -> Batch:
    """Pairs as tensors; see `FlowTask.batch`."""
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
    """Flows H×W×2 as B×2×H×W int16, `FLOW_SCALE` steps a pixel."""
    limit = np.iinfo(np.int16).max
    steps = np.clip(np.rint(np.stack(flows) * FLOW_SCALE), -limit, limit).astype(np.int16)
    return torch.from_numpy(steps).movedim(-1, 1).contiguous()


def mean_error(estimator: OpticalFlow, pairs: list[FlowPair]) -> float:
    """Mean end-point error over all pixels that the second frame shows, px."""
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
