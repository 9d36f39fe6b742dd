"""Training of click-lite: simulated prompts, then rounds that correct the network's errors.

Sofiiuk et al. 2021 (RITM), sec. 3: the first prompts are drawn at random; each round adds the
prompt that a user would give next, and the mask of the round before is an input. Unlike in RITM,
each sample has its own number of rounds, and every round has a loss. The encoder is frozen and runs
once for all rounds.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation.click_samples import (
    NEGATIVE,
    POSITIVE,
    PREVIOUS,
    SampleConfig,
    click_error,
    draw_click,
    draw_sample,
)
from rotomask.data.training.images import Image
from rotomask.data.training.stills import FolderStills, Stills
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.robot import ClickRobot
from rotomask.networks.click_lite import ClickFeatures, ClickLite, ClickLiteConfig, ClickOutput
from rotomask.networks.layers.efficientnet_lite import Pyramid
from rotomask.prompts.regions import BoolMask
from rotomask.training.stills_task import VideoFramesRecipe, VideoFramesTask, open_stills_and_videos
from rotomask.training.task import Batch, Data, Schedule, Task

HELD_OUT_STILLS = 200
"""Number of images of each collection of stills held out from training."""
THRESHOLD = 0.49
"""Probability above which a pixel is foreground, as in RITM's simulation of clicks."""


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Rounds of correction of a sample."""

    most: int = 3
    """Maximum number of rounds after the first prompts; uniform from 0 to this."""
    stroke: float = 0.25
    """Fraction of corrections that are strokes; the others are clicks."""
    forgotten: float = 0.1
    """Fraction of rounds without the previous mask."""
    binary: float = 0.2
    """Fraction of rounds in which the previous mask is binary, not probabilities."""
    earlier_weight: float = 0.4
    """Weight of the loss of the rounds before a sample's last, which has weight 1."""


@dataclass(frozen=True, kw_only=True)
class ClickLoss:
    """Weights of the losses, with the normalised focal loss at 1."""

    overlap: float = 0.5
    """Weight of one minus the soft IoU."""
    prompts: float = 0.2
    """Weight of the cross-entropy at the pixels of prompts, which the mask should follow."""
    coarse: float = 0.4
    """Weight of the cross-entropy of the output at stride 16."""


@dataclass(frozen=True, kw_only=True)
class InteractiveRecipe(VideoFramesRecipe):
    """Hyper-parameters of a run of click-lite."""

    encoder_factor: float = 0.0
    """Learning rate of the encoder relative to that of the other parameters; 0: frozen."""
    model: ClickLiteConfig = field(default_factory=ClickLiteConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)
    rounds: Rounds = field(default_factory=Rounds)
    losses: ClickLoss = field(default_factory=ClickLoss)
    batch_size: int = 8
    """Samples per batch."""
    validate_stride: int = 8
    """Step between the frames of the held-out videos that are validated."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "click-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        stills, videos = open_stills_and_videos(data, "an interactive network is")
        training = {name: without_held_out(collection) for name, collection in stills.items()}
        return InteractiveTask(self, training, videos, initial)


class InteractiveTask(VideoFramesTask):
    """Click-lite with its training samples, loss and validation."""

    recipe: InteractiveRecipe

    def batch(self, step: int, part: int) -> Batch:
        """One batch of samples with their first prompts.

        Returns:
            ``images`` B×3×S×S, ``truths`` B×S×S and ``maps`` of prompts B×4×S×S, all uint8;
            ``rounds``, the number of corrections of each sample, B int64.
        """
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.schedule.seed, step, part))
        samples = [
            draw_sample(self.stills, self.videos, self.recipe.samples, rng)
            for _ in range(self.recipe.batch_size)
        ]
        return {
            "images": torch.stack([torch.from_numpy(s.image).movedim(-1, 0) for s in samples]),
            "truths": torch.stack([torch.from_numpy(s.truth.astype(np.uint8)) for s in samples]),
            "maps": torch.stack([torch.from_numpy(s.maps) for s in samples]),
            "rounds": torch.from_numpy(
                rng.integers(self.recipe.rounds.most + 1, size=len(samples))
            ),
        }

    def loss(self, network: ClickLite, batch: Batch, step: int) -> Tensor:
        """Weighted mean of the losses of all rounds of a batch, a scalar."""
        # Not the generator of the batch: corrections depend on the network, batches must not.
        rng = np.random.default_rng((self.schedule.seed, step, 1))
        images = batch["images"].float() / 255
        # Once for all rounds: only the prompts change from one to the next.
        features = network.encode(images.contiguous(memory_format=torch.channels_last))
        truths, maps, rounds = batch["truths"].float(), batch["maps"].clone(), batch["rounds"]
        # A weighted mean over all rounds of all samples; a sample's last round has the largest
        # weight.
        total, weights = torch.zeros(()), 0.0
        for number in range(int(rounds.max()) + 1):
            output: ClickOutput = network(features, maps.float() / 255)
            last = rounds == number
            weight = torch.where(last, 1.0, self.recipe.rounds.earlier_weight)
            each = click_losses(output, truths, maps, self.recipe.losses)
            total = total + (each * weight).sum()
            weights += float(weight.sum())
            # Continue with the samples that have another round; B shrinks.
            remaining = (~last).nonzero()[:, 0]
            features = select_features(features, remaining)
            truths, maps, rounds = truths[remaining], maps[remaining], rounds[remaining]
            # Detached: a user's correction is a new input, not a function of the weights.
            self._correct(maps, output.logits.detach()[remaining], truths, rng)
        return total / weights

    def _correct(
        self, maps: Tensor, logits: Tensor, truths: Tensor, rng: np.random.Generator
    ) -> None:
        """Add to each sample's maps the previous mask and the next prompt, in place."""
        config = self.recipe.rounds
        probabilities = torch.sigmoid(logits).cpu().numpy()
        for sample_maps, probability, truth in zip(maps, probabilities, truths, strict=True):
            canvas = sample_maps.numpy()  # 4×S×S, shares the tensor's memory
            predicted = probability > THRESHOLD
            click_error(canvas, truth.numpy() > 0.5, predicted, rng, config.stroke)
            draw = rng.random()
            if draw < config.forgotten:
                canvas[PREVIOUS] = 0
            elif draw < config.forgotten + config.binary:
                canvas[PREVIOUS] = np.where(predicted, 255, 0)
            else:
                canvas[PREVIOUS] = np.round(probability * 255)

    def validate(self, network: ClickLite) -> dict[str, float]:
        """Mean IoU on frames of the held-out videos after 1, 3 and 5 clicks, and their mean."""
        return click_scores(network, self.held_out, self.recipe.validate_stride)


