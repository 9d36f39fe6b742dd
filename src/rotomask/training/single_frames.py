"""What networks on the light PSPNet share in training: the frames of clips, each by itself.

Their encoder starts from the one of stm-lite, which was trained on video, and stays mostly as it
is; so that training takes minutes on one core.
"""

from abc import abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rotomask.data.clips import AnnotatedVideo
from rotomask.data.simulation import ClipBatch, render
from rotomask.data.simulation.batch import NO_ID
from rotomask.models.layers.efficientnet_lite import EfficientNetLite0
from rotomask.training.clip_data import ClipData, Stage
from rotomask.training.losses import dice_loss
from rotomask.training.rates import freeze_early_stages, slower_encoders
from rotomask.training.starting import start_from, video_encoder_weights
from rotomask.training.task import Batch, Recipe, Schedule, Task


@dataclass(frozen=True, kw_only=True)
class SingleFrameRecipe(Recipe):
    """Everything that such a run depends on, but for the data."""

    name: str
    schedule: Schedule
    stage: Stage
    """What frames are made of."""
    encoder_factor: float = 0.25
    """Learning rate of the pre-trained encoder, as a part of the others'."""
    frozen_stages: int = 4
    """Stages of the encoder, from the input, that keep the weights they start with."""
    dice: float = 0.3
    """Weight of the foreground's Dice loss."""


class SingleFrameTask(Task):
    """A recipe on the user's data."""

    recipe: SingleFrameRecipe

    def __init__(
        self, clips: ClipData, held_out: tuple[AnnotatedVideo, ...], initial: Path | None
    ) -> None:
        self.schedule, self.initial = self.recipe.schedule, initial
        self.clips, self.held_out = clips, held_out
        self.start = "not built yet"

    @abstractmethod
    def network(self) -> nn.Module:
        """The network, whose `encoder` is an EfficientNet-Lite0."""

    def build(self) -> nn.Module:
        """The network with its starting weights."""
        network = self.network()
        encoder = _encoder(network)
        known = encoder.state_dict()
        weights = video_encoder_weights()
        encoder.load_state_dict({name: weights[name] for name in known})
        self.start = "encoder of the shipped stm-lite"
        if self.initial is not None:
            self.start = start_from(network, self.initial)
        return network

    def rates(self, network: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
        """The encoder's last stages slower than the rest, its first ones not at all."""
        encoder = _encoder(network)
        freeze_early_stages(encoder, self.recipe.frozen_stages)
        return slower_encoders(network, [encoder], self.recipe.encoder_factor)

    def batch(self, step: int, part: int) -> Batch:
        """Plans of clips."""
        progress = step / max(1, self.schedule.steps - 1)
        return self.clips.batch(self.recipe.stage, progress, (self.schedule.seed, step, part))

    def prepare(self, batch: Batch) -> Batch:
        """The frames, N×3×S×S, and all their instances, N×S×S."""
        clips = render(name_all(batch))
        return {"frames": clips.frames.flatten(0, 1), "labels": clips.labels.flatten(0, 1)}

    def description(self) -> dict[str, Any]:
        """Config, recipe and data."""
        return {"recipe": asdict(self.recipe), "start": self.start, "data": self.clips.describe()}


def name_all(batch: ClipBatch, *, still: bool = True) -> ClipBatch:
    """The clips with an id for everything that is annotated, each thing its own.

    Clips are made for following some objects; the others of a scene, and what passes in front, have
    no id there. What looks at single frames cannot tell those from the named ones.

    Args:
        batch: `simulation.stack_clips`.
        still: Also for the objects of a still image that is a clip's scene; they move as the camera
            does.
    """
    highest = batch["highest"]
    ids = batch["ids"].clone()
    for clip_ids, pictures, source in zip(ids, batch["index"], batch["source"], strict=True):
        count = 0
        for layer, (table, used) in enumerate(zip(clip_ids, pictures, strict=True)):
            if used[0] < 0:
                continue
            labels = torch.arange(1, int(highest[used].max()) + 1)
            if not still and source < 0 and used[0] == pictures[0, 0]:
                table[labels] = NO_ID  # the scene, or its object once more in front
                continue
            if layer > 0:  # of a cut-out, what has no id is not there
                labels = labels[table[labels] != NO_ID]
            table[labels] = torch.arange(count + 1, count + 1 + len(labels), dtype=torch.uint8)
            count += len(labels)
    return {**batch, "ids": ids}


def foreground_loss(logits: Tensor, foreground: Tensor, dice: float) -> Tensor:
    """Cross-entropy and, weighed, Dice of B×1×H×W foreground logits."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, foreground)
    chance = torch.sigmoid(logits)
    both = torch.cat([1 - chance, chance], 1)
    return entropy + dice * dice_loss(both, foreground[:, 0].long()).mean()


def _encoder(network: nn.Module) -> EfficientNetLite0:
    encoder = network.encoder
    assert isinstance(encoder, EfficientNetLite0)
    return encoder
