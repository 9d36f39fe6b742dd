"""Training of distance-lite: depth inside instances, as bins and as a number, and foreground.

    python -m studies.distance --duts DUTS-TR --davis DAVIS-TRAIN --out RUN

The encoder starts from that of the shipped stm-lite. The same command resumes an interrupted run.
`studies.distance_transform --weights RUN/weights.safetensors measure ...` scores the result.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.losses import foreground_loss
from rotomask.training.recipes import EDGES_LITE
from rotomask.training.run import train
from rotomask.training.single_frames import SingleFrameRecipe, SingleFrameTask
from rotomask.training.starting import load_video_encoder
from rotomask.training.task import Batch, Data, Schedule, Task
from studies.distance_network import (
    BINS,
    DistanceConfig,
    DistanceLogits,
    DistanceNet,
    normalised_distance,
)
from studies.scripts import parse, script_parser


@dataclass(frozen=True, kw_only=True)
class DistanceRecipe(SingleFrameRecipe):
    """Everything that a run depends on, but for the data."""

    model: DistanceConfig = field(default_factory=DistanceConfig)
    regression: float = 10.0
    """Weight of the regression's squared error, which is small in numbers."""
    foreground: float = 0.5
    """Weight of the foreground's loss."""

    def needs(self) -> tuple[str, ...]:
        """Stills, videos or both."""
        return ()

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "distance-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return DistanceTask(self, data, initial)


class DistanceTask(SingleFrameTask):
    """A recipe on the user's data."""

    recipe: DistanceRecipe

    def network(self) -> DistanceNet:
        """The network."""
        return DistanceNet(self.recipe.model)

    def load_start(self, network: nn.Module) -> str:
        """Load the encoder of the shipped stm-lite."""
        return load_video_encoder(network)

    def prepare(self, batch: Batch) -> Batch:
        """Frames, and how deep every pixel lies in its instance: N×1×S×S."""
        prepared = super().prepare(batch)
        labels = prepared["labels"]
        distances = np.stack([normalised_distance(one) for one in labels.cpu().numpy()])
        return {
            "frames": prepared["frames"],
            "distance": torch.from_numpy(distances)[:, None].to(labels.device),
        }

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Cross-entropy of the bins, squared error of the distance, both inside; foreground."""
        frames = batch["frames"].contiguous(memory_format=torch.channels_last)
        logits: DistanceLogits = network(frames)
        truth = batch["distance"]
        inside = truth > 0
        total = self.recipe.foreground * foreground_loss(
            logits.foreground, inside.float(), self.recipe.dice
        )
        if inside.any():
            total = total + bin_loss(logits.bins, truth)
            error = torch.sigmoid(logits.distance[inside]) - truth[inside]
            total = total + self.recipe.regression * error.square().mean()
        return total


def bin_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Cross-entropy of the bins inside objects; rare bins weigh more, by the root of their rarity.

    Args:
        logits: B×4×H×W.
        distance: B×1×H×W, 0..1; 0 outside objects, which does not count.
    """
    inside = distance[:, 0] > 0
    truth = torch.clamp(torch.ceil(distance[:, 0] * BINS) - 1, 0, BINS - 1).long()[inside]
    count = torch.bincount(truth, minlength=BINS).clamp_min(1)
    weight = (len(truth) / (BINS * count.float())).sqrt()
    return F.cross_entropy(logits.movedim(1, -1)[inside], truth, weight)


DISTANCE_LITE = DistanceRecipe(
    name="distance-lite",
    schedule=Schedule(learning_rate=8e-4, warmup=30, ema=0.99, validate_every=0),
    stage=replace(EDGES_LITE.stage, real=0.25, objects=(0.3, 0.4, 0.3), paste=0.8),
)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--duts", type=Path, required=True, help="DUTS-TR")
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016 train")
    parser.add_argument("--initial", type=Path, help="weights to start from")
    parser.add_argument("--out", type=Path, default=Path("runs/distance-lite"))
    parser.add_argument("--steps", type=int, help="default: those of the recipe")
    arguments = parse(parser)
    recipe = DISTANCE_LITE
    if arguments.steps:
        recipe = replace(recipe, stage=replace(recipe.stage, steps=arguments.steps))
    resume = (arguments.out / "recipe.json").is_file()
    data = {"duts": arguments.duts, "davis": arguments.davis}
    print(train(recipe, data, arguments.out, resume=resume, initial=arguments.initial))


if __name__ == "__main__":
    main()
