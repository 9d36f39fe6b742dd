"""Training of space-time memory networks: clips are segmented as videos are at test time.

Oh et al. 2019 (STM) train on simulated and then on real clips, with the network's own masks in
memory; in Oh et al. 2018 (RGMP), sec. 3.2, gradients flow back through these masks.
"""

from collections.abc import Sequence
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
from rotomask.networks.layers.resnet import HiddenLayer
from rotomask.networks.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.networks.stm import STMConfig
from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig, SpaceTimeNetwork
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.composed_videos import compose_videos
from rotomask.training.rates import Rates, freeze_filters
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """Dependence of a clip's frames on each other in training."""

    own_masks: float = 1.0
    """Fraction of the batches that are segmented frame by frame from the network's own soft masks,
    with gradients through them; the others are segmented from the true masks, all frames at once
    (the paper's ablation -Rec)."""
    memory_frames: int | None = None
    """Number of memory frames besides the first, drawn at random from the past; None: all."""
    steps: int | None = None
    """Maximum number of frames of back-propagation through time; None: the whole clip."""
    skip_previous: float = 0.5
    """Fraction of the frames whose memory lacks the frame before, as at test time."""
    guidance_dropped: float = 0.15
    """Fraction of the frames whose guidance mask is empty."""
    guidance_stale: float = 0.2
    """Fraction of the frames whose guidance mask is that of two frames before."""
    guidance_moved: float = 0.5
    """Fraction of the clips whose first guidance mask is deformed at random."""


@dataclass(frozen=True, kw_only=True)
class SpaceTimeRecipe(ClipRecipe):
    """Hyper-parameters of a run of a space-time memory network."""

    network: Literal["stm-lite", "stm", "stm-refine50"] = "stm-lite"
    model: STMLiteConfig | STMConfig = field(default_factory=STMLiteConfig)
    stages: tuple[Stage, ...]
    recurrence: Recurrence = field(default_factory=Recurrence)
    hardest: tuple[float, float] = (1.0, 0.25)
    """Fraction of the pixels, the hardest, in the bootstrapped cross-entropy, at the first and the
    last step; linear in between."""
    dice: float = 0.5
    """Weight of the Dice loss."""
    balanced: bool = False
    """True to weight all objects equally in the cross-entropy, whatever their size."""
    hardest_per_clip: bool = False
    """True to select the hardest pixels per clip, False per batch."""
    frozen_filters: bool = False
    """True to freeze the depthwise layers of the light encoder."""
    composed_validation: bool = False
    """True to validate on composed videos of several objects too; their scores are reported
    separately and do not select the weights."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise OptionError(f"the recipe {self.name} needs at least one stage")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Stages of a run, in order."""
        return self.stages

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return self.network

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return SpaceTimeTask(self, data, initial)


