"""A schedule, a recipe and a task: everything that the training loop needs to know."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.training.rates import Rates, slower_encoders
from rotomask.training.starting import start_from

Batch = dict[str, Tensor]
"""Tensors by name: what one process sees in one part of a step."""

Data = Mapping[str, Path]
"""Where each kind of training data is, as `--data NAME=PATH` gives it."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the weights are changed, whatever is trained."""

    learning_rate: float = 4e-4
    """After warm-up; each group of parameters has its own factor of it."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """SGD has momentum 0.9."""
    decay: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does in the last `decay_part` of the run."""
    decay_part: float = 0.6
    warmup: int = 100
    """Steps of linear warm-up."""
    weight_decay: float = 1e-4
    """Of kernels; biases and the scales of norms are not decayed."""
    ema: float = 0.998
    """Of the averaged weights, which are the ones that are validated and exported."""
    clip_norm: float = 1.0
    """Largest norm of a step's gradient."""
    accumulate: int = 1
    """Batches whose gradients are added up in a step."""
    seed: int = 0
    validate_every: int = 400
    """Steps between validations; there is one at the end in any case. 0: only that one."""
    refresh_every: int = 200
    """Steps between two looks of the task at its own statistics (`Task.refresh`)."""

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise OptionError(f"accumulate must be at least 1, got {self.accumulate}")
        if not 0 <= self.decay_part <= 1:
            raise OptionError(f"decay_part must be 0 to 1, got {self.decay_part}")


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A named task with its hyper-parameters; with the user's data it can be trained.

    Frozen, so that a run's folder can store its recipe as plain data.
    """

    name: str
    schedule: Schedule
    encoder_factor: float = 0.25
    """Learning rate of pre-trained encoders relative to that of the other parameters; 0: frozen."""
    frozen_stages: int = 2
    """Stages of a light encoder, from the input, that are not trained."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of optimiser steps: the sum over the recipe's stages."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""

    @abstractmethod
    def task(self, data: Data, initial: Path | None = None) -> "Task":
        """The task on this data.

        Args:
            data: Paths by name.
            initial: Weights to start from, in place of the recipe's own start.

        Raises:
            OptionError: If data is missing, or named unlike what the recipe takes.
            DatasetError: If a path does not have the expected layout.
            WeightsError: If the weights to start from are missing or of another network.
        """


class Task(ABC):
    """A network to train, its batches and its loss. The loop knows nothing else of it.

    Args:
        recipe: Hyper-parameters; its field ``model`` is the network's config.
        initial: Weights to start from, in place of the recipe's own start.
    """

    def __init__(self, recipe: Recipe, initial: Path | None = None) -> None:
        self._recipe, self.initial = recipe, initial
        self.start = "not built yet"
        """Starting weights, in words, for the run's record."""

    @property
    def schedule(self) -> Schedule:
        """How the weights are changed."""
        return self._recipe.schedule

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self._recipe.steps

    @abstractmethod
    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""

    def build(self) -> nn.Module:
        """The network with its starting weights, float32, on the CPU."""
        network, self.start = self.new_network()
        if self.initial is not None:
            self.start = start_from(network, self.initial)
        return network

    def rates(self, network: nn.Module) -> Rates:
        """Groups of trained parameters, each with its factor of the learning rate.

        Pre-trained encoders learn more slowly than the rest, their first stages not at all.
        Parameters that are not trained are frozen (`requires_grad_`) and in no group.
        """
        recipe = self._recipe
        return slower_encoders(network, recipe.encoder_factor, frozen_stages=recipe.frozen_stages)

    @abstractmethod
    def batch(self, step: int, part: int) -> Batch:
        """One batch on the CPU, a function of the schedule's seed and these numbers alone.

        Runs in a loader process. Images are uint8; what can be done in batches on the device
        belongs into `prepare`.

        Args:
            step: Number of the optimiser step.
            part: Number of the batch in the step: one for each process and accumulated batch.
        """

    def prepare(self, batch: Batch) -> Batch:
        """The batch as the loss takes it: augmentation on the device where the tensors are."""
        return batch

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Loss of a prepared batch, a scalar."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores on held-out data; ``score`` is the one that selects weights. May be empty."""
        return {}

    @abstractmethod
    def data_sizes(self) -> dict[str, int]:
        """Number of items in each part of the training data, for the run's record."""

    def description(self) -> dict[str, Any]:
        """Metadata of the exported weights: model, config, recipe, starting weights and data."""
        recipe = asdict(self._recipe)
        return {
            "model": self._recipe.model_name,
            "config": recipe["model"],
            "recipe": recipe,
            "start": self.start,
            "data": self.data_sizes(),
        }

    def refresh(self) -> None:  # noqa: B027 - most tasks need none
        """Let statistics of the data so far change the batches; called every `refresh_every`."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beyond the weights: plain data and tensors."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - most tasks have none
        """Restore what `state` returned."""


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """Learning rate of a step: warm-up, constant, then half a cosine down to 2 % in the last part.

    Args:
        schedule: Peak rate, warm-up and decay.
        step: Number of the step, from 0.
        steps: Steps of the whole run.
    """
    warm = min(1.0, (step + 1) / max(1, schedule.warmup))
    if schedule.decay == "constant":
        return schedule.learning_rate * warm
    start = steps * (1 - schedule.decay_part)
    progress = max(0.0, (step - start) / max(1.0, steps - start))
    fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(1.0, progress))).item())
    return schedule.learning_rate * warm * (0.02 + 0.98 * fall)
