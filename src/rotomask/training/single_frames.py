"""What networks on the light PSPNet share in training: the frames of clips, each by itself.

Their encoder starts from the one of stm-lite, which was trained on video, and stays mostly as it
is; so that training takes minutes on one core.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rotomask.data.simulation import ClipBatch, render
from rotomask.data.simulation.batch import NO_ID
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.losses import dice_loss
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.starting import video_encoder_weights
from rotomask.training.task import Batch, Data


@dataclass(frozen=True, kw_only=True)
class SingleFrameRecipe(ClipRecipe):
    """What recipes of networks on single frames share."""

    stage: Stage
    """What frames are made of."""
    frozen_stages: int = 4
    """Stages of the encoder, from the input, that are not trained."""
    dice: float = 0.3
    """Weight of the foreground's Dice loss."""

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The one stage of a run."""
        return (self.stage,)

    def needs(self) -> tuple[str, ...]:
        """Videos; without stills, frames of the videos stand in for them."""
        return ("videos",)


class SingleFrameTask(ClipTask):
    """Skeleton of the tasks on single frames."""

    def __init__(self, recipe: SingleFrameRecipe, data: Data, initial: Path | None = None) -> None:
        super().__init__(recipe, data, initial)
        self.frame_recipe = recipe

    @abstractmethod
    def network(self) -> nn.Module:
        """The network, whose `encoder` is an EfficientNet-Lite0."""

    def new_network(self) -> tuple[nn.Module, str]:
        """The network with the encoder of the shipped stm-lite."""
        network = self.network()
        encoder = _encoder(network)
        weights = video_encoder_weights()
        encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
        return network, "encoder of the shipped stm-lite"

    def prepare(self, batch: Batch) -> Batch:
        """The frames, N×3×S×S, and all their instances, N×S×S."""
        clips = render(name_all(batch))
        return {"frames": clips.frames.flatten(0, 1), "labels": clips.labels.flatten(0, 1)}


def name_all(batch: ClipBatch, *, still: bool = True) -> ClipBatch:
    """The clips with an id for everything that is annotated, each thing its own.

    Clips are made for following some objects; the others of a scene, and what passes in front, have
    no id there. What looks at single frames cannot tell those from the named ones.

    Args:
        batch: `simulation.stack_clips`.
        still: Also for the objects of a still image that is a clip's scene; they move as the camera
            does.
    """
    highest = batch["labels"].flatten(1).amax(1)
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
    probability = torch.sigmoid(logits)
    both = torch.cat([1 - probability, probability], 1)
    return entropy + dice * dice_loss(both, foreground[:, 0].long()).mean()


def _encoder(network: nn.Module) -> EfficientNetLite0:
    encoder = network.encoder
    assert isinstance(encoder, EfficientNetLite0)
    return encoder
