"""stm-lite: space-time memory for a plain CPU.

The idea of Oh et al. 2019 (STM) with the costs moved: one light encoder sees each frame once,
whatever the number of objects; its features serve the query key, the memory key (shared, as in
Cheng et al. 2021, STCN) and the value encoder, which so needs only the masks beside them; all
objects of a frame are one batch. The previous frame's mask guides the decoder (Oh et al. 2018,
RGMP), which keeps a small network from jumping to look-alikes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import (
    STRIDE32_CHANNELS,
    EfficientNetLite0,
    Pyramid,
)
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.layers.resnet import ResidualBlock
from rotomask.networks.layers.scale_refinement import ScaleRefinement


@dataclass(frozen=True, kw_only=True)
class STMLiteConfig:
    """The shape of the network."""

    key_channels: int = 64
    """Width of the keys."""
    value_channels: int = 128
    """Width of each object's values."""
    decoder_channels: tuple[int, int, int] = (128, 96, 48)
    """Width of the decoder at strides 16, 8 and 4."""
    similarity: Similarity = "l2"
    """How keys are compared."""
    guidance: bool = True
    """Whether the decoder sees the previous frame's mask."""
    others_guidance: bool = False
    """Whether the decoder also sees the other objects' previous masks, added up."""
    context_channels: int = 0
    """Width of the decoder at stride 32, where it sees the whole object at once; 0: not there."""
    refine_channels: int = 0
    """Width at which the encoder's strides are refined together, as in Refine-50 (Yu et al. 2019,
    sec. 2; docs/refine-50.md); 0: not at all."""


class FrameFeatures(NamedTuple):
    """What the encoder knows of B frames."""

    key: Tensor
    """B×Ck×H/16×W/16."""
    pyramid: Pyramid
    context: Tensor | None = None
    """B×192×H/32×W/32, of a network with context."""


