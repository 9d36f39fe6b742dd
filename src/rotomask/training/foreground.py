"""Parent training of appearance networks: foreground segmentation of single frames.

Caelles et al. 2017 (OSVOS), sec. 3.2: fine-tuning on a video's first frame starts from the parent
network. Networks without side outputs (the slim form of paper 4) have only the loss of the fused
output.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from rotomask.data.simulation import render
from rotomask.errors import OptionError
from rotomask.networks.losses import foreground_loss
from rotomask.networks.oneshot_lite import OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, OSVOSConfig, SideLogits
from rotomask.segmenters.fine_tuned import (
    FineTunedSegmenter,
    FineTuningConfig,
    OneShotNetwork,
)
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.distillation import RelationTeacher
from rotomask.training.rates import Rates
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate


@dataclass(frozen=True, kw_only=True)
class ForegroundRecipe(ClipRecipe):
    """Hyper-parameters of a run of an appearance network."""

    network: str = "oneshot"
    """Name of the network in the catalogue: oneshot, osvos or osvos-slim."""
    model: OneShotLiteConfig | OSVOSConfig = field(default_factory=OneShotLiteConfig)
    stage: Stage
    """Composition of the clips; each of their frames is an independent training image."""
    side_weight: tuple[float, float] = (0.5, 0.0)
    """Weight of the side outputs' losses at the first and the last step, linear in between (OSVOS
    reduces it to 0)."""
    balanced: bool = True
    """Weight object and background alike in the cross-entropy (OSVOS, eq. 2)."""
    dice: float = 0.3
    """Weight of the Dice loss of the fused output."""
    distillation: float = 0.0
    """Weight of the loss by which the two deepest stages of OSVOS learn the relations between
    positions that the shipped `oneshot` sees (`training.distillation`)."""
    fine_tuning: FineTuningConfig = field(default_factory=lambda: FineTuningConfig(iterations=40))
    """Fine-tuning on the first frames in validation."""

    def __post_init__(self) -> None:
        if self.distillation > 0 and not isinstance(self.model, OSVOSConfig):
            raise OptionError(
                f"{self.network} learns no relations: its encoder is that of the network that "
                "teaches them; set distillation to 0"
            )

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Stages of a run: one."""
        return (self.stage,)

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return self.network

    def needs(self) -> tuple[str, ...]:
        """Required kinds of data: videos, whose frames also replace stills if none are given."""
        return ("videos",)

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return ForegroundTask(self, data, initial)


class ForegroundTask(ClipTask):
    """Appearance network with its training frames, loss and validation."""

    recipe: ForegroundRecipe
    _teacher: RelationTeacher | None = None

    def rates(self, network: nn.Module) -> Rates:
        """Groups as in `Task.rates`, or those of fine-tuning if it trains the whole network."""
        if not isinstance(network, OSVOS):
            return super().rates(network)
        early = network.stages[: self.recipe.frozen_stages].requires_grad_(False)
        frozen = {id(parameter) for parameter in early.parameters()}
        # Each of its groups is one parameter.
        groups = [(group["params"], group["lr"]) for group in network.parameter_groups(1.0)]
        return [(params, factor) for params, factor in groups if id(params[0]) not in frozen]

    def prepare(self, batch: Batch) -> Batch:
        """Rendered ``frames`` N×3×S×S, 0..1, and their ``foreground`` N×1×S×S, 0 or 1."""
        clips = render(batch)  # B×T frames, flattened to N = B·T
        return {
            "frames": clips.frames.flatten(0, 1),
            "foreground": (clips.labels > 0).flatten(0, 1)[:, None].float(),
        }

    def loss(self, network: OneShotNetwork, batch: Batch, step: int) -> Tensor:
        """Cross-entropy of fused and side outputs plus Dice, a scalar."""
        recipe, truth = self.recipe, batch["foreground"]
        frames = batch["frames"].contiguous(memory_format=torch.channels_last)
        total = torch.zeros((), device=frames.device)
        if recipe.distillation > 0:
            logits, distilled = self._distilled(cast(OSVOS, network), frames)
            total = recipe.distillation * distilled
        else:
            logits = network.trainable_part()(network.prepare(frames))
        first, last = recipe.side_weight
        weight = first + (last - first) * step / self.steps
        total = total + foreground_loss(logits.fused, truth, recipe.dice, balanced=recipe.balanced)
        for side in logits.sides:
            total = total + weight * foreground_loss(side, truth, balanced=recipe.balanced)
        return total

    def _distilled(self, network: OSVOS, frames: Tensor) -> tuple[SideLogits, Tensor]:
        """Logits of frames B×3×H×W, 0..1, and the loss of their relations, a scalar."""
        if self._teacher is None:  # not in the loader processes
            self._teacher = RelationTeacher()
        stages = network.stage_features(network.prepare(frames))
        loss = self._teacher.loss(network, stages, frames)
        return network.fuse_stages(stages, frames.shape[-2:]), loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F on the whole held-out videos, after fine-tuning on their first frames."""
        return validate(lambda: FineTunedSegmenter(network, self.recipe.fine_tuning), self.held_out)
