"""Training reference-guided networks: a clip is propagated as a video is at test time.

Oh et al. 2018 (RGMP), sec. 3.2: first on clips simulated from stills, then on video; the network
sees a reference frame with its mask, and each successive frame is guided by the network's own
answer for the one before, kept soft, so that gradients flow back through time.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.catalog import shipped_weights
from rotomask.data.simulation import render
from rotomask.data.simulation.render import guidance_grid
from rotomask.errors import OptionError
from rotomask.networks.checkpoints import load_state
from rotomask.networks.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.segmenters.reference_guided import (
    ReferenceGuidedConfig,
    ReferenceGuidedNetwork,
    ReferenceGuidedSegmenter,
)
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.rates import Rates, slower_encoders
from rotomask.training.space_time import freeze_batch_norm
from rotomask.training.starting import NO_RESNET50, lite0_imagenet_weights
from rotomask.training.task import Batch, Data, Task
from rotomask.training.validation import validate

Ablation = Literal["-Ref", "-Prev", "-PT", "-FT", "-Rec"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
"""The columns of table 5."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the network is given."""

    use_reference: bool = True
    """False: the reference stream sees zeros (-Ref)."""
    use_previous: bool = True
    """False: the target stream sees zeros in place of the previous mask (-Prev)."""
    recurrence: bool = True
    """False: every frame is guided by the true mask of the one before (-Rec)."""


