"""Training of reference-guided networks: masks are propagated through clips as at test time.

Oh et al. 2018 (RGMP), sec. 3.2: first on clips simulated from stills, then on video. The network
is given a reference frame with its mask; each further frame is guided by the network's own output
for the frame before. That output stays soft, so that gradients flow back through time.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.simulation import render
from rotomask.data.simulation.render import guidance_grid
from rotomask.errors import OptionError
from rotomask.networks.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.networks.rgmp import RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLiteConfig
from rotomask.segmenters.reference_guided import (
    ReferenceGuidedConfig,
    ReferenceGuidedNetwork,
    ReferenceGuidedSegmenter,
)
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.rates import Rates, slower_encoders
from rotomask.training.space_time import freeze_batch_norm
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate

Ablation = Literal["-Ref", "-Prev", "-PT", "-FT", "-Rec"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
"""The columns of table 5."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of the network in training, for the ablations of table 5."""

    use_reference: bool = True
    """False: the reference stream gets zeros (-Ref)."""
    use_previous: bool = True
    """False: the target stream gets zeros in place of the previous mask (-Prev)."""
    recurrence: bool = True
    """False: every frame is guided by the true mask of the frame before (-Rec)."""


@dataclass(frozen=True, kw_only=True)
class ReferenceGuidedRecipe(ClipRecipe):
    """Hyper-parameters of a run of a reference-guided network."""

    model: RGMPLiteConfig | RGMPConfig = field(default_factory=RGMPLiteConfig)
    pre_training: Stage | None
    """Clips simulated from stills; None skips it (-PT)."""
    fine_tuning: tuple[Stage, ...]
    """Stages on clips of real video; empty skips them (-FT). The first frame of a clip is the
    reference, the second gives the first guidance mask, the others are segmented."""
    inputs: Inputs = field(default_factory=Inputs)
    trained: Literal["all", "visual memory"] = "all"
    """Trained weights; ``visual memory`` freezes all others (sec. 4.3)."""
    hardest: tuple[float, float] = (1.0, 0.25)
    """Fraction of the pixels, the hardest, in the bootstrapped cross-entropy, at the first and the
    last step; linear in between."""
    dice: float = 0.5
    """Weight of the Dice loss."""
    sides: float = 0.2
    """Weight of the cross-entropy of each side prediction."""

    def __post_init__(self) -> None:
        if not self.all_stages:
            raise OptionError(
                f"the recipe {self.name} needs at least one stage, got none; set pre_training or "
                "fine_tuning"
            )
        if any(stage.frames < 3 for stage in self.all_stages):
            raise OptionError(
                "a clip needs at least 3 frames (a reference, one for the guidance mask, one to "
                f"segment), got {min(stage.frames for stage in self.all_stages)}"
            )
        if self.trained == "visual memory" and not self.model.visual_memory:
            raise OptionError(
                "trained='visual memory' needs a network with visual_memory, got one without; set "
                "visual_memory in its config"
            )

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Stages of a run, in order."""
        first = () if self.pre_training is None else (self.pre_training,)
        return first + self.fine_tuning

    def without(self, ablation: Ablation) -> "ReferenceGuidedRecipe":
        """Recipe of an ablation of table 5, with the same number of steps.

        Raises:
            OptionError: If the ablation is unknown, or would leave no stage.
        """
        name = f"{self.name}{ablation.lower()}"
        changes = {"-Ref": "use_reference", "-Prev": "use_previous", "-Rec": "recurrence"}
        if ablation in changes:
            inputs = replace(self.inputs, **{changes[ablation]: False})
            return replace(self, name=name, inputs=inputs)
        steps = self.steps
        if ablation == "-PT" and self.fine_tuning:
            # The last stage takes over the steps of pre-training.
            *others, last = self.fine_tuning
            rest = steps - sum(stage.steps for stage in others)
            stages = (*others, replace(last, steps=rest))
            return replace(self, name=name, pre_training=None, fine_tuning=stages)
        if ablation == "-FT" and self.pre_training is not None:
            stage = replace(self.pre_training, steps=steps)
            return replace(self, name=name, pre_training=stage, fine_tuning=())
        raise OptionError(
            f"{self.name} cannot be trained {ablation}; use one of {', '.join(ABLATIONS)} that "
            "leaves a stage"
        )

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return self.model.catalog_name

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return ReferenceGuidedTask(self, data, initial)


class ReferenceGuidedTask(ClipTask):
    """Reference-guided network with its training clips, loss and validation."""

    recipe: ReferenceGuidedRecipe

    def rates(self, network: nn.Module) -> Rates:
        """Groups as in `Task.rates`, or the visual memory alone.

        If the mask enters at the image itself, every encoder stage is trained: none was trained
        with masks before.
        """
        recipe = self.recipe
        if recipe.trained == "visual memory":
            network.requires_grad_(False)
            # Its rate is the full one, as it has no pre-trained part.
            memory = network.get_submodule("visual_memory").requires_grad_(True)
            return [(list(memory.parameters()), 1.0)]
        stages = recipe.frozen_stages if recipe.model.mask_stride > 1 else 0
        return slower_encoders(network, recipe.encoder_factor, frozen_stages=stages)

    def prepare(self, batch: Batch) -> Batch:
        """Rendered clips as `propagate` takes them, and their ``source``.

        The guidance mask is that of the second frame, deformed a little, like an imperfect output.
        """
        clips = render(batch)
        masks = (clips.labels == 1).float()  # B×T×S×S, of one object
        guidance = F.grid_sample(masks[:, 1:2], guidance_grid(batch), align_corners=False)[:, 0]
        shown = [0, *range(2, masks.shape[1])]  # the second frame itself is not shown
        return {
            "frames": clips.frames[:, shown],
            "masks": masks[:, shown],
            "guidance": guidance,
            "source": batch["source"],
        }

    def loss(self, network: Any, batch: Batch, step: int) -> Tensor:
        """Mean `pyramid_loss` over the clips of a batch, a scalar."""
        freeze_batch_norm(network)
        recipe = self.recipe
        outputs = propagate(network, batch, recipe.inputs)
        first, last = recipe.hardest
        # Linear over the run, as in `SpaceTimeTask`.
        hardest = first + (last - first) * step / self.steps
        truth = batch["masks"][:, 1:]
        each = pyramid_loss(outputs, truth, hardest, dice=recipe.dice, sides=recipe.sides)
        self.tell_difficulty(batch, each.detach())
        return each.mean()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F on the whole held-out videos, at one scale, smaller ones enlarged to 480 px."""
        config = ReferenceGuidedConfig(
            enlarge=True,
            scales=(1.0,),
            use_reference=self.recipe.inputs.use_reference,
            use_previous=self.recipe.inputs.use_previous,
        )
        return validate(lambda: ReferenceGuidedSegmenter(network, config), self.held_out)