def without_held_out(stills: Stills) -> Stills:
    """Stills for training: all but those of `held_out_stills`.

    Small or simulated collections are returned whole.
    """
    if not isinstance(stills, FolderStills) or len(stills) <= 2 * HELD_OUT_STILLS:
        return stills
    held_out = set(held_out_stills(stills).pairs)
    return FolderStills([pair for pair in stills.pairs if pair not in held_out])


def held_out_stills(stills: FolderStills, count: int = HELD_OUT_STILLS) -> FolderStills:
    """Stills held out from training: those with the smallest checksums of their names.

    The selection depends on the names alone, so that a change in the order, or a few more stills,
    hardly changes it.
    """
    # Python's own hash of a text differs from process to process.
    order = sorted(stills.pairs, key=lambda pair: (zlib.crc32(pair[0].stem.encode()), pair[0].stem))
    return FolderStills(order[:count])


def select_features(features: ClickFeatures, index: Tensor) -> ClickFeatures:
    """Features of the images of a batch with these indices."""
    pyramid = Pyramid(*(level[index] for level in features.pyramid))
    return ClickFeatures(
        pyramid, features.deep[index], features.embedding[index], features.pixels[index]
    )


def click_losses(output: ClickOutput, truths: Tensor, maps: Tensor, config: ClickLoss) -> Tensor:
    """Weighted sum of the losses of each of B samples.

    Args:
        output: Output of the network.
        truths: B×H×W, 0 or 1.
        maps: Prompts B×4×H×W uint8; the mask should follow the first two channels.
        config: Weights of the losses.

    Returns:
        B, float32.
    """
    entropy = F.binary_cross_entropy_with_logits(output.logits, truths, reduction="none")
    prompts = (maps[:, :2].amax(1) > 127).float()  # B×H×W
    # The target is the truth, not the prompt: a stroke may cross the object's border.
    at_prompts = (entropy * prompts).sum((1, 2)) / prompts.sum((1, 2)).clamp_min(1)  # B
    # Soft targets at stride 16: the fraction of foreground in each cell, B×h×w.
    height, width = output.coarse.shape[-2:]
    coverage = F.adaptive_avg_pool2d(truths[:, None], (height, width))[:, 0]
    coarse = F.binary_cross_entropy_with_logits(output.coarse, coverage, reduction="none")
    return (
        normalised_focal_loss(output.logits, truths)
        + config.overlap * (1 - soft_iou(output.logits, truths))
        + config.prompts * at_prompts
        + config.coarse * coarse.mean((1, 2))
    )


