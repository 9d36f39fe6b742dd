"""Interface of the training loop: a schedule, a recipe and a task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rotomask.catalog import find
from rotomask.errors import OptionError, WeightsError
from rotomask.networks.layers.resnet import HiddenLayer
from rotomask.training.rates import Rates, slower_encoders
from rotomask.training.starting import NO_RESNET50, STARTS, start_from

Batch = dict[str, Tensor]
"""Tensors by name: one of the batches of a step."""

Data = Mapping[str, Path]
"""Path of each kind of training data by name, as in `--data NAME=PATH`."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Optimiser, learning rate and validation of a run, independent of the network."""

    learning_rate: float = 4e-4
    """Learning rate after warm-up; each group of parameters has its own factor on it."""
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    """Optimiser; SGD has momentum 0.9. Weight decay is decoupled in AdamW alone."""
    decay: Literal["cosine", "constant"] = "cosine"
    """Course of the learning rate in the last `decay_part` of the run."""
    decay_part: float = 0.6
    """Fraction of the run, at its end, in which the learning rate decays."""
    warmup: int = 100
    """Number of steps of linear warm-up."""
    weight_decay: float = 1e-4
    """Weight decay of kernels; biases and the scales of norms are not decayed."""
    ema: float = 0.998
    """Decay per step of the averaged weights, which are the ones validated and exported; 0: those
    of the last step."""
    clip_norm: float | None = 1.0
    """Maximum norm of a step's gradient; None: gradients are not clipped."""
    accumulate: int = 1
    """Number of batches whose gradients are accumulated in a step."""
    seed: int = 0
    """Seed of every random draw of the run."""
    validate_every: int = 400
    """Steps between validations, in addition to the one at the end. 0: only that one."""
    refresh_every: int = 200
    """Steps between calls of `Task.refresh`."""
    recycle: bool = False
    """Start dead channels of the network anew every `refresh_every` steps
    (`training.recycling`)."""

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise OptionError(f"accumulate must be at least 1, got {self.accumulate}")
        if not 0 <= self.decay_part <= 1:
            raise OptionError(f"decay_part must be 0 to 1, got {self.decay_part}")


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Named hyper-parameters, as plain data; with the user's data they make a task.

    The run's folder and the exported weights store them.
    """

    name: str
    """Name on the command line."""
    schedule: Schedule
    """Optimiser, learning rate and validation."""
    encoder_factor: float = 0.25
    """Learning rate of pre-trained encoders relative to that of the other parameters; 0: frozen."""
    frozen_stages: int = 2
    """Number of stages of a light encoder, or of VGG-16, counted from the input, that are not
    trained."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of optimiser steps: the sum over the recipe's stages."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""

    def holding_out(self, videos: tuple[str, ...]) -> "Recipe":
        """The recipe with these videos kept for validation.

        Raises:
            OptionError: If it is not validated on videos.
        """
        raise OptionError(f"{self.name} is not validated on videos; leave held-out videos away")

    @abstractmethod
    def task(self, data: Data, initial: Path | None = None) -> "Task":
        """Task on this data.

        Args:
            data: Paths by name.
            initial: Weights to start from instead of the recipe's own.

        Raises:
            OptionError: If data is missing, or has a name that the recipe does not take.
            DatasetError: If a path does not have the expected layout.
            WeightsError: If the weights to start from are missing or of another network.
        """


class Task(ABC):
    """A network to train with its batches, loss and validation, as the training loop uses it.

    Args:
        recipe: Hyper-parameters; its field ``model`` is the network's config.
        initial: Weights to start from instead of the recipe's own.
    """

    def __init__(self, recipe: Recipe, initial: Path | None = None) -> None:
        self.initial = initial
        self.recipe = recipe
        """Hyper-parameters; a subclass declares which kind."""
        self.start = "not built yet"
        """Description of the starting weights, for the run's record."""

    @property
    def schedule(self) -> Schedule:
        """Optimiser, learning rate and validation of the run."""
        return self.recipe.schedule

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.recipe.steps

    def network(self) -> nn.Module:
        """Network of the catalogue with the recipe's config and random weights."""
        build = find(self.recipe.model_name).network
        assert build is not None
        return build(asdict(self.recipe)["model"])

    def load_start(self, network: nn.Module) -> str:
        """Load the weights that runs start from by default; returns what they are."""
        start = find(self.recipe.model_name).trained_from
        return NO_RESNET50 if start is None else STARTS[start](network)

    def build(self) -> Any:
        """Network of the entry's kind with its starting weights, float32, on the CPU."""
        network = self.network()
        try:
            self.start = self.load_start(network)
        except WeightsError:  # a package is missing; `initial` stands in for it
            if self.initial is None:
                raise
        if self.initial is not None:
            self.start = start_from(network, self.initial)
        return network

    def rates(self, network: nn.Module) -> Rates:
        """Groups of trained parameters, each with its factor on the learning rate.

        Pre-trained encoders have a lower rate than the rest; their first stages are frozen. Frozen
        parameters (`requires_grad_(False)`) are in no group.
        """
        recipe = self.recipe
        return slower_encoders(network, recipe.encoder_factor, frozen_stages=recipe.frozen_stages)

    def hidden_layers(self, network: Any) -> Sequence[HiddenLayer]:
        """Layers of the network whose dead channels may be started anew; none by default."""
        return ()

    @abstractmethod
    def batch(self, step: int, part: int) -> Batch:
        """One batch on the CPU, determined by the schedule's seed and these numbers alone.

        Called in a loader process. Images are uint8, which is faster to hand over; work that can be
        done in batches on the training device belongs in `prepare`.

        Args:
            step: Number of the optimiser step.
            part: Number of the batch within the step; each process and each accumulated batch has
                its own.
        """

    def prepare(self, batch: Batch) -> Batch:
        """Input of the loss: the batch, augmented on the device that its tensors are on."""
        return batch

    @abstractmethod
    def loss(self, network: Any, batch: Batch, step: int) -> Tensor:
        """Loss of a prepared batch, a scalar; the network is one that `build` made."""

    def validate(self, network: Any) -> dict[str, float]:
        """Scores on held-out data; the best ``score`` selects the exported weights.

        Empty if there is no held-out data.
        """
        return {}

    @abstractmethod
    def data_sizes(self) -> dict[str, int]:
        """Number of items of each kind of training data, for the run's record."""

    def description(self) -> dict[str, Any]:
        """Metadata of the exported weights: model, config, recipe, starting weights and data."""
        recipe = asdict(self.recipe)
        return {
            "model": self.recipe.model_name,
            "config": recipe["model"],
            "recipe": recipe,
            "start": self.start,
            "data": self.data_sizes(),
        }

    def refresh(self) -> None:  # noqa: B027 - most tasks need none
        """Adapt the batches to statistics of the run so far; called every `refresh_every` steps."""

    def state(self) -> dict[str, Any]:
        """State of the task for the checkpoint, beyond the weights: plain data and tensors."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - most tasks have none
        """Restore the state that `state` returned."""


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """Learning rate of a step: warm-up, constant, then half a cosine down to 2 % of the peak.

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
