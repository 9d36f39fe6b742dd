"""What trains detector-lite: scenes of several objects, their boxes, heat map and overlap losses.

Centres are Gaussians as wide as their box, and every place near a centre learns the box (Liu et al.
2020, TTFNet), which takes fewer steps than one place an object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.simulation.motion import affine
from rotomask.data.training.clips import AnnotatedVideo, find_videos
from rotomask.data.training.images import Labels
from rotomask.data.training.looks import random_colour
from rotomask.data.training.scenes import Scene, SceneConfig, compose_scene
from rotomask.data.training.stills import JoinedStills, Stills, find_stills
from rotomask.detection.boxes import Boxes, box_areas, label_boxes
from rotomask.detection.detector import Detections
from rotomask.detection.lite import LiteDetector
from rotomask.errors import OptionError
from rotomask.evaluation.measures.detection import average_precision, recall
from rotomask.networks.detector_lite import (
    BoxMaps,
    DetectorLite,
    DetectorLiteConfig,
    boxes_at_cells,
    cell_centres,
)
from rotomask.training.clip_data import HELD_OUT, STILLS, VIDEOS
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.training.task import Batch, Data, Recipe, Schedule, Task

MOST_OBJECTS = 12
"""Objects of a scene that are learned from; the largest."""


@dataclass(frozen=True, kw_only=True)
class DetectionLoss:
    """How the losses are weighed, and what counts as near a centre."""

    width: float = 0.54
    """The part of a box, across and down, that its Gaussian covers (TTFNet, alpha)."""
    boxes: float = 2.5
    """Weight of the boxes' overlap loss, with the heat map's at 1."""
    smallest_px: int = 10
    """Objects whose box is lower or narrower are not learned."""


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe(Recipe):
    """Everything that a run of detector-lite depends on, but for the data."""

    optimiser_steps: int
    """Steps of the run."""
    model: DetectorLiteConfig = field(default_factory=DetectorLiteConfig)
    scenes: SceneConfig = field(
        default_factory=lambda: SceneConfig(extent=(0.12, 0.8), paste=0.5, most_pasted=3)
    )
    losses: DetectionLoss = field(default_factory=DetectionLoss)
    batch_size: int = 12
    """Scenes a batch."""
    real: float = 0.35
    """Part of the scenes that are frames of the videos; the others are composed of stills."""
    encoder_factor: float = 0.3
    """Learning rate of the encoder relative to that of the other parameters."""
    frozen_stages: int = 4
    """Encoder stages, from the input, that are not trained."""
    validate_stride: int = 3
    """Every so many-th frame of the held-out videos is looked at."""
    held_out: tuple[str, ...] = HELD_OUT

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.optimiser_steps

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "detector-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        unknown = set(data) - set(STILLS) - set(VIDEOS)
        stills = {name: find_stills(data[name]) for name in STILLS if name in data}
        if unknown or not stills:
            raise OptionError(
                "a detector is trained on stills, and videos beside: --data duts=FOLDER --data "
                f"davis=FOLDER, got {', '.join(data) or 'none'}"
            )
        videos = [v for name in VIDEOS if name in data for v in find_videos(data[name])]
        return DetectorTask(self, stills, videos, initial)


class DetectorTask(Task):
    """A recipe on the user's data."""

    def __init__(
        self,
        recipe: DetectorRecipe,
        stills: Mapping[str, Stills],
        videos: Sequence[AnnotatedVideo],
        initial: Path | None = None,
    ) -> None:
        super().__init__(recipe, initial)
        self.recipe = recipe
        self.sizes = {name: len(part) for name, part in stills.items()}
        self.stills = JoinedStills(tuple(stills.values()))
        self.videos = tuple(v for v in videos if v.name not in recipe.held_out)
        self.held_out = tuple(v for v in videos if v.name in recipe.held_out)

    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""
        network = DetectorLite(self.recipe.model)
        network.encoder.load_imagenet(lite0_imagenet_weights())
        return network, "EfficientNet-Lite0 on ImageNet"

    def batch(self, step: int, part: int) -> Batch:
        """Images B×3×S×S uint8, boxes B×K×4 float32 px, and which of them are any, B×K bool."""
        cv2.setNumThreads(0)
        recipe = self.recipe
        rng = np.random.default_rng((self.schedule.seed, step, part))
        images, boxes = [], torch.zeros(recipe.batch_size, MOST_OBJECTS, 4)
        present = torch.zeros(recipe.batch_size, MOST_OBJECTS, dtype=torch.bool)
        for i in range(recipe.batch_size):
            if self.videos and rng.random() < recipe.real:
                image, labels = video_scene(self.videos, recipe.scenes.size, rng)
            else:
                image, labels = compose_scene(self.stills, recipe.scenes, rng)
            found = learned_boxes(labels, recipe.losses.smallest_px)
            images.append(torch.from_numpy(image).movedim(-1, 0))
            boxes[i, : len(found)] = torch.from_numpy(found)
            present[i, : len(found)] = True
        return {"images": torch.stack(images), "boxes": boxes, "present": present}

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """The sum of `detection_loss` on a batch."""
        images = batch["images"].float() / 255
        maps = network(images.contiguous(memory_format=torch.channels_last))
        parts = detection_loss(maps, batch["boxes"], batch["present"], self.recipe.losses)
        return torch.stack(list(parts.values())).sum()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Average precision at overlaps of 0.5 and 0.75, and recall, on the videos kept out."""
        assert isinstance(network, DetectorLite)
        detector = LiteDetector(network)
        found: list[Detections] = []
        truths: list[Boxes] = []
        for video in self.held_out:
            for index in range(0, len(video), self.recipe.validate_stride):
                frame, labels = video.read(index)
                found.append(detector.detect(frame))
                truths.append(label_boxes(labels))
        if not found:
            return {}
        scores = {
            "AP50": average_precision(found, truths),
            "AP75": average_precision(found, truths, 0.75),
            "recall": recall(found, truths),
        }
        return {"score": float(np.mean(list(scores.values()))), **scores}

    def data_sizes(self) -> dict[str, int]:
        """Number of items in each part of the training data."""
        frames = sum(len(v) for v in self.videos)
        return {**self.sizes, "videos": len(self.videos), "video frames": frames}


def video_scene(videos: Sequence[AnnotatedVideo], size: int, rng: np.random.Generator) -> Scene:
    """A random view of a random frame: mirrored, turned a little, nearer or farther.

    Args:
        videos: Where frames come from.
        size: Side of the square picture, px.
        rng: Every random choice.
    """
    video = videos[int(rng.integers(len(videos)))]
    image, labels = video.read(int(rng.integers(len(video))))
    height, width = labels.shape
    scale = size / min(height, width) * float(np.exp(rng.uniform(-0.35, 0.35)))
    half = size / 2 / scale
    limits = np.array([width, height], float)
    centre = rng.uniform(np.minimum(half, limits / 2), np.maximum(limits - half, limits / 2))
    matrix = affine(
        centre,
        np.full(2, size / 2),
        scale=scale,
        rotation_rad=float(rng.normal(0, 0.08)),
        shear=float(rng.normal(0, 0.05)),
        flip=bool(rng.random() < 0.5),
    )
    linear, nearest = (m | cv2.WARP_INVERSE_MAP for m in (cv2.INTER_LINEAR, cv2.INTER_NEAREST))
    # Beyond the frame it is grey: a mirror image there would be an object without a label.
    picture = cv2.warpAffine(image, matrix, (size, size), flags=linear, borderValue=(127,) * 3)
    moved = cv2.warpAffine(labels, matrix, (size, size), flags=nearest)
    coloured = random_colour(rng, 0.6)(picture.astype(np.uint8, copy=False))
    return coloured, moved.astype(np.uint8, copy=False)


def learned_boxes(labels: Labels, smallest_px: int) -> Boxes:
    """Boxes of a scene's objects, largest first, without the smallest ones."""
    boxes = label_boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes[sides.min(1, initial=np.inf) >= smallest_px]
    order = np.argsort(-box_areas(boxes), kind="stable")
    return np.asarray(boxes[order[:MOST_OBJECTS]], np.float32)