def normalised_focal_loss(
    logits: Tensor, truths: Tensor, alpha: float = 0.5, gamma: float = 2.0
) -> Tensor:
    """Focal loss whose weights have a mean of 1 in each sample (Sofiiuk et al. 2019, AdaptIS).

    The plain focal loss vanishes as predictions improve; the normalisation preserves the size of
    its gradient.

    Args:
        logits: B×H×W.
        truths: B×H×W, 0 or 1.
        alpha: Weight of the foreground; that of the background is 1 - alpha.
        gamma: Exponent of the focal weight.

    Returns:
        B, float32.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truths, reduction="none")
    # B×H×W: 0 where the pixel is right, towards 1 where it is wrong.
    focus = (1 - torch.exp(-entropy)).pow(gamma)  # exp(-entropy) is the truth's probability
    scale = focus.shape[1] * focus.shape[2] / focus.sum((1, 2)).clamp_min(1e-6)  # B
    balance = torch.where(truths > 0.5, alpha, 1 - alpha)
    # The scale is detached, as in the authors' code: it is a weight, not a target.
    return (balance * focus * scale.detach()[:, None, None] * entropy).mean((1, 2))


def soft_iou(logits: Tensor, truths: Tensor) -> Tensor:
    """Soft IoU of each sample, B, 0 to 1; 1 if prediction and truth are both empty.

    Args:
        logits: B×H×W.
        truths: B×H×W, 0 or 1.
    """
    probabilities = torch.sigmoid(logits)
    intersection = (probabilities * truths).sum((1, 2))
    union = (probabilities + truths - probabilities * truths).sum((1, 2))
    # One pixel is added to both, so that two empty masks have IoU 1 rather than 0 / 0.
    return (intersection + 1) / (union + 1)


@torch.no_grad()
def click_scores(
    network: ClickLite, videos: Sequence[VideoSequence], stride: int
) -> dict[str, float]:
    """Mean IoU after 1, 3 and 5 simulated clicks, and the mean of the three as ``score``.

    A quick measure for selecting weights: whole frames with a long side of 384 px, without the zoom
    of `ClickMarker`.

    Args:
        network: Set to evaluation mode.
        videos: Annotated videos; all objects of a frame are one.
        stride: Step between the frames that are clicked.
    """
    network.eval()
    scores: dict[int, list[float]] = {1: [], 3: [], 5: []}
    for video in videos:
        for index in range(0, len(video), stride):
            frame, labels = video.read(index)
            for clicks, iou in enumerate(_click_frame(network, frame, labels > 0, 5), start=1):
                if clicks in scores:
                    scores[clicks].append(iou)
    if not scores[1]:
        return {}
    means = {f"IoU@{k}": float(np.mean(v)) for k, v in scores.items()}
    return {"score": float(np.mean(list(means.values()))), **means}


def _click_frame(
    network: ClickLite, frame: Image, truth: BoolMask, clicks: int, long_side: int = 384
) -> list[float]:
    """IoU after each click; it stays the same once there is no error left to click."""
    height, width = truth.shape
    factor = long_side / max(height, width)
    size = tuple(max(32, round(v * factor / 32) * 32) for v in (width, height))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    target = cv2.resize(truth.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    features = network.encode(torch.from_numpy(small).movedim(-1, 0)[None].float() / 255)
    maps = np.zeros((4, *target.shape), np.uint8)
    robot, predicted, ious = ClickRobot(target), np.zeros_like(target), []
    for _ in range(clicks):
        click = robot.click(predicted)
        if click is not None:
            canvas = maps[POSITIVE if click.positive else NEGATIVE]
            draw_click(canvas, int(click.x), int(click.y))
            logits = network(features, torch.from_numpy(maps)[None].float() / 255).logits
            probability = torch.sigmoid(logits[0]).numpy()
            maps[PREVIOUS], predicted = np.round(probability * 255), probability > THRESHOLD
        ious.append(region_similarity(predicted, target))
    return ious


RECIPE = InteractiveRecipe(
    name="click-lite",
    optimiser_steps=6000,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.5, ema=0.998, validate_every=200),
)
"""Starts from the encoder of stm-lite; constant rate for 3,000 steps, then a cosine."""

FINE_RECIPE = replace(
    RECIPE,
    name="click-lite-fine",
    optimiser_steps=1500,
    batch_size=4,
    samples=replace(RECIPE.samples, size=384, real=0.35, object_crop=0.75),
    rounds=replace(RECIPE.rounds, most=6, earlier_weight=0.3),
    schedule=Schedule(
        learning_rate=4e-4, warmup=30, decay_part=0.7, ema=0.99, validate_every=400, seed=71
    ),
)
"""Goes on from the weights of another run (--initial): larger views, more rounds, more video."""
