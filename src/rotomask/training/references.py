"""Learning from all frames of a video that the user fixed: the decoder, fine-tuned on them.

Online learning (`training.online`; RGMP, Oh et al. 2018, sec. 4.3) has one frame, and makes clips
of it. Corrections give several true masks of one video: each frame is segmented with the others in
memory, as the frames between them will be, and moved copies with all of them. Only the decoder
learns; features and memory are computed once.
"""

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.averaging import keep_weights
from rotomask.networks.layers.memory import memory_read
from rotomask.networks.layers.pixels import unit_floats
from rotomask.networks.precision import Runtime
from rotomask.networks.stm_lite import STMLite
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.framing import Framing, ids_in
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.online import KnownFrame, ReferenceLearned
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.surroundings import Window, whole_frame, widened, window_around

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """Settings of learning from reference frames; chosen on held-out videos of DAVIS-2016 train."""

    steps: int = 80
    """Optimiser steps, each of one object in one frame."""
    learning_rate: float = 3e-4
    """Of Adam; it falls to a tenth."""
    copies: int = 2
    """Moved copies of each frame, the first mirrored."""
    frames: int = 5
    """Frames that are learned from, at most: the first ones given."""
    objects: int = 16
    """With more of them nothing is learned: each frame's masks are held for all at once."""
    dice: float = 0.5
    """Weight of the Dice loss beside the cross-entropy."""
    kept: float = 0.5
    """Share of the weights before in those that are used, 0 to 1: the learned ones know these few
    frames better, the mean of both other frames."""
    seed: int = 0


@dataclass(frozen=True)
class _Example:
    """A frame to segment, with all that does not change while the decoder learns."""

    features: Any
    """Output of `encode_frame`, of the whole frame."""
    readout: Tensor
    """Of the object's memory, 1×Cv×h×w."""
    masks: Tensor
    """True masks of all objects, O×H×W, 0 to 1."""
    row: int
    """The object that is asked for."""


@dataclass(frozen=True)
class ReferenceLearner:
    """Learning from several annotated frames; a `segmenters.online.LearnFromAll`."""

    config: ReferenceConfig

    def __call__(
        self,
        segmenter: NetworkSegmenter[Any, Any],
        known: Sequence[KnownFrame],
        on_learning: OnLearning | None = None,
    ) -> nn.Module:
        """A copy of the segmenter's network, its decoder trained on these frames.

        Args:
            segmenter: With an `STMLite`.
            known: Two frames or more of one video, with the masks of some or all objects. Of more
                objects than `ReferenceConfig.objects` nothing is learned.
            on_learning: Told how far it is.
        """
        began, config = time.perf_counter(), self.config
        network = copy.deepcopy(segmenter.network).float()
        assert isinstance(network, STMLite)
        network.eval().requires_grad_(False)
        if len({k for one in known for k in one.ids}) > config.objects:
            return network
        rng = np.random.default_rng(config.seed)
        segmenter.fit_to(known[0].labels)
        size = (known[0].frame.shape[0], known[0].frame.shape[1])
        framing = Framing(
            size=size,
            working_size=segmenter.working_size(size),
            stride=network.stride,
            device=segmenter.runtime.device,
        )
        with torch.no_grad(), segmenter.runtime.autocast():
            examples = _examples(network, framing, known[: config.frames], config.copies, rng)
        if examples:
            losses = _train(network, examples, config, segmenter.runtime, rng, on_learning)
            logger.debug(
                "learned from %d frames in %.1f s, loss %.3f -> %.3f",
                min(len(known), config.frames),
                time.perf_counter() - began,
                np.mean(losses[:8]),
                np.mean(losses[-8:]),
            )
        return network.requires_grad_(False)


def learn_references(segmenter: Segmenter, config: ReferenceConfig | None = None) -> Segmenter:
    """The segmenter, made to learn from all reference frames that it is given.

    Args:
        segmenter: Any; one that does not run `STMLite` alone, in PyTorch, is returned as it is.
        config: How much is learned.
    """
    is_able = isinstance(segmenter, SpaceTimeSegmenter) and isinstance(segmenter.network, STMLite)
    if not is_able:
        return segmenter
    assert isinstance(segmenter, SpaceTimeSegmenter)
    return ReferenceLearned(segmenter, ReferenceLearner(config or ReferenceConfig()))