@dataclass(frozen=True, kw_only=True)
class ReferenceGuidedRecipe(ClipRecipe):
    """Everything that a run of a reference-guided network depends on, but for the data."""

    model: RGMPLiteConfig | RGMPConfig = field(default_factory=RGMPLiteConfig)
    pre_training: Stage | None
    """Clips simulated from stills; None skips it (-PT)."""
    fine_tuning: tuple[Stage, ...]
    """Clips of real video, in stages; empty skips it (-FT). A clip's first frame is the reference,
    the second gives the first guidance mask, the others are segmented."""
    inputs: Inputs = field(default_factory=Inputs)
    trained: Literal["all", "visual memory"] = "all"
    """What changes; ``visual memory`` fixes every other weight (sec. 4.3)."""
    hardest: tuple[float, float] = (1.0, 0.25)
    """Part of the pixels in the bootstrapped cross-entropy, at the first and the last step."""
    dice: float = 0.5
    """Weight of the Dice loss beside it."""
    sides: float = 0.2
    """Weight of the cross-entropy of each side prediction."""

    def __post_init__(self) -> None:
        if not self.all_stages:
            raise OptionError(f"the recipe {self.name} needs at least one stage")
        if any(stage.frames < 3 for stage in self.all_stages):
            raise OptionError(
                "a clip needs a reference frame, one for the guidance mask and one to segment: at "
                "least 3 frames"
            )
        if self.trained == "visual memory" and not self.model.visual_memory:
            raise OptionError("only a network with visual_memory can train its visual memory alone")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages of a run, in order."""
        first = () if self.pre_training is None else (self.pre_training,)
        return first + self.fine_tuning

    def without(self, what: Ablation) -> "ReferenceGuidedRecipe":
        """The recipe of an ablation of table 5, of as many steps.

        Raises:
            OptionError: If there is no such ablation, or nothing would be left to train on.
        """
        name = f"{self.name}{what.lower()}"
        changes = {"-Ref": "use_reference", "-Prev": "use_previous", "-Rec": "recurrence"}
        if what in changes:
            inputs = replace(self.inputs, **{changes[what]: False})
            return replace(self, name=name, inputs=inputs)
        steps = self.steps
        if what == "-PT" and self.fine_tuning:
            *others, last = self.fine_tuning
            rest = steps - sum(stage.steps for stage in others)
            stages = (*others, replace(last, steps=rest))
            return replace(self, name=name, pre_training=None, fine_tuning=stages)
        if what == "-FT" and self.pre_training is not None:
            stage = replace(self.pre_training, steps=steps)
            return replace(self, name=name, pre_training=stage, fine_tuning=())
        raise OptionError(
            f"{self.name} cannot be trained {what}: use {', '.join(ABLATIONS)}, and leave a stage"
        )

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "rgmp-lite" if isinstance(self.model, RGMPLiteConfig) else "rgmp"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return ReferenceGuidedTask(self, data, initial)


class ReferenceGuidedTask(ClipTask):
    """A recipe on the user's data."""

    def __init__(
        self, recipe: ReferenceGuidedRecipe, data: Data, initial: Path | None = None
    ) -> None:
        super().__init__(recipe, data, initial)
        self.recipe = recipe

    def new_network(self) -> tuple[nn.Module, str]:
        """A network with the recipe's own starting weights, and what these are in words."""
        if isinstance(self.recipe.model, RGMPLiteConfig):
            network = RGMPLite(self.recipe.model)
            network.encoder.load_imagenet(lite0_imagenet_weights())
            return network, "EfficientNet-Lite0 on ImageNet; " + take_from_stm_lite(network)
        return RGMP(self.recipe.model), NO_RESNET50

    def rates(self, network: nn.Module) -> Rates:
        """As `Task.rates`, or the visual memory alone.

        With the mask at the image itself every stage is trained, for none has seen masks.
        """
        recipe = self.recipe
        if recipe.trained == "visual memory":
            network.requires_grad_(False)
            memory = network.get_submodule("visual_memory").requires_grad_(True)
            return [(list(memory.parameters()), 1.0)]
        if isinstance(network, RGMPLite) and network.config.mask_stride != 4:
            return slower_encoders(network, recipe.encoder_factor)
        return super().rates(network)

    def prepare(self, batch: Batch) -> Batch:
        """Frames, the mask of one object in each, and the first guidance mask, moved a little."""
        clips = render(batch)
        masks = (clips.labels == 1).float()
        guidance = F.grid_sample(masks[:, 1:2], guidance_grid(batch), align_corners=False)[:, 0]
        keep = [0, *range(2, masks.shape[1])]  # of the second frame only the mask is seen
        return {
            "frames": clips.frames[:, keep],
            "masks": masks[:, keep],
            "guidance": guidance,
            "source": batch["source"],
        }

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Bootstrapped cross-entropy and Dice of the answers, cross-entropy of the sides."""
        freeze_batch_norm(network)
        recipe = self.recipe
        outputs = propagate(network, batch, recipe.inputs)  # type: ignore[arg-type]
        first, last = recipe.hardest
        hardest = first + (last - first) * step / self.steps
        truth = batch["masks"][:, 1:]
        each = pyramid_loss(outputs, truth, hardest, dice=recipe.dice, sides=recipe.sides)
        self.tell_difficulty(batch, each.detach())
        return each.mean()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """J and F over the whole videos kept out, at one scale, smaller ones enlarged to 480 px."""
        config = ReferenceGuidedConfig(
            enlarge=True,
            scales=(1.0,),
            use_reference=self.recipe.inputs.use_reference,
            use_previous=self.recipe.inputs.use_previous,
        )
        return validate(lambda: ReferenceGuidedSegmenter(network, config), self.held_out)


def take_from_stm_lite(network: RGMPLite) -> str:
    """Start from what the shipped stm-lite has of the same name and shape: what it was."""
    path = shipped_weights("stm-lite")
    assert path is not None
    own = network.state_dict()
    taken = {k: v for k, v in load_state(path).items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(taken, strict=False)
    of_encoder = sum(name.startswith("encoder.") for name in taken)
    rest = len(taken) - of_encoder
    return f"then {of_encoder} tensors of the encoder and {rest} of the decoder of stm-lite"


def propagate(
    network: ReferenceGuidedNetwork, batch: Batch, inputs: Inputs | None = None
) -> list[list[Tensor]]:
    """Segment training clips as at test time, the answers kept soft.

    Args:
        network: RGMP or RGMPLite.
        batch: ``frames`` B×1+N×3×H×W, 0..1, the reference frame first; ``masks`` of the object
            B×1+N×H×W, of which those after the first are looked at only without recurrence;
            ``guidance`` B×H×W, of the frame before the first to be segmented.
        inputs: What the network is given.

    Returns:
        Of each of the N frames the foreground logits B×h×w at every stride, finest first.
    """
    inputs = inputs or Inputs()
    frames, masks, guidance = batch["frames"], batch["masks"], batch["guidance"]
    seen = 1.0 if inputs.use_reference else 0.0
    reference = network.encode(_image(frames[:, 0] * seen), masks[:, 0] * seen).coarsest
    state, outputs = None, []
    for t in range(1, frames.shape[1]):
        given = guidance if inputs.use_previous else torch.zeros_like(guidance)
        target = network.encode(_image(frames[:, t]), given)
        state = network.match(target, reference, state)
        outputs.append(network.side_logits(target, state))
        guidance = torch.sigmoid(enlarge(outputs[-1][0])) if inputs.recurrence else masks[:, t]
    return outputs


def pyramid_loss(
    outputs: list[list[Tensor]], truth: Tensor, hardest: float, *, dice: float, sides: float
) -> Tensor:
    """Loss of the answers and of the side predictions at every stride.

    Args:
        outputs: What `propagate` gave for N frames.
        truth: True masks of those frames, B×N×H×W, float.
        hardest: Part of the pixels that count in the cross-entropy of the answers.
        dice: Weight of their Dice loss.
        sides: Weight of the mean cross-entropy of each side prediction.

    Returns:
        B losses.
    """
    foreground = torch.sigmoid(torch.stack([enlarge(of_frame[0]) for of_frame in outputs], 1))
    classes = torch.stack([1 - foreground, foreground], 1)
    labels = (truth > 0.5).long()
    each: Tensor = bootstrapped_cross_entropy(classes, labels, hardest)
    overlap = dice_loss(classes.transpose(1, 2).flatten(0, 1), labels.flatten(0, 1))
    each = each + dice * overlap.unflatten(0, labels.shape[:2]).mean(1)
    for level in range(1, len(outputs[0])):
        side = torch.stack([of_frame[level] for of_frame in outputs], 1).float()
        part = F.adaptive_avg_pool2d(truth, (side.shape[-2], side.shape[-1]))
        error = F.binary_cross_entropy_with_logits(side, part, reduction="none")
        each = each + sides * error.flatten(1).mean(1)
    return each


def enlarge(logits: Tensor) -> Tensor:
    """Logits B×h×w at stride 4 -> B×H×W, float32."""
    full = F.interpolate(
        logits[:, None].float(), scale_factor=4, mode="bilinear", align_corners=False
    )
    return full[:, 0]


def _image(frames: Tensor) -> Tensor:
    return frames.contiguous(memory_format=torch.channels_last)
