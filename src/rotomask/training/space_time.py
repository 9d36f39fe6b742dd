"""Training space-time memory networks: a clip is segmented as a video is at test time.

Oh et al. 2019 (STM) train on simulated and then real clips with the network's own masks in memory;
Oh et al. 2018 (RGMP), sec. 3.2, let gradients flow back through those masks.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.catalog import segmenter_role
from rotomask.data.simulation import render
from rotomask.data.simulation.render import guidance_grid
from rotomask.errors import OptionError
from rotomask.networks.layers.aggregation import aggregate
from rotomask.networks.layers.memory import memory_read
from rotomask.networks.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.networks.stm import STMConfig
from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeNetwork, SpaceTimeSegmenter
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.composed_videos import compose_videos
from rotomask.training.rates import Rates, freeze_filters
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """How a clip's frames depend on each other in training."""

    own_masks: float = 1.0
    """Part of the batches whose frames are segmented from the network's own soft masks, with
    gradients through them; those of the others are, all at once, from the true masks (the paper's
    ablation -Rec)."""
    memory_frames: int | None = None
    """Frames in memory beside the first, drawn at random from the past; None: all of them."""
    steps: int | None = None
    """Back-propagation goes through so many frames at most; None: through the whole clip."""
    skip_previous: float = 0.5
    """Part of the frames that are read from a memory without the frame before, as at test time."""
    guidance_dropped: float = 0.15
    """Part of the frames whose guidance mask is empty."""
    guidance_stale: float = 0.2
    """Part of the frames that are guided by the mask two frames back."""
    guidance_moved: float = 0.5
    """Part of the clips whose first mask guides after a random affine deformation."""


@dataclass(frozen=True, kw_only=True)
class SpaceTimeRecipe(ClipRecipe):
    """Everything that a run of a space-time memory network depends on, but for the data."""

    network: Literal["stm-lite", "stm", "stm-refine50"] = "stm-lite"
    model: STMLiteConfig | STMConfig = field(default_factory=STMLiteConfig)
    stages: tuple[Stage, ...]
    recurrence: Recurrence = field(default_factory=Recurrence)
    hardest: tuple[float, float] = (1.0, 0.25)
    """Part of the pixels in the bootstrapped cross-entropy, at the first and the last step."""
    dice: float = 0.5
    """Weight of the Dice loss beside it."""
    balanced: bool = False
    """Whether every object weighs the same in the cross-entropy, whatever its size."""
    hardest_per_clip: bool = False
    """Whether the hardest pixels are those of each clip, not of the batch."""
    frozen_filters: bool = False
    """Whether the depthwise filters of the light encoder keep theirs as well."""
    composed_validation: bool = False
    """Also validate on composed videos of several objects; their scores are reported apart and do
    not select weights."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise OptionError(f"the recipe {self.name} needs at least one stage")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages of a run, in order."""
        return self.stages

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return self.network

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return SpaceTimeTask(self, data, initial)


class SpaceTimeTask(ClipTask):
    """A recipe on the user's data."""

    recipe: SpaceTimeRecipe

    def rates(self, network: nn.Module) -> Rates:
        """As `Task.rates`, with the depthwise filters frozen where the recipe says so."""
        if self.recipe.frozen_filters:
            freeze_filters(network)
        return super().rates(network)

    def batch(self, step: int, part: int) -> Batch:
        """Plans of clips and what is drawn for their recurrence."""
        batch = super().batch(step, part)
        stage, _ = self.recipe.stage_at(step)
        rng = np.random.default_rng((self.schedule.seed, step, part, 1))
        shape = (len(batch["source"]), stage.frames, 3)
        batch["chance"] = torch.from_numpy(rng.random(shape, np.float32))
        return batch

    def prepare(self, batch: Batch) -> Batch:
        """Frames, labels and what the recurrence needs."""
        clips = render(batch)
        return {
            "frames": clips.frames,
            "labels": clips.labels,
            "guidance_grid": guidance_grid(batch),
            "chance": batch["chance"],
            "source": batch["source"],
            "keeps_guidance": batch["keeps_guidance"],
        }

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Bootstrapped cross-entropy and Dice over all frames after the first."""
        freeze_batch_norm(network)
        recipe = self.recipe
        probabilities = segment_clip(network, batch, recipe.recurrence)  # type: ignore[arg-type]
        truth = batch["labels"][:, 1:].long()
        hardest = recipe.hardest[0] + (recipe.hardest[1] - recipe.hardest[0]) * (step / self.steps)
        classes = probabilities.transpose(1, 2)
        each = bootstrapped_cross_entropy(
            classes, truth, hardest, balanced=recipe.balanced, per_clip=recipe.hardest_per_clip
        )
        if recipe.dice > 0:
            overlap = dice_loss(probabilities.flatten(0, 1), truth.flatten(0, 1))
            each = each + recipe.dice * overlap.unflatten(0, truth.shape[:2]).mean(1)
        self.tell_difficulty(batch, each.detach())
        return each.mean()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F over the whole videos kept out, smaller ones enlarged to 480 px."""
        use_previous = segmenter_role(self.recipe.network).config.use_previous
        config = SpaceTimeConfig(enlarge=True, use_previous=use_previous)
        scores = validate(lambda: SpaceTimeSegmenter(network, config), self.held_out)
        if self.recipe.composed_validation and self.held_out:
            composed = compose_videos(self.held_out)
            several = validate(lambda: SpaceTimeSegmenter(network, config), composed)
            scores |= {f"composed {k}": v for k, v in several.items() if " " not in k}
        return scores