def propagate(
    network: ReferenceGuidedNetwork, batch: Batch, inputs: Inputs | None = None
) -> list[list[Tensor]]:
    """Foreground logits of training clips, segmented frame by frame as at test time.

    Args:
        network: RGMP or RGMPLite.
        batch: ``frames`` B×1+N×3×H×W, 0..1, the reference frame first; ``masks`` of the object
            B×1+N×H×W, of which only the first is used unless recurrence is off; ``guidance``
            B×H×W, the mask of the frame before the first one to segment.
        inputs: Inputs to replace by zeros or true masks.

    Returns:
        One list per frame, N in all, with the logits B×h×w at every stride, finest first.
    """
    inputs = inputs or Inputs()
    frames, masks, guidance = batch["frames"], batch["masks"], batch["guidance"]
    factor = 1.0 if inputs.use_reference else 0.0
    reference = network.encode(_image(frames[:, 0] * factor), masks[:, 0] * factor).coarsest
    state, outputs = None, []
    for t in range(1, frames.shape[1]):
        previous = guidance if inputs.use_previous else torch.zeros_like(guidance)
        target = network.encode(_image(frames[:, t]), previous)
        state = network.match(target, reference, state)
        outputs.append(network.side_logits(target, state))
        # Not detached and not thresholded: the gradient of a late frame reaches the earlier ones.
        guidance = torch.sigmoid(enlarge(outputs[-1][0])) if inputs.recurrence else masks[:, t]
    return outputs


def pyramid_loss(
    outputs: list[list[Tensor]], truth: Tensor, hardest: float, *, dice: float, sides: float
) -> Tensor:
    """Loss of each clip: that of its final masks plus that of the side outputs at coarser strides.

    Args:
        outputs: Logits from `propagate` for N frames.
        truth: True masks of those frames, B×N×H×W, float.
        hardest: Fraction of the pixels, the hardest, that count in the final cross-entropy.
        dice: Weight of the Dice loss of the final masks.
        sides: Weight of the mean cross-entropy of each side output.

    Returns:
        B losses.
    """
    # N frames at full size; class axis first below, as the cross-entropy of torch wants it.
    foreground = torch.sigmoid(torch.stack([enlarge(frame[0]) for frame in outputs], 1))  # B×N×H×W
    classes = torch.stack([1 - foreground, foreground], 1)  # B×2×N×H×W
    labels = (truth > 0.5).long()
    losses: Tensor = bootstrapped_cross_entropy(classes, labels, hardest)
    # Overlap is measured frame by frame, B·N×2×H×W: over a whole clip, the frames with a large
    # object would hide errors in those with a small one.
    overlap_loss = dice_loss(classes.transpose(1, 2).flatten(0, 1), labels.flatten(0, 1))
    losses = losses + dice * overlap_loss.unflatten(0, labels.shape[:2]).mean(1)
    for level in range(1, len(outputs[0])):
        side = torch.stack([frame[level] for frame in outputs], 1).float()  # B×N×h×w
        # Soft targets: the fraction of foreground in each cell.
        target = F.adaptive_avg_pool2d(truth, (side.shape[-2], side.shape[-1]))
        error = F.binary_cross_entropy_with_logits(side, target, reduction="none")
        losses = losses + sides * error.flatten(1).mean(1)
    return losses


def enlarge(logits: Tensor) -> Tensor:
    """Logits at full size, B×H×W float32, from B×h×w at stride 4."""
    full = F.interpolate(
        logits[:, None].float(), scale_factor=4, mode="bilinear", align_corners=False
    )
    return full[:, 0]


def _image(frames: Tensor) -> Tensor:
    return frames.contiguous(memory_format=torch.channels_last)
