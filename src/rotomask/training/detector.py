"""Training of detector-lite: scenes of several objects, a heat-map loss and a box-overlap loss.

As in TTFNet (Liu et al. 2020), each object is a Gaussian on the heat map as wide as its box, and
every cell under the Gaussian is trained to predict the box. Training a single cell per object, as
CenterNet does, takes more steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation.motion import affine
from rotomask.data.training.images import Labels
from rotomask.data.training.looks import random_colour
from rotomask.data.training.scenes import Scene, SceneConfig, compose_scene
from rotomask.detection.boxes import Boxes, box_areas, label_boxes
from rotomask.detection.detector import Detections
from rotomask.detection.lite import LiteDetector
from rotomask.evaluation.measures.detection import average_precision, recall
from rotomask.networks.detector_lite import (
    BoxMaps,
    DetectorLite,
    DetectorLiteConfig,
    boxes_at_cells,
    cell_centres,
)
from rotomask.training.stills_task import VideoFramesRecipe, VideoFramesTask, open_stills_and_videos
from rotomask.training.task import Batch, Data, Schedule, Task

MAX_OBJECTS = 12
"""Maximum number of objects used per scene; the largest are used."""


@dataclass(frozen=True, kw_only=True)
class DetectionLoss:
    """Weights of the losses, and the size of the training targets."""

    width: float = 0.54
    """Width of a box's Gaussian as a fraction of the box, in x and y (alpha in TTFNet)."""
    boxes: float = 2.5
    """Weight of the overlap loss of the boxes; the heat-map loss has weight 1."""
    smallest_px: int = 10
    """Minimum width and height of a box; smaller objects are ignored in training."""


