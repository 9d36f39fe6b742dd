"""Training of the embedding network: scenes of several instances, pair and objectness losses."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.training.scenes import SceneConfig, compose_scene
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingMaps, EmbeddingNet
from rotomask.training.pairwise import neighbour_pair_loss, sampled_pair_loss
from rotomask.training.stills_task import StillsRecipe, StillsTask, open_stills
from rotomask.training.task import Batch, Data, Schedule, Task


@dataclass(frozen=True, kw_only=True)
class EmbeddingLoss:
    """Weights of the losses; the loss of sampled pairs has weight 1."""

    samples: int = 48
    """Pixels sampled from each instance of a scene."""
    background: float = 0.5
    """Weight of pairs of two background pixels."""
    neighbours: float = 0.5
    """Weight of the loss of neighbouring pixels, which keeps boundaries sharp."""
    objectness: float = 1.0
    """Weight of the objectness loss."""


def embedding_loss(
    maps: EmbeddingMaps, labels: Tensor, config: EmbeddingLoss, generator: torch.Generator
) -> dict[str, Tensor]:
    """Weighted terms of the loss by name; training minimises their sum.

    Args:
        maps: Output of the network for B scenes.
        labels: B×H×W int64, instances at full size, 0 background.
        config: Weights of the terms.
        generator: Source of the sampled pixels, on the CPU.

    Returns:
        ``pairs``, ``neighbours`` and ``objectness``; scalars.
    """
    # Both at the network's stride, B×h×w. Pairs skip cells on a boundary, which have no label of
    # their own; objectness takes their fraction of object pixels as a soft target.
    pure = pure_labels(labels, EmbeddingNet.stride)
    coverage = F.avg_pool2d((labels > 0).float()[:, None], EmbeddingNet.stride)[:, 0]
    return {
        "pairs": sampled_pair_loss(
            maps.embedding,
            pure,
            samples=config.samples,
            background=config.background,
            generator=generator,
        ),
        "neighbours": config.neighbours * neighbour_pair_loss(maps.embedding, pure),
        "objectness": config.objectness * objectness_loss(maps.objectness, coverage),
    }


def pure_labels(labels: Tensor, stride: int) -> Tensor:
    """Labels of the cells of a coarser grid; -1 where a cell holds more than one label.

    Args:
        labels: B×H×W, int64, sides multiples of the stride.
        stride: Side of a cell, px.

    Returns:
        B×h×w int64.
    """
    values = labels.float()[:, None]  # max_pool2d takes no integers
    highest, lowest = F.max_pool2d(values, stride), -F.max_pool2d(-values, stride)
    return torch.where(highest == lowest, highest, -1.0)[:, 0].long()


def objectness_loss(logits: Tensor, coverage: Tensor) -> Tensor:
    """Cross-entropy plus one minus the soft IoU of each scene.

    Args:
        logits: B×h×w.
        coverage: Fraction of each cell covered by objects, B×h×w, 0 to 1.

    Returns:
        A scalar.
    """
    probability = torch.sigmoid(logits)
    intersection = (probability * coverage).flatten(1).sum(1)  # B
    union = (probability + coverage - probability * coverage).flatten(1).sum(1)
    # Smoothed by one cell, so that a scene without objects has a defined IoU of about 1.
    overlap_loss = 1 - (intersection + 1) / (union + 1)
    return F.binary_cross_entropy_with_logits(logits, coverage) + overlap_loss.mean()


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecipe(StillsRecipe):
    """Hyper-parameters of a run of the embedding network."""

    model: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    losses: EmbeddingLoss = field(default_factory=EmbeddingLoss)
    batch_size: int = 12
    """Scenes per batch."""
    encoder_factor: float = 0.3
    """Learning rate of the encoder relative to that of the other parameters."""
    frozen_stages: int = 2
    """Number of encoder stages, counted from the input, that are not trained."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "embedding"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return EmbeddingTask(self, open_stills(data, "embeddings are"), initial)


class EmbeddingTask(StillsTask):
    """Embedding network with its training scenes and loss."""

    recipe: EmbeddingRecipe

    def batch(self, step: int, part: int) -> Batch:
        """One batch of scenes: ``images`` B×3×S×S and ``labels`` B×S×S, both uint8."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.schedule.seed, step, part))
        scenes = [
            compose_scene(self.stills, self.recipe.scenes, rng)
            for _ in range(self.recipe.batch_size)
        ]
        # B×S×S×3 -> B×3×S×S, still uint8.
        images = torch.from_numpy(np.stack([s[0] for s in scenes])).movedim(-1, 1)
        return {
            "images": images.contiguous(),
            "labels": torch.from_numpy(np.stack([s[1] for s in scenes])),
        }

    def loss(self, network: EmbeddingNet, batch: Batch, step: int) -> Tensor:
        """Sum of the terms of `embedding_loss`, a scalar."""
        images = batch["images"].float() / 255
        maps = network(images.contiguous(memory_format=torch.channels_last))
        # Pairs of pixels are drawn by the step alone; a prime keeps seeds and steps from meeting.
        generator = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + step)
        terms = embedding_loss(maps, batch["labels"].long(), self.recipe.losses, generator)
        return torch.stack(list(terms.values())).sum()


RECIPE = EmbeddingRecipe(
    name="embedding",
    optimiser_steps=1000,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.4, ema=0.997, validate_every=0),
)
