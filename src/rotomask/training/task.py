"""What the loop is told: a schedule, and a task that knows its network, batches and loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rotomask.errors import OptionError

Batch = dict[str, Tensor]
"""Tensors by name: what one process sees in one part of a step."""

Data = Mapping[str, Path]
"""Where each kind of training data is, as `--data NAME=PATH` gives it."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the weights are changed, whatever is trained."""

    steps: int
    """Optimiser steps."""
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
        if self.steps < 1 or self.accumulate < 1:
            raise OptionError(
                f"a schedule needs steps and accumulate of at least 1, got {self.steps} and "
                f"{self.accumulate}"
            )
        if not 0 <= self.decay_part <= 1:
            raise OptionError(f"decay_part must be 0 to 1, got {self.decay_part}")


class Task(ABC):
    """A network to train, its batches and its loss. The loop knows nothing else of it."""

    schedule: Schedule

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with the weights it starts from, float32, on the CPU."""

    def rates(self, network: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """Groups of trained parameters, and the factor of the learning rate of each.

        May freeze parameters (`requires_grad_`), which then are in no group.
        """
        return [([p for p in network.parameters() if p.requires_grad], 1.0)]

    @abstractmethod
    def batch(self, step: int, part: int) -> Batch:
        """One batch on the CPU, a function of the schedule's seed and these numbers alone.

        Runs in a loader process. Pictures are uint8; what can be done in batches on the device
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
        """The loss of a prepared batch, a scalar."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores on data kept out of training; ``score`` is the one that chooses. May be empty."""
        return {}

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What the exported weights say of themselves: ``model``, ``config``, ``data``, ..."""

    def refresh(self) -> None:  # noqa: B027 - most tasks need none
        """Called every `refresh_every` steps: what was learned of the data may change batches."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beyond the weights: plain data and tensors."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - most tasks have none
        """Take what `state` gave."""


class Recipe(ABC):
    """A named task with its hyper-parameters; given the user's data it can be trained.

    Recipes are frozen dataclasses, so that a run's folder can hold its recipe as plain data.
    """

    name: str
    schedule: Schedule

    @abstractmethod
    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data.

        Args:
            data: Paths by name.
            initial: Weights to start from, in place of the recipe's own start.

        Raises:
            OptionError: If data is missing or named unlike what the recipe takes.
            DatasetError: If a path is not what it should be.
            WeightsError: If the weights to start from are missing or of another network.
        """


def learning_rate(schedule: Schedule, step: int) -> float:
    """Of a step: warm-up, then constant, then over the last part a half cosine down to 2 %."""
    warm = min(1.0, (step + 1) / max(1, schedule.warmup))
    if schedule.decay == "constant":
        return schedule.learning_rate * warm
    start = schedule.steps * (1 - schedule.decay_part)
    progress = max(0.0, (step - start) / max(1.0, schedule.steps - start))
    fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(1.0, progress))).item())
    return schedule.learning_rate * warm * (0.02 + 0.98 * fall)