def freeze_batch_norm(network: nn.Module) -> None:
    """Put every batch norm into evaluation mode: a few clips are too little for its statistics."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def segment_clip(
    network: SpaceTimeNetwork, batch: Batch, recurrence: Recurrence | None = None
) -> Tensor:
    """Segment training clips: each frame from those before it.

    Args:
        network: STMLite or STM.
        batch: ``frames`` B×T×3×H×W, 0..1; ``labels`` B×T×H×W, of which the first frame's are given;
            ``guidance_grid`` B×H×W×2 and ``chance`` B×T×3, random numbers 0..1.
        recurrence: How frames depend on each other.

    Returns:
        Probabilities of background and objects in frames 1..T-1, B×T-1×O+1×H×W, float32.
    """
    recurrence = recurrence or Recurrence()
    objects = max(1, int(batch["labels"].max()))
    ids = torch.arange(1, objects + 1, device=batch["labels"].device)[:, None, None]
    # Frame by frame, so that a frame of every clip is a slice, and not a copy.
    flat = batch["frames"].transpose(0, 1).flatten(0, 1)
    features = network.encode_frame(flat.contiguous(memory_format=torch.channels_last))
    if float(batch["chance"][0, 0, 0]) < recurrence.own_masks:
        return _segment_from_own_masks(network, features, batch, ids, recurrence)
    return _segment_from_true_masks(network, features, batch, ids, recurrence)


def _segment_from_own_masks(
    network: SpaceTimeNetwork, features: Any, batch: Batch, ids: Tensor, recurrence: Recurrence
) -> Tensor:
    """Frame after frame, each with the network's masks of those before."""
    frames = batch["frames"]
    clips, count = frames.shape[:2]
    masks = (batch["labels"][:, 0, None] == ids).float()
    guidance = _moved(masks, batch, recurrence.guidance_moved)
    stale = masks
    memory: list[tuple[Tensor, Tensor]] = []
    outputs = []
    for t in range(1, count):
        if recurrence.steps is not None and t > 1 and (t - 1) % recurrence.steps == 0:
            masks, guidance, stale = masks.detach(), guidance.detach(), stale.detach()
            memory = [(key.detach(), value.detach()) for key, value in memory]
        past, now = (_frames_of(features, clips, at, at + 1) for at in (t - 1, t))
        memory.append(network.encode_value(frames[:, t - 1], past, masks))
        remembered = [memory[i] for i in _remembered(t, batch["chance"], recurrence)]
        read = read_clip_memory(network, now.key, remembered)
        if t > 1:
            guidance = _disturbed(masks, stale, batch, t, recurrence)
        probabilities = aggregate(torch.sigmoid(network.decode(read, now, guidance)))
        outputs.append(probabilities)
        masks, stale = probabilities[:, 1:], masks
    return torch.stack(outputs, 1)


