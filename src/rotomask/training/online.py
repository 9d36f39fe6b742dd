"""Online learning: a network's decoder fine-tuned on the reference frame of its video.

RGMP (Oh et al. 2018), sec. 4.3: both the reference and the target frame are made of the one frame
that is known, by random transformations (strategy 1 of sec. 3.2), and the network is trained on
them before it sees the video. Here it is the network's decoder: what it is given stays as it was
learned on many videos, and a space-time memory network encodes the frames only once.
"""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.arrays import Frame, Mask, Probabilities, check_frame, check_mask
from rotomask.data.simulation import MotionConfig, plan_simulated_clip, render, stack_clips
from rotomask.data.simulation.render import guidance_grid
from rotomask.errors import OptionError
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.precision import Runtime
from rotomask.networks.rgmp import RGMP
from rotomask.networks.rgmp_lite import RGMPLite
from rotomask.networks.sizing import working_size
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.framing import ids_in
from rotomask.segmenters.reference_guided import ReferenceGuidedSegmenter
from rotomask.segmenters.space_time import SpaceTimeNetwork, SpaceTimeSegmenter
from rotomask.training.reference_guided import enlarge, propagate
from rotomask.training.space_time import segment_clip
from rotomask.training.task import Batch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OnlineConfig:
    """How much is learned from the reference frame. The paper: 1,000 steps of Adam at 1e-7."""

    steps: int = 40
    """Optimiser steps."""
    seconds: float | None = None
    """Time after which it ends, whatever is left of the steps; None: no limit."""
    learning_rate: float = 3e-5
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
        if self.seconds is not None and self.seconds <= 0:
            raise OptionError(f"online learning needs some seconds, got {self.seconds}")
        if self.frames < 2 or self.size < 64 or self.size % 16:
            raise OptionError(
                "online learning needs clips of 2 frames or more and a size that is a multiple of "
                f"16, 64 px or more, got {self.frames} and {self.size}"
            )


class OnlineLearned(Segmenter):
    """A propagation network that learns from the reference frame of each video.

    The network given is not changed: every video has a copy of its own. Objects and corrections
    that come later are followed, but not learned from.

    Args:
        segmenter: What segments.
        config: How much is learned.

    Raises:
        OptionError: If the segmenter is not one network run over the video.
    """

    def __init__(self, segmenter: Segmenter, config: OnlineConfig | None = None) -> None:
        if not isinstance(segmenter, (SpaceTimeSegmenter, ReferenceGuidedSegmenter)):
            raise OptionError(
                "online learning is for space-time memory and reference-guided networks (stm-lite, "
                f"rgmp-lite, ...), got {segmenter!r}"
            )
        self.segmenter, self.config = segmenter, config or OnlineConfig()
        self._learned: Segmenter | None = None
        self._on_learning: OnLearning | None = None

    def __repr__(self) -> str:
        """The segmenter and what it learns."""
        return f"{self.segmenter!r}, online learning {self.config}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return () if self._learned is None else self._learned.object_ids

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything, learn from this frame and its mask, and take them as the reference."""
        check_frame(frame)
        check_mask(mask, frame)
        base = self.segmenter
        network = copy.deepcopy(base.network)
        assert isinstance(network, nn.Module)
        scale = (
            base.config.scale if isinstance(base, SpaceTimeSegmenter) else max(base.config.scales)
        )
        full = (frame.shape[0], frame.shape[1])
        size = working_size(full, base.config.size, base.config.enlarge, scale)
        if mask.any():
            image, labels = _picture(frame, mask, size)
            fine_tune(network, image, labels, self.config, base.runtime, self._on_learning)
        self._learned = type(base)(network, base.config, base.runtime)  # type: ignore[arg-type]
        self._learned.start(frame, mask)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        return self._following().step(frame)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask: a correction, or a new object."""
        return self._following().add(frame, mask, object_ids)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier answer, without segmenting."""
        self._following().observe(frame, mask)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Have `start` report how far learning is."""
        self._on_learning = on_learning

    def twin(self) -> Segmenter:
        """Another of the same kind, that learns from its own video."""
        return OnlineLearned(self.segmenter, self.config)

    def _following(self) -> Segmenter:
        """What learned from the video; before the first video the segmenter that was given."""
        return self.segmenter if self._learned is None else self._learned