def detection_loss(
    maps: BoxMaps, boxes: Tensor, present: Tensor, config: DetectionLoss
) -> dict[str, Tensor]:
    """The parts of the loss, weighed; their sum is what is minimised.

    Args:
        maps: What the network said of B images.
        boxes: B×K×4, px, larger ones first.
        present: B×K, which of them are any.
        config: The weights.
    """
    heat, weight, target = box_targets(
        boxes, present, (maps.centre.shape[-2], maps.centre.shape[-1]), config.width
    )
    predicted = boxes_at_cells(maps.reach, DetectorLite.stride)
    overlap = (weight * (1 - generalised_iou(predicted, target))).sum()
    return {
        "centres": focal_loss(maps.centre, heat),
        "boxes": config.boxes * overlap / weight.sum().clamp_min(1e-6),
    }


def box_targets(
    boxes: Tensor, present: Tensor, cells: tuple[int, int], width: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What every cell should say.

    Args:
        boxes: B×K×4, px, larger ones first: where two meet, the later one counts.
        present: B×K.
        cells: Height and width of the maps.
        width: The part of a box that its Gaussian covers.

    Returns:
        Of B×h×w cells: the height of the Gaussian there, 1 in the cell of a centre; the weight of
        the cell's box, which adds up to the logarithm of the box's area (TTFNet, eq. 7), so that
        small ones count; the box to learn, B×h×w×4.
    """
    stride = DetectorLite.stride
    x, y = cell_centres(*cells, stride, boxes.device)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    middle = (torch.floor(centre / stride) + 0.5) * stride
    sigma = ((boxes[..., 2:] - boxes[..., :2]) * width / 6).clamp_min(stride / 3)
    dx = (x[None, None] - middle[..., 0, None, None]) / sigma[..., 0, None, None]
    dy = (y[None, None] - middle[..., 1, None, None]) / sigma[..., 1, None, None]
    gauss = torch.exp(-(dx.square() + dy.square()) / 2)
    inside = (dx.abs() <= 3) & (dy.abs() <= 3) & present[..., None, None]
    gauss = gauss * inside
    heat, _ = gauss.max(1)
    # Of the boxes that reach a cell, the last one.
    order = torch.arange(1, boxes.shape[1] + 1, device=boxes.device)[:, None, None]
    owner = (inside * order).max(1).values
    own = (order == owner[:, None]) * gauss
    area = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1).prod(-1)
    share = own / own.sum((2, 3), keepdim=True).clamp_min(1e-6)
    weight = (share * area.log()[..., None, None]).sum(1)
    chosen = (owner - 1).clamp_min(0).flatten(1)
    target = boxes.gather(1, chosen[..., None].expand(-1, -1, 4)).unflatten(1, cells)
    return heat, weight, target


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Penalty-reduced focal loss of a heat map, an object's share (CenterNet, eq. 1).

    Args:
        logits: B×h×w.
        heat: B×h×w, 0 to 1, 1 at the centres.
    """
    chance = torch.sigmoid(logits)
    is_centre = heat == 1
    hit = -F.logsigmoid(logits) * (1 - chance).square() * is_centre
    miss = -F.logsigmoid(-logits) * chance.square() * (1 - heat).pow(4) * ~is_centre
    return (hit.sum() + miss.sum()) / is_centre.sum().clamp_min(1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Of boxes ...×4 in pairs, -1 to 1 (Rezatofighi et al. 2019): IoU less the hull's waste."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    union = _area(a) + _area(b) - shared
    outer = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    around = outer.prod(-1).clamp_min(1e-6)
    return shared / union.clamp_min(1e-6) - (around - union) / around


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


RECIPE = DetectorRecipe(
    name="detector-lite",
    optimiser_steps=1150,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.5, ema=0.996, validate_every=230),
)
