"""What trains the embedding network: scenes of several instances, pair and objectness losses."""

from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.scenes import InstanceImages, SceneConfig, compose_scene
from rotomask.models.embedding import EmbeddingConfig, EmbeddingMaps, EmbeddingNet
from rotomask.training.pairwise import neighbour_pair_loss, sampled_pair_loss


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
class EmbeddingTask:
    """Scenes, network and loss of a run."""

    sources: tuple[InstanceImages, ...]
    model: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    losses: EmbeddingLoss = field(default_factory=EmbeddingLoss)
    batch_size: int = 12
    """Scenes a step."""
    encoder_factor: float = 0.3
    """Learning rate of the pre-trained encoder, as a part of the others'."""
    frozen_stages: int = 2
    """Encoder stages, from the input, that keep the weights they start with."""
    seed: int = 0

    def build(self) -> EmbeddingNet:
        """The network, its encoder from ImageNet."""
        from rotomask.training.run import imagenet_weights

        network = EmbeddingNet(self.model)
        network.encoder.load_imagenet(imagenet_weights())
        for module in (network.encoder.stem, *network.encoder.stages[: self.frozen_stages]):
            module.requires_grad_(False)
        return network

    def rates(self, network: EmbeddingNet) -> list[tuple[list[nn.Parameter], float]]:
        """Encoder and new layers, with their factor of the learning rate."""
        encoder = {id(p) for p in network.encoder.parameters()}
        learned = [p for p in network.parameters() if p.requires_grad]
        return [
            ([p for p in learned if id(p) not in encoder], 1.0),
            ([p for p in learned if id(p) in encoder], self.encoder_factor),
        ]

    def batch(self, step: int) -> dict[str, Tensor]:
        """Images B×3×S×S and labels B×S×S, uint8, a function of the seed and the step alone."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, step))
        scenes = [compose_scene(self.sources, self.scenes, rng) for _ in range(self.batch_size)]
        images = torch.from_numpy(np.stack([s[0] for s in scenes])).movedim(-1, 1)
        return {
            "images": images.contiguous(),
            "labels": torch.from_numpy(np.stack([s[1] for s in scenes])),
        }

    def loss(self, network: nn.Module, batch: dict[str, Tensor], step: int) -> Tensor:
        """The sum of `embedding_loss` on a batch."""
        images = batch["images"].float() / 255
        maps = network(images.contiguous(memory_format=torch.channels_last))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        parts = embedding_loss(maps, batch["labels"].long(), self.losses, generator)
        return torch.stack(list(parts.values())).sum()

    def description(self) -> dict[str, Any]:
        """What the exported weights say of their training."""
        return {
            "model": "embedding",
            "config": asdict(self.model),
            "scenes": asdict(self.scenes),
            "losses": asdict(self.losses),
            "data": {"images": sum(len(source) for source in self.sources)},
        }