class SpaceTimeTask(ClipTask):
    """Space-time memory network with its training clips, loss and validation."""

    recipe: SpaceTimeRecipe

    def rates(self, network: nn.Module) -> Rates:
        """Groups as in `Task.rates`, after freezing depthwise layers if the recipe says so."""
        if self.recipe.frozen_filters:
            freeze_filters(network)
        return super().rates(network)

    def hidden_layers(self, network: Any) -> Sequence[HiddenLayer]:
        """Those that the network names; a published one has none."""
        layers: list[HiddenLayer] = network.hidden_layers()
        return layers

    def batch(self, step: int, part: int) -> Batch:
        """Plans of clips, and the random numbers of their recurrence, ``draws`` B×T×3 in 0..1."""
        batch = super().batch(step, part)
        stage, _ = self.recipe.stage_at(step)
        # A stream of its own, beside that of the plans: another number of frames does not change
        # the clips.
        rng = np.random.default_rng((self.schedule.seed, step, part, 1))
        shape = (len(batch["source"]), stage.frames, 3)
        batch["draws"] = torch.from_numpy(rng.random(shape, np.float32))
        return batch

    def prepare(self, batch: Batch) -> Batch:
        """Rendered ``frames`` and ``labels``, and what `segment_clip` and the difficulty need."""
        clips = render(batch)
        return {
            "frames": clips.frames,
            "labels": clips.labels,
            "guidance_grid": guidance_grid(batch),
            "draws": batch["draws"],
            "source": batch["source"],
            "keeps_guidance": batch["keeps_guidance"],
        }

    def loss(self, network: Any, batch: Batch, step: int) -> Tensor:
        """Bootstrapped cross-entropy plus Dice over all frames after the first, a scalar."""
        freeze_batch_norm(network)
        recipe = self.recipe
        probabilities = segment_clip(network, batch, recipe.recurrence)
        # B×T-1×H×W, the frames after the given one.
        truth = batch["labels"][:, 1:].long()
        # Linear over the run: at first all pixels count, later only the wrong ones.
        hardest = recipe.hardest[0] + (recipe.hardest[1] - recipe.hardest[0]) * (step / self.steps)
        classes = probabilities.transpose(1, 2)  # B×T-1×C×H×W -> B×C×T-1×H×W
        each = bootstrapped_cross_entropy(
            classes, truth, hardest, balanced=recipe.balanced, per_clip=recipe.hardest_per_clip
        )
        if recipe.dice > 0:
            # Frame by frame, B·T-1: over a whole clip, frames with a large object would hide errors
            # in those with a small one.
            overlap = dice_loss(probabilities.flatten(0, 1), truth.flatten(0, 1))
            each = each + recipe.dice * overlap.unflatten(0, truth.shape[:2]).mean(1)
        self.tell_difficulty(batch, each.detach())
        return each.mean()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F on the whole held-out videos, smaller ones enlarged to 480 px."""
        use_previous = segmenter_role(self.recipe.network).config.use_previous
        # Light clips are 192 to 384 px: validation at 480 px measures what `cut` does.
        config = SpaceTimeConfig(enlarge=True, use_previous=use_previous)
        scores = validate(lambda: SpaceTimeSegmenter(network, config), self.held_out)
        if self.recipe.composed_validation and self.held_out:
            composed = compose_videos(self.held_out)
            several = validate(lambda: SpaceTimeSegmenter(network, config), composed)
            scores |= {f"composed {k}": v for k, v in several.items() if " " not in k}
        return scores


def freeze_batch_norm(network: nn.Module) -> None:
    """Set every batch norm to evaluation mode, as a few clips are too few for its statistics."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def segment_clip(
    network: SpaceTimeNetwork, batch: Batch, recurrence: Recurrence | None = None
) -> Tensor:
    """Probabilities of training clips, each frame segmented from those before it.

    Args:
        network: STMLite or STM.
        batch: ``frames`` B×T×3×H×W, 0..1; ``labels`` B×T×H×W, the first frame's being given;
            ``guidance_grid`` B×H×W×2, for the first guidance mask; ``draws`` B×T×3, random
            numbers 0..1: [t, 0] decides on the memory of frame t ([0, 0]: on own or true masks),
            [t, 1] on its guidance mask, [t, 2] draws its memory frames ([0, 2]: moves the first
            mask).
        recurrence: Dependence of the frames on each other.

    Returns:
        Probabilities of background and objects in frames 1..T-1, B×T-1×O+1×H×W float32.
    """
    recurrence = recurrence or Recurrence()
    objects = max(1, int(batch["labels"].max()))
    ids = torch.arange(1, objects + 1, device=batch["labels"].device)[:, None, None]  # O×1×1
    # T·B×3×H×W, frame-major: frame t of all clips is then a slice of the features, not a copy.
    flat = batch["frames"].transpose(0, 1).flatten(0, 1)
    features = network.encode_frame(flat.contiguous(memory_format=torch.channels_last))
    if float(batch["draws"][0, 0, 0]) < recurrence.own_masks:
        return _segment_from_own_masks(network, features, batch, ids, recurrence)
    return _segment_from_true_masks(network, features, batch, ids, recurrence)


def _segment_from_own_masks(
    network: SpaceTimeNetwork, features: Any, batch: Batch, ids: Tensor, recurrence: Recurrence
) -> Tensor:
    """Probabilities as in `segment_clip`, frame by frame, from the network's own masks."""
    frames = batch["frames"]
    clips, count = frames.shape[:2]
    # B×1×H×W against O×1×1: one mask for each object id.
    masks = (batch["labels"][:, 0, None] == ids).float()  # B×O×H×W; below, those of frame t - 1
    guidance = _moved(masks, batch, recurrence.guidance_moved)
    stale = masks  # those of frame t - 2
    memory: list[tuple[Tensor, Tensor]] = []
    outputs = []
    for t in range(1, count):
        if recurrence.steps is not None and t > 1 and (t - 1) % recurrence.steps == 0:
            # Truncated back-propagation through time: gradients stop here.
            masks, guidance, stale = masks.detach(), guidance.detach(), stale.detach()
            memory = [(key.detach(), value.detach()) for key, value in memory]
        previous, query = (_frames_of(features, clips, at, at + 1) for at in (t - 1, t))
        # With the mask of frame t - 1, soft and with gradients: errors of a late frame reach this
        # one.
        memory.append(network.encode_value(frames[:, t - 1], previous, masks))
        selected = [memory[i] for i in _memory_frames(t, batch["draws"], recurrence)]
        readout = read_clip_memory(network, query.key, selected)  # B×O×V×h×w
        if t > 1:
            guidance = _disturbed(masks, stale, batch, t, recurrence)
        # B×O+1×H×W, from logits B×O×H×W
        probabilities = aggregate(torch.sigmoid(network.decode(readout, query, guidance)))
        outputs.append(probabilities)
        masks, stale = probabilities[:, 1:], masks
    return torch.stack(outputs, 1)