@dataclass(frozen=True, kw_only=True)
class DetectorRecipe(VideoFramesRecipe):
    """Hyper-parameters of a run of detector-lite."""

    model: DetectorLiteConfig = field(default_factory=DetectorLiteConfig)
    scenes: SceneConfig = field(
        default_factory=lambda: SceneConfig(extent=(0.12, 0.8), paste=0.5, most_pasted=3)
    )
    losses: DetectionLoss = field(default_factory=DetectionLoss)
    batch_size: int = 12
    """Scenes per batch."""
    real: float = 0.35
    """Fraction of scenes that are video frames; the others are composed of stills."""
    encoder_factor: float = 0.3
    """Learning rate of the encoder relative to that of the other parameters."""
    frozen_stages: int = 4
    """Number of encoder stages, counted from the input, that are not trained."""
    validate_stride: int = 3
    """Step between the frames of the held-out videos that are validated."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "detector-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        stills, videos = open_stills_and_videos(data, "a detector is")
        return DetectorTask(self, stills, videos, initial)


class DetectorTask(VideoFramesTask):
    """Detector-lite with its training scenes, loss and validation."""

    recipe: DetectorRecipe

    def batch(self, step: int, part: int) -> Batch:
        """One batch of scenes and their boxes.

        Returns:
            ``images`` B×3×S×S uint8; ``boxes`` B×K×4 float32, px, padded with zeros to K =
            `MAX_OBJECTS`; ``present`` B×K bool, False for the padding.
        """
        cv2.setNumThreads(0)
        recipe = self.recipe
        rng = np.random.default_rng((self.schedule.seed, step, part))
        images, boxes = [], torch.zeros(recipe.batch_size, MAX_OBJECTS, 4)
        present = torch.zeros(recipe.batch_size, MAX_OBJECTS, dtype=torch.bool)
        for i in range(recipe.batch_size):
            if self.videos and rng.random() < recipe.real:
                image, labels = video_scene(self.videos, recipe.scenes.size, rng)
            else:
                image, labels = compose_scene(self.stills, recipe.scenes, rng)
            scene_boxes = training_boxes(labels, recipe.losses.smallest_px)
            images.append(torch.from_numpy(image).movedim(-1, 0))
            boxes[i, : len(scene_boxes)] = torch.from_numpy(scene_boxes)
            present[i, : len(scene_boxes)] = True
        return {"images": torch.stack(images), "boxes": boxes, "present": present}

    def loss(self, network: DetectorLite, batch: Batch, step: int) -> Tensor:
        """Sum of the terms of `detection_loss`, a scalar."""
        images = batch["images"].float() / 255
        maps = network(images.contiguous(memory_format=torch.channels_last))
        terms = detection_loss(maps, batch["boxes"], batch["present"], self.recipe.losses)
        return torch.stack(list(terms.values())).sum()

    def validate(self, network: DetectorLite) -> dict[str, float]:
        """Average precision at IoU 0.5 and 0.75, and recall, on the held-out videos."""
        detector = LiteDetector(network)
        detections: list[Detections] = []
        truths: list[Boxes] = []
        for video in self.held_out:
            for index in range(0, len(video), self.recipe.validate_stride):
                frame, labels = video.read(index)
                detections.append(detector.detect(frame))
                truths.append(label_boxes(labels))
        if not detections:
            return {}
        scores = {
            "AP50": average_precision(detections, truths),
            "AP75": average_precision(detections, truths, 0.75),
            "recall": recall(detections, truths),
        }
        return {"score": float(np.mean(list(scores.values()))), **scores}


def video_scene(videos: Sequence[VideoSequence], size: int, rng: np.random.Generator) -> Scene:
    """Random crop of a random video frame, flipped, rotated, sheared and scaled at random.

    Args:
        videos: Videos to draw the frame from.
        size: Side of the square scene, px.
        rng: Source of every random draw.

    Returns:
        Image S×S×3 and labels S×S, uint8.
    """
    video = videos[int(rng.integers(len(videos)))]
    image, labels = video.read(int(rng.integers(len(video))))
    height, width = labels.shape
    # The frame's short side fills the scene, times a factor of 0.7 to 1.4, uniform in its logarithm
    # so that enlarging is as likely as reducing.
    scale = size / min(height, width) * float(np.exp(rng.uniform(-0.35, 0.35)))
    half = size / 2 / scale
    limits = np.array([width, height], float)
    # The crop stays inside the frame, or is centred on it along an axis where it is larger.
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
    # Grey outside the frame: a reflected border would show objects that have no label.
    scene = cv2.warpAffine(image, matrix, (size, size), flags=linear, borderValue=(127,) * 3)
    scene_labels = cv2.warpAffine(labels, matrix, (size, size), flags=nearest)
    coloured = random_colour(rng, 0.6)(scene.astype(np.uint8, copy=False))
    return coloured, scene_labels.astype(np.uint8, copy=False)


def training_boxes(labels: Labels, smallest_px: int) -> Boxes:
    """Boxes of a scene's objects, largest first.

    Args:
        labels: H×W, 0 background.
        smallest_px: Boxes with a shorter side are left out.

    Returns:
        K×4 float32, px, K at most `MAX_OBJECTS`.
    """
    boxes = label_boxes(labels)
    sides = boxes[:, 2:] - boxes[:, :2]
    # The initial value lets an array without boxes pass.
    boxes = boxes[sides.min(1, initial=np.inf) >= smallest_px]
    order = np.argsort(-box_areas(boxes), kind="stable")
    return np.asarray(boxes[order[:MAX_OBJECTS]], np.float32)


def detection_loss(
    maps: BoxMaps, boxes: Tensor, present: Tensor, config: DetectionLoss
) -> dict[str, Tensor]:
    """Weighted terms of the loss by name; training minimises their sum.

    Args:
        maps: Output of the network for B images.
        boxes: B×K×4, px, largest first.
        present: B×K bool, False for padding.
        config: Weights of the terms.

    Returns:
        ``centres``, the focal loss of the heat map, and ``boxes``, the overlap loss; scalars.
    """
    heat, weight, target = box_targets(
        boxes, present, (maps.centre.shape[-2], maps.centre.shape[-1]), config.width
    )
    # Every cell predicts a box; the weight says which of them are asked.
    predicted = boxes_at_cells(maps.reach, DetectorLite.stride)  # B×h×w×4, like target
    overlap_loss = (weight * (1 - generalised_iou(predicted, target))).sum()
    return {
        "centres": focal_loss(maps.centre, heat),
        "boxes": config.boxes * overlap_loss / weight.sum().clamp_min(1e-6),
    }


def box_targets(
    boxes: Tensor, present: Tensor, cells: tuple[int, int], width: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Training targets of every cell of the output maps.

    Liu et al. 2020 (TTFNet), sec. 3.

    Args:
        boxes: B×K×4, px, largest first: a cell under several boxes is assigned to the last, the
            smallest of them.
        present: B×K bool, False for padding.
        cells: Height h and width w of the maps.
        width: Width of a box's Gaussian as a fraction of the box.

    Returns:
        The heat map, B×h×w, 0 to 1, exactly 1 in the cell that holds a box's centre; the weight of
        each cell's overlap loss, B×h×w, which sums to the logarithm of the area over the cells of a
        box (TTFNet, eq. 7), so that small boxes still count; the box to predict, B×h×w×4, px, which
        is arbitrary where the weight is 0.
    """
    stride = DetectorLite.stride
    x, y = cell_centres(*cells, stride, boxes.device)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2  # B×K×2
    # The Gaussian peaks at the middle of the cell that holds the centre, not at the centre itself:
    # only so is its value there exactly 1, by which `focal_loss` recognises centres.
    peak = (torch.floor(centre / stride) + 0.5) * stride
    # Three sigmas either side cover `width` of the box, and never less than the cell of the centre.
    sigma = ((boxes[..., 2:] - boxes[..., :2]) * width / 6).clamp_min(stride / 3)  # B×K×2
    # Distance of every cell from every peak in sigmas, B×K×h×w.
    dx = (x[None, None] - peak[..., 0, None, None]) / sigma[..., 0, None, None]
    dy = (y[None, None] - peak[..., 1, None, None]) / sigma[..., 1, None, None]
    gaussian = torch.exp(-(dx.square() + dy.square()) / 2)
    inside = (dx.abs() <= 3) & (dy.abs() <= 3) & present[..., None, None]
    gaussian = gaussian * inside
    heat, _ = gaussian.max(1)  # B×h×w; a sum would exceed 1 where Gaussians overlap
    # Assign each cell to the last box that covers it: 1..K, or 0 where none does.
    number = torch.arange(1, boxes.shape[1] + 1, device=boxes.device)[:, None, None]  # K×1×1
    assigned = (inside * number).max(1).values  # B×h×w
    own_gaussian = (number == assigned[:, None]) * gaussian  # B×K×h×w, 0 outside a box's own cells
    area = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1).prod(-1)  # B×K
    # Normalised over the cells of each box, then scaled by log area. The area itself would let a
    # large box outweigh dozens of small ones.
    normalised = own_gaussian / own_gaussian.sum((2, 3), keepdim=True).clamp_min(1e-6)
    weight = (normalised * area.log()[..., None, None]).sum(1)  # B×h×w
    # Cells without a box gather box 0; their weight is 0.
    index = (assigned - 1).clamp_min(0).flatten(1)  # B×hw
    target = boxes.gather(1, index[..., None].expand(-1, -1, 4)).unflatten(1, cells)  # B×h×w×4
    return heat, weight, target


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Penalty-reduced focal loss of a heat map per object (CenterNet, Zhou et al. 2019, eq. 1).

    Args:
        logits: B×h×w.
        heat: B×h×w, 0 to 1, exactly 1 at centres.

    Returns:
        A scalar: the sum over all cells divided by the number of centres, at least 1.
    """
    probability = torch.sigmoid(logits)
    is_centre = heat == 1
    # logsigmoid stays finite where the logarithm of the sigmoid overflows.
    positive = -F.logsigmoid(logits) * (1 - probability).square() * is_centre
    # (1 - heat)^4 lowers the penalty of cells beside a centre, whose box is nearly as good.
    negative = -F.logsigmoid(-logits) * probability.square() * (1 - heat).pow(4) * ~is_centre
    return (positive.sum() + negative.sum()) / is_centre.sum().clamp_min(1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of pairs of boxes, -1 to 1 (Rezatofighi et al. 2019, algorithm 1).

    The IoU minus the fraction of the smallest enclosing box that neither box covers. Unlike the
    IoU, it has a gradient for boxes that do not overlap.

    Args:
        a: ...×4: left, top, right, bottom.
        b: ...×4.

    Returns:
        One value per pair, shape `...`.
    """
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (high - low).clamp_min(0).prod(-1)  # a negative side: no overlap
    union = _area(a) + _area(b) - intersection
    hull_sides = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull = hull_sides.prod(-1).clamp_min(1e-6)
    return intersection / union.clamp_min(1e-6) - (hull - union) / hull


def _area(boxes: Tensor) -> Tensor:
    """Areas of boxes ...×4; 0 where a side is negative."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


RECIPE = DetectorRecipe(
    name="detector-lite",
    optimiser_steps=1150,
    schedule=Schedule(learning_rate=8e-4, warmup=60, decay_part=0.5, ema=0.996, validate_every=230),
)
