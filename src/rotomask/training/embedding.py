"""What trains the embedding network: scenes of several instances, pair and objectness losses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.training.scenes import SceneConfig, compose_scene
from rotomask.data.training.stills import JoinedStills, Stills
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingMaps, EmbeddingNet
from rotomask.training.clip_data import open_stills
from rotomask.training.pairwise import neighbour_pair_loss, sampled_pair_loss
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.training.task import Batch, Data, Recipe, Schedule, Task


@dataclass(frozen=True, kw_only=True)
class EmbeddingLoss:
    """How the losses are weighed."""

    samples: int = 48
    """Pixels drawn from each instance of a scene."""
    background: float = 0.5
    """Weight of pairs of background pixels."""
    neighbours: float = 0.5
    """Weight of the loss of neighbouring pixels, which keeps boundaries sharp."""
    objectness: float = 1.0


def embedding_loss(
    maps: EmbeddingMaps, labels: Tensor, config: EmbeddingLoss, generator: torch.Generator
) -> dict[str, Tensor]:
    """The parts of the loss, weighed; their sum is what is minimised.

    Args:
        maps: What the network said of B scenes.
        labels: B×H×W, int64, the instances at full size: 0 background.
        config: The weights.
        generator: Of the sampled pixels, on the CPU.
    """
    pure = pure_labels(labels, EmbeddingNet.stride)
    covered = F.avg_pool2d((labels > 0).float()[:, None], EmbeddingNet.stride)[:, 0]
    return {
        "pairs": sampled_pair_loss(
            maps.embedding,
            pure,
            samples=config.samples,
            background=config.background,
            generator=generator,
        ),
        "neighbours": config.neighbours * neighbour_pair_loss(maps.embedding, pure),
        "objectness": config.objectness * objectness_loss(maps.objectness, covered),
    }


def pure_labels(labels: Tensor, stride: int) -> Tensor:
    """Labels at a stride, B×h×w int64; -1 where a cell holds more than one.

    Args:
        labels: B×H×W, int64, sides multiples of the stride.
        stride: Side of a cell, px.
    """
    values = labels.float()[:, None]
    highest, lowest = F.max_pool2d(values, stride), -F.max_pool2d(-values, stride)
    return torch.where(highest == lowest, highest, -1.0)[:, 0].long()


def objectness_loss(logits: Tensor, covered: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft overlap of each scene.

    Args:
        logits: B×h×w.
        covered: Part of each cell that is of an object, B×h×w, 0 to 1.

    Returns:
        A scalar.
    """
    probability = torch.sigmoid(logits)
    overlap = (probability * covered).flatten(1).sum(1)
    union = (probability + covered - probability * covered).flatten(1).sum(1)
    overlap_loss = 1 - (overlap + 1) / (union + 1)
    return F.binary_cross_entropy_with_logits(logits, covered) + overlap_loss.mean()


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecipe(Recipe):
    """Everything that a run of the embedding network depends on, but for the data."""

    optimiser_steps: int
    """Steps of the run."""
    model: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    losses: EmbeddingLoss = field(default_factory=EmbeddingLoss)
    batch_size: int = 12
    """Scenes a batch."""
    encoder_factor: float = 0.3
    """Learning rate of the encoder relative to that of the other parameters."""
    frozen_stages: int = 2
    """Encoder stages, from the input, that are not trained."""

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.optimiser_steps

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "embedding"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return EmbeddingTask(self, open_stills(data, "embeddings are"), initial)


class EmbeddingTask(Task):
    """A recipe on the user's data."""

    def __init__(
        self, recipe: EmbeddingRecipe, stills: Mapping[str, Stills], initial: Path | None = None
    ) -> None:
        super().__init__(recipe, initial)
        self.recipe = recipe
        self.sizes = {name: len(part) for name, part in stills.items()}
        self.stills = JoinedStills(tuple(stills.values()))

    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""
        network = EmbeddingNet(self.recipe.model)
        network.encoder.load_imagenet(lite0_imagenet_weights())
        return network, "EfficientNet-Lite0 on ImageNet"

    def batch(self, step: int, part: int) -> Batch:
        """Images B×3×S×S and labels B×S×S, uint8."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.schedule.seed, step, part))
        scenes = [
            compose_scene(self.stills, self.recipe.scenes, rng)
            for _ in range(self.recipe.batch_size)
        ]
        images = torch.from_numpy(np.stack([s[0] for s in scenes])).movedim(-1, 1)
        return {
            "images": images.contiguous(),
            "labels": torch.from_numpy(np.stack([s[1] for s in scenes])),
        }

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """The sum of `embedding_loss` on a batch."""
        images = batch["images"].float() / 255
        maps = network(images.contiguous(memory_format=torch.channels_last))
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + step)
        parts = embedding_loss(maps, batch["labels"].long(), self.recipe.losses, generator)
        return torch.stack(list(parts.values())).sum()

    def data_sizes(self) -> dict[str, int]:
        """Number of items in each part of the training data."""
        return self.sizes


RECIPE = EmbeddingRecipe(
    name="embedding",
    optimiser_steps=1000,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.4, ema=0.997, validate_every=0),
)