def _segment_from_true_masks(
    network: SpaceTimeNetwork, features: Any, batch: Batch, ids: Tensor, recurrence: Recurrence
) -> Tensor:
    """All frames in one pass: no frame waits for the masks of another."""
    clips, count = batch["labels"].shape[:2]
    masks = (batch["labels"].transpose(0, 1)[:-1, :, None] == ids).float()  # T-1×B×O×H×W
    images = batch["frames"].transpose(0, 1)[:-1].flatten(0, 1)
    past, queries = (_frames_of(features, clips, *at) for at in ((0, count - 1), (1, count)))
    keys, values = network.encode_value(images, past, masks.flatten(0, 1))
    memory = list(zip(keys.split(clips), values.split(clips), strict=True))
    asked = queries.key.split(clips)
    read = [
        read_clip_memory(
            network, asked[t - 1], [memory[i] for i in _remembered(t, batch["chance"], recurrence)]
        )
        for t in range(1, count)
    ]
    guidance = [_moved(masks[0], batch, recurrence.guidance_moved)]
    for t in range(2, count):
        guidance.append(_disturbed(masks[t - 1], masks[t - 2], batch, t, recurrence))
    logits = network.decode(torch.cat(read), queries, torch.cat(guidance))
    probabilities = aggregate(torch.sigmoid(logits))
    return torch.unflatten(probabilities, 0, (count - 1, clips)).transpose(0, 1)


def _remembered(t: int, chance: Tensor, recurrence: Recurrence) -> list[int]:
    """Numbers of the frames that frame t is read from.

    One draw for the batch, so that its clips read from memories of one size.
    """
    skips = t > 1 and float(chance[0, t, 0]) < recurrence.skip_previous
    past = range(1, t - 1 if skips else t)
    if recurrence.memory_frames is None or len(past) <= recurrence.memory_frames:
        return [0, *past]
    rng = np.random.default_rng(int(float(chance[0, t, 2]) * 2**24))
    drawn = rng.choice(np.array(past), recurrence.memory_frames, replace=False)
    return [0, *sorted(drawn.tolist())]


def _disturbed(
    masks: Tensor, stale: Tensor, batch: Batch, t: int, recurrence: Recurrence
) -> Tensor:
    """Guidance B×O×H×W of a frame: the masks before it, or of some clips older ones or none.

    Clips that cannot be solved without their guidance (``keeps_guidance``) have it.
    """
    draw = batch["chance"][:, t, 1, None, None, None]
    if "keeps_guidance" in batch:
        draw = draw.masked_fill(batch["keeps_guidance"][:, None, None, None], torch.inf)
    is_stale = draw < recurrence.guidance_dropped + recurrence.guidance_stale
    return torch.where(is_stale, stale, masks) * (draw >= recurrence.guidance_dropped)


def read_clip_memory(
    network: SpaceTimeNetwork, query: Tensor, memory: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """What each object reads from the remembered frames of its clip.

    Args:
        network: Says how keys are compared.
        query: B×C×h×w.
        memory: Keys, B×C×h×w or each object its own B×O×C×h×w, and values B×O×V×h×w.

    Returns:
        B×O×V×h×w.
    """
    keys = torch.cat([key.flatten(-2) for key, _ in memory], -1)
    values = torch.cat([value.flatten(-2) for _, value in memory], -1)
    batch, objects = values.shape[:2]
    question = query.flatten(2)
    if keys.ndim == 4:
        question = question.repeat_interleave(objects, 0)
        read = memory_read(
            question, keys.flatten(0, 1), values.flatten(0, 1), similarity=network.similarity
        )
        read = read.unflatten(0, (batch, objects))
    else:
        read = memory_read(question, keys, values.flatten(1, 2), similarity=network.similarity)
        read = read.unflatten(1, (objects, -1))
    return torch.unflatten(read, -1, query.shape[-2:])


def _frames_of(features: Any, clips: int, first: int, end: int) -> Any:
    """Frames first..end-1 of every clip, of features T·B×... in nested named tuples."""
    if isinstance(features, Tensor):
        return features[first * clips : end * clips]
    if features is None:
        return None
    return type(features)(*(_frames_of(part, clips, first, end) for part in features))


def _moved(masks: Tensor, batch: Batch, part: float) -> Tensor:
    """The first masks, moved in some clips as if they were a frame old."""
    moved = F.grid_sample(masks, batch["guidance_grid"], align_corners=False)
    return torch.where(batch["chance"][:, 0, 2, None, None, None] < part, moved, masks)