def _segment_from_true_masks(
    network: SpaceTimeNetwork, features: Any, batch: Batch, ids: Tensor, recurrence: Recurrence
) -> Tensor:
    """Probabilities as in `segment_clip`, all frames in one pass, from the true masks."""
    clips, count = batch["labels"].shape[:2]
    masks = (batch["labels"].transpose(0, 1)[:-1, :, None] == ids).float()  # T-1×B×O×H×W
    images = batch["frames"].transpose(0, 1)[:-1].flatten(0, 1)  # (T-1)·B×3×H×W
    # Frames 0..T-2 are memory, frames 1..T-1 are queries, both frame-major.
    past, queries = (_frames_of(features, clips, *at) for at in ((0, count - 1), (1, count)))
    # (T-1)·B rows; split by frame below, for frame t reads only those before it.
    keys, values = network.encode_value(images, past, masks.flatten(0, 1))
    memory = list(zip(keys.split(clips), values.split(clips), strict=True))
    query_keys = queries.key.split(clips)  # T-1 times B×C×h×w
    # Only the reads differ in size from frame to frame; encoding and decoding are one batch each.
    readouts = [
        read_clip_memory(
            network,
            query_keys[t - 1],
            [memory[i] for i in _memory_frames(t, batch["draws"], recurrence)],
        )
        for t in range(1, count)
    ]
    guidance = [_moved(masks[0], batch, recurrence.guidance_moved)]
    for t in range(2, count):
        guidance.append(_disturbed(masks[t - 1], masks[t - 2], batch, t, recurrence))
    logits = network.decode(torch.cat(readouts), queries, torch.cat(guidance))  # (T-1)·B×O×H×W
    probabilities = aggregate(torch.sigmoid(logits))
    # (T-1)·B×O+1×H×W -> B×T-1×O+1×H×W.
    return torch.unflatten(probabilities, 0, (count - 1, clips)).transpose(0, 1)


def _memory_frames(t: int, draws: Tensor, recurrence: Recurrence) -> list[int]:
    """Numbers of the frames in the memory of frame t, rising, the first frame among them.

    All clips of a batch have the same, as they are read together.
    """
    skips = t > 1 and float(draws[0, t, 0]) < recurrence.skip_previous
    past = range(1, t - 1 if skips else t)
    if recurrence.memory_frames is None or len(past) <= recurrence.memory_frames:
        return [0, *past]
    # A float32 below 1 has 24 bits: all of them make the seed.
    rng = np.random.default_rng(int(float(draws[0, t, 2]) * 2**24))
    drawn = rng.choice(np.array(past), recurrence.memory_frames, replace=False)
    return [0, *sorted(drawn.tolist())]


def _disturbed(
    masks: Tensor, stale: Tensor, batch: Batch, t: int, recurrence: Recurrence
) -> Tensor:
    """Guidance masks of frame t, B×O×H×W: those of the frame before; for some clips older or empty.

    Clips that cannot be solved without guidance (``keeps_guidance``, B bool) always have it.
    """
    draw = batch["draws"][:, t, 1, None, None, None]
    if "keeps_guidance" in batch:
        draw = draw.masked_fill(batch["keeps_guidance"][:, None, None, None], torch.inf)
    # One draw decides: dropped below the first limit, stale below the second, else as they are.
    is_stale = draw < recurrence.guidance_dropped + recurrence.guidance_stale
    return torch.where(is_stale, stale, masks) * (draw >= recurrence.guidance_dropped)


def read_clip_memory(
    network: SpaceTimeNetwork, query: Tensor, memory: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """Memory readout of each object from the memory frames of its clip.

    Args:
        network: Network, which determines the similarity of keys.
        query: Query key, B×C×h×w.
        memory: Key and value of each memory frame: B×C×h×w shared by all objects or B×O×C×h×w,
            and B×O×V×h×w.

    Returns:
        B×O×V×h×w.
    """
    # Positions of all memory frames joined, M = frames · h·w: B×C×M or B×O×C×M, and B×O×V×M.
    keys = torch.cat([key.flatten(-2) for key, _ in memory], -1)
    values = torch.cat([value.flatten(-2) for _, value in memory], -1)
    batch, objects = values.shape[:2]
    query_key = query.flatten(2)  # B×C×hw
    if keys.ndim == 4:  # a key per object: objects become part of the batch, B·O
        query_key = query_key.repeat_interleave(objects, 0)
        readout = memory_read(
            query_key, keys.flatten(0, 1), values.flatten(0, 1), similarity=network.similarity
        )
        readout = readout.unflatten(0, (batch, objects))
    else:  # a shared key: one affinity for all objects, whose values become channels, B×O·V×M
        readout = memory_read(query_key, keys, values.flatten(1, 2), similarity=network.similarity)
        readout = readout.unflatten(1, (objects, -1))
    return torch.unflatten(readout, -1, query.shape[-2:])


def _frames_of(features: Any, clips: int, first: int, end: int) -> Any:
    """Features of frames first..end-1 of every clip, from T·B×... in nested named tuples."""
    if isinstance(features, Tensor):
        return features[first * clips : end * clips]
    if features is None:
        return None
    return type(features)(*(_frames_of(part, clips, first, end) for part in features))


def _moved(masks: Tensor, batch: Batch, fraction: float) -> Tensor:
    """First masks B×O×H×W, deformed in a fraction of the clips as if they were a frame older."""
    moved = F.grid_sample(masks, batch["guidance_grid"], align_corners=False)
    return torch.where(batch["draws"][:, 0, 2, None, None, None] < fraction, moved, masks)