def _examples(
    network: STMLite,
    framing: Framing,
    known: Sequence[KnownFrame],
    copies: int,
    rng: np.random.Generator,
) -> list[_Example]:
    """Every object of every frame, by the memory of the other frames; and moved, by that of all."""
    ids = tuple(sorted({k for one in known for k in one.ids}))
    images = [unit_floats(framing.image(one.frame)) for one in known]  # 1×3×H×W
    masks = [framing.masks(one.labels, ids) for one in known]  # O×H×W
    features = [network.encode_frame(image) for image in images]
    memory = []  # of each frame: keys 1×Ck×N and values O×Cv×N
    for image, feature, mask in zip(images, features, masks, strict=True):
        key, value = network.encode_value(image, feature, mask)
        memory.append((key.flatten(2), value.flatten(2)))
    # A frame says nothing of an object that it does not show: perhaps it was not asked for there.
    shown = [{row for row, k in enumerate(ids) if k in ids_in(one.labels)} for one in known]

    def read(feature: Any, row: int, left_out: int | None = None) -> Tensor | None:
        chosen = [i for i in range(len(known)) if i != left_out and row in shown[i]]
        if not chosen:
            return None
        key = torch.cat([memory[i][0] for i in chosen], -1)  # 1×Ck×M
        value = torch.cat([memory[i][1][row : row + 1] for i in chosen], -1)  # 1×Cv×M
        query = feature.key.flatten(2)
        found = memory_read(query, key, value, similarity=network.similarity)
        unflattened: Tensor = found.unflatten(-1, feature.key.shape[-2:])
        return unflattened

    examples = []
    for i, (image, feature, mask) in enumerate(zip(images, features, masks, strict=True)):
        seen: list[tuple[Any, Tensor, int | None]] = [(feature, mask, i)]
        for number in range(copies):
            moved, its_mask = _moved(image, mask, rng, mirrored=number % 2 == 0)
            seen.append((network.encode_frame(moved), its_mask, None))
        for its_features, its_mask, left_out in seen:
            for row in sorted(shown[i]):
                readout = read(its_features, row, left_out)
                if readout is not None and (its_mask[row] > 0.5).any():
                    examples.append(_Example(its_features, readout, its_mask, row))
    return examples


def _train(
    network: STMLite,
    examples: Sequence[_Example],
    config: ReferenceConfig,
    runtime: Runtime,
    rng: np.random.Generator,
    on_learning: OnLearning | None,
) -> list[float]:
    """Train the decoder in place; the loss of every step."""
    network.decoder.requires_grad_(True)
    before = [parameter.detach().clone() for parameter in network.decoder.parameters()]
    optimiser = torch.optim.Adam(network.decoder.parameters(), lr=config.learning_rate)
    order: list[int] = []
    losses = []
    for step in range(config.steps):
        # A short warm-up for Adam's averages, then down to a tenth.
        rate = min(1.0, (step + 1) / 5) * (1 - 0.9 * step / config.steps)
        optimiser.param_groups[0]["lr"] = rate * config.learning_rate
        order = order or rng.permutation(len(examples)).tolist()
        example = examples[order.pop()]
        # A context a step: within one, autocast keeps the weights as it first cast them.
        with runtime.autocast():
            loss = _loss(network, example, config.dice, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        if on_learning is not None:
            on_learning((step + 1) / config.steps)
    keep_weights(network.decoder.parameters(), before, config.kept)
    return losses


def _loss(network: STMLite, example: _Example, dice: float, rng: np.random.Generator) -> Tensor:
    """Loss of one object, decoded in its surroundings from a mask like that of a frame before."""
    truth = example.masks[example.row]  # H×W
    guidance = _disturbed(truth, rng)
    others = (example.masks.sum(0) - truth).clamp(0, 1)
    frame = whole_frame(truth.shape)
    around = window_around(torch.maximum(truth, guidance), float(rng.uniform(0.1, 0.3)))
    window: Window = widened(around, frame)
    logits = network.decode(
        example.readout[(..., *window.at(network.stride))],
        network.crop(example.features, *window),
        guidance[window][None],
        others[window][None],
    )[0].float()
    wanted = truth[window]
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * wanted).sum() + 1
    missed = 1 - overlap / (probability.sum() + wanted.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, wanted) + dice * missed


def _moved(
    image: Tensor, masks: Tensor, rng: np.random.Generator, *, mirrored: bool
) -> tuple[Tensor, Tensor]:
    """A frame 1×3×H×W and its masks O×H×W, moved, scaled and turned a little."""
    scale, angle = float(np.exp(rng.uniform(-0.15, 0.15))), float(rng.uniform(-0.1, 0.1))
    x, y = (float(shift) for shift in rng.uniform(-0.06, 0.06, 2))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    side = -1 if mirrored else 1
    rows = [[side * cosine, side * sine, side * x], [-sine, cosine, y]]
    matrix = torch.tensor(rows, dtype=torch.float32, device=image.device)[None]
    grid = F.affine_grid(matrix, [1, 1, *image.shape[-2:]], align_corners=False)

    def sample(maps: Tensor) -> Tensor:
        return F.grid_sample(maps.float(), grid, padding_mode="border", align_corners=False)

    return sample(image).contiguous(memory_format=torch.channels_last), sample(masks[None])[0]


def _disturbed(mask: Tensor, rng: np.random.Generator) -> Tensor:
    """A mask H×W as it may have been a frame before: moved, thicker or thinner; sometimes empty."""
    ys, xs = np.nonzero((mask > 0.5).cpu().numpy())
    if len(ys) == 0 or rng.random() < 0.1:
        return torch.zeros_like(mask)
    height, width = mask.shape
    centre = (float(xs.min() + xs.max()) / 2, float(ys.min() + ys.max()) / 2)
    turn, grow = float(rng.uniform(-8, 8)), float(np.exp(rng.uniform(-0.08, 0.08)))
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, turn, grow), np.float64)
    matrix[:, 2] += rng.uniform(-0.12, 0.12, 2) * np.array([1 + np.ptp(xs), 1 + np.ptp(ys)])
    moved = cv2.warpAffine(mask.cpu().numpy(), matrix, (width, height))
    if rng.random() < 0.5:
        side = int(rng.integers(1, 6))
        change = cv2.dilate if rng.random() < 0.5 else cv2.erode
        moved = change(moved, np.ones((side, side), np.uint8))
    return torch.from_numpy(np.asarray(moved, np.float32)).to(mask.device)