class STMLite(nn.Module):
    """The network: tensors in, tensors out."""

    stride = 16

    def __init__(self, config: STMLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or STMLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=self.config.context_channels > 0)
        self.refinement = self._scale_refinement()
        c4, c8, c16 = self.encoder.channels
        self.key_projection = nn.Conv2d(c16, self.config.key_channels, 3, padding=1)
        self.value_encoder = ValueEncoder((c4, c8, c16), self.config.value_channels)
        self.decoder = Decoder((c4, c8, c16), self.config)

    def _scale_refinement(self) -> ScaleRefinement | None:
        if self.config.refine_channels == 0:
            return None
        deepest = (STRIDE32_CHANNELS,) if self.config.context_channels > 0 else ()
        channels = (*self.encoder.channels, *deepest)
        return ScaleRefinement(channels, self.config.refine_channels, range(len(channels)))

    @property
    def similarity(self) -> Similarity:
        """How keys are compared."""
        return self.config.similarity

    def trainable_part(self) -> nn.Module:
        """The part that online learning trains: the decoder."""
        return self.decoder

    def encode_frame(self, image: Tensor) -> FrameFeatures:
        """Key and features of RGB images B×3×H×W, float 0..1, sides multiples of 16."""
        pyramid = self.encoder(image)
        context = self.encoder.deepen(pyramid) if self.config.context_channels > 0 else None
        if self.refinement is not None:
            levels = [*pyramid] if context is None else [*pyramid, context]
            refined = self.refinement(levels)
            pyramid = Pyramid(*refined[:3])
            context = None if context is None else refined[3]
        return FrameFeatures(self.key_projection(pyramid.stride16), pyramid, context)

    def encode_value(
        self, image: Tensor, features: FrameFeatures, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Memory key (shared by all objects) and values of one frame.

        Args:
            image: Not used: the features say it all. Part of the interface of STM.
            features: Of B frames.
            masks: Soft masks of the objects, O×H×W (B = 1) or B×O×H×W, 0..1.

        Returns:
            The keys B×Ck×h×w, and values O×Cv×h×w or B×O×Cv×h×w.
        """
        batched = masks if masks.ndim == 4 else masks[None]
        value = self.value_encoder(features.pyramid, batched)
        return features.key, value if masks.ndim == 4 else value[0]

    def decode(self, readout: Tensor, features: FrameFeatures, guidance: Tensor) -> Tensor:
        """Foreground logit of each object.

        Args:
            readout: What was read from memory, O×Cv×h×w (B = 1) or B×O×Cv×h×w.
            features: Of the query frames.
            guidance: Soft masks of the frame before, O×H×W or B×O×H×W, 0..1.

        Returns:
            O×H×W or B×O×H×W, float32.
        """
        if readout.ndim == 5:
            logits: Tensor = self.decoder(readout, features, guidance)
        else:
            logits = self.decoder(readout[None], features, guidance[None])[0]
        return logits


class ValueEncoder(nn.Module):
    """Each object's mask, and the others', seen beside the frame's features."""

    def __init__(self, channels: tuple[int, int, int], c_out: int) -> None:
        super().__init__()
        c4, c8, c16 = channels
        # A 4×4 block of both masks becomes 32 channels at stride 4: no detail is lost.
        self.to_stride8 = nn.Conv2d(c4 + 32, 64, 3, stride=2, padding=1)
        self.to_stride16 = nn.Conv2d(c8 + 64, c_out, 3, stride=2, padding=1)
        self.fuse = nn.Conv2d(c16 + c_out, c_out, 3, padding=1)
        self.refine = ResidualBlock(c_out)

    def forward(self, pyramid: Pyramid, masks: Tensor) -> Tensor:
        """Masks B×O×H×W -> values B×O×C×h×w."""
        batch, objects = masks.shape[:2]
        others = (masks.sum(1, keepdim=True) - masks).clamp(0, 1)
        both = F.pixel_unshuffle(torch.stack([masks, others], 2).flatten(0, 1), 4)
        x = torch.cat([_repeat(pyramid.stride4, objects), both.to(pyramid.stride4.dtype)], 1)
        x = F.relu(self.to_stride8(x))
        x = F.relu(self.to_stride16(torch.cat([_repeat(pyramid.stride8, objects), x], 1)))
        x = self.fuse(torch.cat([_repeat(pyramid.stride16, objects), x], 1))
        return torch.unflatten(self.refine(x), 0, (batch, objects))


class Decoder(nn.Module):
    """From memory readout to masks, coarse to fine, with skips from the frame's features."""

    def __init__(self, channels: tuple[int, int, int], config: STMLiteConfig) -> None:
        super().__init__()
        c4, c8, c16 = channels
        d16, d8, d4 = config.decoder_channels
        self.has_guidance = config.guidance
        self.has_others = config.guidance and config.others_guidance
        # Last among the inputs of each layer: there `training.starting.grow` adds channels.
        extra = int(self.has_guidance) + int(self.has_others)
        self.fuse16 = nn.Conv2d(config.value_channels + c16 + extra, d16, 3, padding=1)
        self.refine16 = ResidualBlock(d16)
        context = config.context_channels
        self.context = Context(d16, context) if context > 0 else None
        self.up8 = Upsample(d16, c8 + extra, d8)
        self.up4 = Upsample(d8, c4 + extra, d4)
        self.predict = nn.Conv2d(d4, 1, 3, padding=1)

    def forward(self, readout: Tensor, features: FrameFeatures, guidance: Tensor) -> Tensor:
        """Readout B×O×C×h×w, guidance B×O×H×W -> logits B×O×H×W."""
        batch, objects = readout.shape[:2]
        skips = [_repeat(level, objects) for level in features.pyramid]
        if self.has_guidance:
            seen = guidance[:, :, None]
            if self.has_others:
                others = (guidance.sum(1, keepdim=True) - guidance).clamp(0, 1)
                seen = torch.stack([guidance, others], 2)
            mask = seen.flatten(0, 1).to(readout.dtype)
            mask4 = F.avg_pool2d(mask, 4)
            mask8 = F.avg_pool2d(mask4, 2)
            masks = (mask4, mask8, F.avg_pool2d(mask8, 2))
            skips = [torch.cat([s, m.to(s.dtype)], 1) for s, m in zip(skips, masks, strict=True)]
        x = torch.cat([readout.flatten(0, 1).to(skips[2].dtype), skips[2]], 1)
        x = self.refine16(self.fuse16(x))
        if self.context is not None and features.context is not None:
            x = self.context(x, _repeat(features.context, objects))
        x = self.up4(self.up8(x, skips[1]), skips[0])
        logits = F.interpolate(
            self.predict(x).float(), scale_factor=4, mode="bilinear", align_corners=False
        )
        return torch.unflatten(logits[:, 0], 0, (batch, objects))


class Context(nn.Module):
    """A look at half the resolution: what belongs together, whatever its colour.

    Memory is read point by point; a wheel or the back of a dress that no memory shows is found only
    as a part of the object around it. The encoder's deepest features say what the thing is, and the
    mean over the frame how much of it there is.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(channels + STRIDE32_CHANNELS, width, 3, padding=1)
        self.refine = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.whole = nn.Conv2d(width, width, 1)
        self.project = nn.Conv2d(width, channels, 1)
        # The branch begins as nothing, so that a trained network can grow it.
        nn.init.zeros_(self.project.weight)
        if self.project.bias is not None:
            nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, deep: Tensor) -> Tensor:
        """B×C×h×w and features B×192×h/2×w/2 (rounded up) -> B×C×h×w."""
        half = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        y = self.refine(self.fuse(torch.cat([half, deep.to(half.dtype)], 1)))
        y = y + self.whole(F.adaptive_avg_pool2d(F.relu(y), 1))
        up = F.interpolate(
            self.project(F.relu(y)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )
        return x + up


class Upsample(nn.Module):
    """Twice the size, joined with a skip."""

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(c_in, c_out, 1)
        self.skip = nn.Conv2d(c_skip, c_out, 1)
        self.refine = ResidualBlock(c_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Coarse B×C×h×w and skip B×S×2h×2w -> B×C'×2h×2w."""
        up = F.interpolate(self.project(x), scale_factor=2, mode="bilinear", align_corners=False)
        refined: Tensor = self.refine(up + self.skip(skip))
        return refined


def _repeat(features: Tensor, objects: int) -> Tensor:
    """The same features for each object of a frame: B×C×h×w -> B·O×C×h×w."""
    return features if objects == 1 else features.repeat_interleave(objects, dim=0)