def fine_tune(
    network: nn.Module,
    image: Frame,
    labels: Mask,
    config: OnlineConfig,
    runtime: Runtime,
    on_learning: OnLearning | None = None,
) -> list[float]:
    """Train the network's decoder on clips simulated from one frame.

    Args:
        network: STMLite, STM, RGMPLite or RGMP; only its decoder changes.
        image: H×W×3 uint8 RGB, at the size at which frames are processed.
        labels: H×W uint8, objects 1, 2, ...
        config: How much.
        runtime: Where and in which precision.
        on_learning: Told how far it is, in steps or time, whichever is further.

    Returns:
        The loss of every step; empty if no clip could be made, as of an object of a few pixels.
    """
    began = time.perf_counter()
    network.eval().requires_grad_(False)
    decoder = network.Decoder if isinstance(network, RGMP) else network.decoder
    assert isinstance(decoder, nn.Module)
    decoder.requires_grad_(True)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=config.learning_rate)
    rng = np.random.default_rng(config.seed)
    lessons: list[Lesson] = []
    losses: list[float] = []
    for step in range(config.steps):
        if step < config.clips:  # made one by one, so that the time ends this too
            batch = simulate(image, labels, config, rng)
            if batch is not None:
                on_device = {name: value.to(runtime.device) for name, value in batch.items()}
                with _autocast(runtime):
                    lessons.append(_lesson(network, on_device))
        if not lessons:
            continue
        # A context a step: within one, autocast keeps the weights as it first cast them.
        with _autocast(runtime):
            loss = lessons[step % len(lessons)]()
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
    logger.debug(
        "online learning: %d steps in %.1f s, loss %s",
        len(losses),
        time.perf_counter() - began,
        f"{losses[0]:.3f} -> {losses[-1]:.3f}" if losses else "none: the objects are too small",
    )
    return losses


Lesson = Callable[[], Tensor]
"""Gives the loss on one batch, mean cross-entropy over all pixels after the given frame."""


def _lesson(network: nn.Module, batch: Batch) -> Lesson:
    if isinstance(network, (RGMP, RGMPLite)):
        return partial(_reference_guided_loss, network, _of_one_object(batch))
    return partial(_space_time_loss, _Encoded.of(network, batch), batch)  # type: ignore[arg-type]


def _space_time_loss(network: "_Encoded", batch: Batch) -> Tensor:
    probabilities = segment_clip(network, batch)
    truth = batch["labels"][:, 1:].long()
    return F.nll_loss(torch.log(probabilities.transpose(1, 2).clamp_min(1e-7)), truth)


def _reference_guided_loss(network: RGMP | RGMPLite, batch: Batch) -> Tensor:
    answers = torch.stack([enlarge(logits[0]) for logits in propagate(network, batch)], 1)
    return F.binary_cross_entropy_with_logits(answers, batch["masks"][:, 1:])


def _of_one_object(batch: Batch) -> Batch:
    """What `propagate` takes: the object's first mask, moved a little, guides the next frame."""
    masks = (batch["labels"] == 1).float()
    guidance = F.grid_sample(masks[:, :1], batch["guidance_grid"], align_corners=False)[:, 0]
    return {"frames": batch["frames"], "masks": masks, "guidance": guidance}


def _autocast(runtime: Runtime) -> torch.autocast:
    enabled = runtime.precision == "bfloat16"
    return torch.autocast(runtime.device.type, torch.bfloat16, enabled)


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

    def decode(self, readout: Tensor, features: Any, guidance: Tensor) -> Tensor:
        return self.network.decode(readout, features, guidance)


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
    chance = torch.from_numpy(rng.random((1, config.frames, 3), np.float32))
    return {
        "frames": clip.frames,
        "labels": clip.labels,
        "guidance_grid": guidance_grid(stacked),
        "chance": chance,
    }


def _picture(frame: Frame, mask: Mask, size: tuple[int, int]) -> tuple[Frame, Mask]:
    """Frame and mask at the processing size, with objects 1, 2, ..., at most 255."""
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
