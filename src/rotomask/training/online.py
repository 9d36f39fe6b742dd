"""Online learning: a network's decoder fine-tuned on the reference frame of its video.

RGMP (Oh et al. 2018), sec. 4.3: both the reference and the target frame are made of the one frame
that is given, by random transformations (strategy 1 of sec. 3.2), and the network is trained on
them before it sees the video. Here it is the network's decoder: what it is given stays as it was
learned on many videos, and a space-time memory network encodes the frames only once.
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.arrays import Frame, Mask
from rotomask.data.simulation import MotionConfig, plan_simulated_clip, render, stack_clips
from rotomask.data.simulation.render import guidance_grid
from rotomask.errors import OptionError
from rotomask.networks.averaging import keep_weights
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.precision import Runtime
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.framing import ids_in
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.online import OnlineLearned
from rotomask.segmenters.space_time_config import SpaceTimeNetwork
from rotomask.training.reference_guided import enlarge, propagate
from rotomask.training.space_time import segment_clip
from rotomask.training.task import Batch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """Settings of learning from the reference frame. The paper: 1,000 steps of Adam at 1e-7."""

    steps: int = 40
    """Optimiser steps."""
    seconds: float | None = None
    """Time after which it ends, whatever is left of the steps; None: no limit."""
    learning_rate: float = 1e-4
    kept: float = 0.5
    """Share of the weights before in those that are used, 0 to 1: the learned ones know one frame
    better, the mean of both the others too (Wortsman et al. 2022)."""
    clips: int = 8
    """Simulated clips, a batch each. They are made and encoded once and come again and again."""
    frames: int = 3
    """Frames a clip, the first of them given."""
    size: int = 320
    """Side of the square frames, px; a multiple of 16."""
    objects: int = 3
    """Most objects in a clip; of more, each clip has some."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.clips < 1 or self.objects < 1 or self.learning_rate <= 0:
            raise OptionError(
                "online learning needs steps, clips, objects and a learning rate above 0, got "
                f"{self.steps}, {self.clips}, {self.objects} and {self.learning_rate}"
            )
        if not 0 <= self.kept < 1:
            raise OptionError(f"online learning keeps a share from 0 to below 1, got {self.kept}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise OptionError(f"online learning needs some seconds, got {self.seconds}")
        if self.frames < 2 or self.size < 64 or self.size % 16:
            raise OptionError(
                "online learning needs clips of 2 frames or more and a size that is a multiple of "
                f"16, 64 px or more, got {self.frames} and {self.size}"
            )


Loss = Callable[[], Tensor]
"""Mean cross-entropy on one clip, over all pixels after the given frame."""

Lesson = Callable[[nn.Module, Batch], Loss]
"""From a network and a clip, which is encoded as far as it can be once: the loss on it."""


@dataclass(frozen=True)
class OnlineLearner:
    """Online learning from an annotated frame; a `segmenters.online.Learn`."""

    config: OnlineConfig

    def __call__(
        self,
        segmenter: NetworkSegmenter[Any, Any],
        frame: Frame,
        mask: Mask,
        on_learning: OnLearning | None = None,
    ) -> nn.Module:
        """A copy of the segmenter's network, its decoder trained on clips made of one frame.

        Args:
            segmenter: Space-time memory or reference-guided.
            frame: H×W×3 uint8 RGB.
            mask: H×W labels; without any object nothing is learned.
            on_learning: Told how far it is.

        Raises:
            OptionError: If networks of the segmenter's kind cannot learn online.
        """
        network = copy.deepcopy(segmenter.network).float()
        assert isinstance(network, nn.Module)
        lesson = lesson_of(segmenter)
        if mask.any():
            segmenter.fit_to(mask)
            size = segmenter.learning_size((frame.shape[0], frame.shape[1]))
            image, labels = _resized(frame, mask, size)
            fine_tune(network, lesson, image, labels, self.config, segmenter.runtime, on_learning)
        return network


def learn_online(segmenter: Segmenter, config: OnlineConfig | None = None) -> OnlineLearned:
    """The segmenter, made to learn from the reference frame of each video first.

    Args:
        segmenter: One space-time memory or reference-guided network.
        config: How much is learned.

    Raises:
        OptionError: If the segmenter is another one.
    """
    lesson_of(segmenter)
    assert isinstance(segmenter, NetworkSegmenter)
    return OnlineLearned(segmenter, OnlineLearner(config or OnlineConfig()))


def lesson_of(segmenter: Segmenter) -> Lesson:
    """Training of a segmenter's network on a clip.

    Raises:
        OptionError: If it is not one network that learns online.
    """
    if segmenter.online_lesson is None:
        raise OptionError(
            "online learning is for space-time memory and reference-guided networks (stm-lite, "
            f"rgmp-lite, ...), got {segmenter!r}"
        )
    return LESSONS[segmenter.online_lesson]


def fine_tune(
    network: nn.Module,
    lesson: Lesson,
    image: Frame,
    labels: Mask,
    config: OnlineConfig,
    runtime: Runtime,
    on_learning: OnLearning | None = None,
) -> list[float]:
    """Train the network's trainable part, its decoder, on clips simulated from one frame.

    Args:
        network: STMLite, STM, RGMPLite or RGMP; only its decoder changes.
        lesson: How it is trained on a clip; see `LESSONS`.
        image: H×W×3 uint8 RGB, at the size at which frames are processed.
        labels: H×W uint8, objects 1, 2, ...
        config: How much.
        runtime: Device and precision.
        on_learning: Told how far it is, in steps or time, whichever is further.

    Returns:
        The loss of every step; empty if no clip could be made, as of an object of a few pixels.
    """
    began = time.perf_counter()
    network.eval().requires_grad_(False)
    trainable: nn.Module = network.trainable_part()  # type: ignore[operator]
    trainable.requires_grad_(True)
    before = [parameter.detach().clone() for parameter in trainable.parameters()]
    optimiser = torch.optim.Adam(trainable.parameters(), lr=config.learning_rate)
    rng = np.random.default_rng(config.seed)
    clips: list[Loss] = []
    losses: list[float] = []
    for step in range(config.steps):
        if step < config.clips:  # made one by one, so that the time ends this too
            batch = simulate(image, labels, config, rng)
            if batch is not None:
                on_device = {name: value.to(runtime.device) for name, value in batch.items()}
                with runtime.autocast():
                    # The features of the clip's frames are computed once here: the encoder does not
                    # change, so later steps decode only.
                    clips.append(lesson(network, on_device))
        if not clips:
            continue
        # A context a step: within one, autocast keeps the weights as it first cast them.
        with runtime.autocast():
            # In turn, each as often as the others.
            loss = clips[step % len(clips)]()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        spent = (step + 1) / config.steps
        if config.seconds is not None:
            spent = max(spent, (time.perf_counter() - began) / config.seconds)
        if on_learning is not None:
            on_learning(min(1.0, spent))
        if spent >= 1:
            break
    network.requires_grad_(False)
    keep_weights(trainable.parameters(), before, config.kept)
    logger.debug(
        "online learning: %d steps in %.1f s, loss %s",
        len(losses),
        time.perf_counter() - began,
        f"{losses[0]:.3f} -> {losses[-1]:.3f}" if losses else "none: the objects are too small",
    )
    return losses


def _space_time_lesson(network: Any, batch: Batch) -> Loss:
    return partial(_space_time_loss, _Encoded.of(network, batch), batch)


def _space_time_loss(network: "_Encoded", batch: Batch) -> Tensor:
    # Without recurrence: `draws` of this clip decide nothing but its memory frames.
    probabilities = segment_clip(network, batch)
    truth = batch["labels"][:, 1:].long()
    return F.nll_loss(torch.log(probabilities.transpose(1, 2).clamp_min(1e-7)), truth)


def _reference_guided_lesson(network: Any, batch: Batch) -> Loss:
    return partial(_reference_guided_loss, network, _of_one_object(batch))


def _reference_guided_loss(network: Any, batch: Batch) -> Tensor:
    logits = torch.stack([enlarge(sides[0]) for sides in propagate(network, batch)], 1)
    return F.binary_cross_entropy_with_logits(logits, batch["masks"][:, 1:])


LESSONS: dict[str, Lesson] = {
    "space-time": _space_time_lesson,
    "reference-guided": _reference_guided_lesson,
}
"""Lessons by `Segmenter.online_lesson`."""


def _of_one_object(batch: Batch) -> Batch:
    """What `propagate` takes: the object's first mask, moved a little, guides the next frame."""
    masks = (batch["labels"] == 1).float()
    guidance = F.grid_sample(masks[:, :1], batch["guidance_grid"], align_corners=False)[:, 0]
    return {"frames": batch["frames"], "masks": masks, "guidance": guidance}


class _Encoded:
    """A space-time network that knows the features of one clip's frames already."""

    def __init__(self, network: SpaceTimeNetwork, features: Any) -> None:
        self.network, self.features = network, features
        self.stride = network.stride

    @classmethod
    def of(cls, network: SpaceTimeNetwork, batch: Batch) -> "_Encoded":
        """With the features of a batch's frames."""
        frames = batch["frames"].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return cls(network, network.encode_frame(frames))

    @property
    def similarity(self) -> Similarity:
        return self.network.similarity

    def encode_frame(self, image: Tensor) -> Any:
        return self.features

    def encode_value(self, image: Tensor, features: Any, masks: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.encode_value(image, features, masks)

    def crop(self, features: Any, rows: slice, columns: slice) -> Any:
        return self.network.crop(features, rows, columns)

    def decode(
        self, readout: Tensor, features: Any, guidance: Tensor, others: Tensor | None = None
    ) -> Tensor:
        return self.network.decode(readout, features, guidance, others)


def simulate(
    image: Frame, labels: Mask, config: OnlineConfig, rng: np.random.Generator
) -> Batch | None:
    """One clip of strategy 1: the frame itself, moved and bent, in other light.

    Returns:
        What `segment_clip` takes, with one clip; None if the objects are too small for one.
    """
    objects = min(int(labels.max()), config.objects)
    plan = plan_simulated_clip(
        [(image, labels.astype(np.uint8))],
        size=config.size,
        frames=config.frames,
        objects=objects,
        rng=rng,
        paste=0,
        occlusion=0,
        motion=MotionConfig(),
    )
    if plan is None:
        return None
    stacked = stack_clips([plan])
    clip = render(stacked)
    draws = torch.from_numpy(rng.random((1, config.frames, 3), np.float32))
    return {
        "frames": clip.frames,
        "labels": clip.labels,
        "guidance_grid": guidance_grid(stacked),
        "draws": draws,
    }


def _resized(frame: Frame, mask: Mask, size: tuple[int, int]) -> tuple[Frame, Mask]:
    """Frame and mask at the processing size, with objects 1, 2, ..., at most 255."""
    # Labels of a clip are uint8.
    ids = ids_in(mask)[:255]
    labels = np.zeros(mask.shape, np.uint8)
    for number, object_id in enumerate(ids, start=1):
        labels[mask == object_id] = number
    height, width = size
    if frame.shape[:2] != size:
        reduces = width < frame.shape[1]
        method = cv2.INTER_AREA if reduces else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(frame, (width, height), interpolation=method), np.uint8)
        small = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        return image, np.asarray(small, np.uint8)
    return frame, labels
