"""stm-lite: space-time memory for a plain CPU.

As in Oh et al. 2019 (STM), masks are read from a memory of past frames. To be fast, one light
encoder runs once per frame for all objects. Its features give the query key, the memory key (shared
by all objects, as in Cheng et al. 2021, STCN) and the input of the value encoder, which therefore
only adds the masks. All objects of a frame are one batch. The previous frame's mask guides the
decoder (Oh et al. 2018, RGMP), which keeps a small network from jumping to similar objects.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.aggregation import masks_of_others
from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.efficientnet_lite import (
    STRIDE32_CHANNELS,
    EfficientNetLite0,
    Pyramid,
)
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.layers.resnet import HiddenLayer, ResidualBlock
from rotomask.networks.layers.scale_refinement import ScaleRefinement
from rotomask.networks.sizing import crop_at_stride

HiddenChannels = tuple[int, int, int, int, int, int]
"""Channels of the value encoder's reduction to strides 8 and 16, and inside its residual block and
those of the decoder at strides 16, 8 and 4."""


@dataclass(frozen=True, kw_only=True)
class STMLiteConfig:
    """Widths and optional parts of the network."""

    key_channels: int = 64
    """Channels of the keys."""
    value_channels: int = 128
    """Channels of each object's values."""
    decoder_channels: tuple[int, int, int] = (128, 96, 48)
    """Channels of the decoder at strides 16, 8 and 4."""
    similarity: Similarity = "l2"
    """Similarity of keys; see `memory_read`."""
    guidance: bool = True
    """Give the decoder the object's mask in the previous frame."""
    others_guidance: bool = False
    """Give the decoder the sum of the other objects' previous masks too."""
    context_channels: int = 0
    """Channels of the decoder's branch at stride 32, with a view of the whole object; 0: no such
    branch."""
    context_slope: float = 0.0
    """Slope of the branch's last ReLU for negative inputs; above 0 the branch cannot die."""
    hidden_channels: HiddenChannels | None = None
    """Channels inside the value encoder and the decoder, where fewer than in training are used
    (`tools/prune_channels.py`); None: as many as the widths above give."""
    refine_channels: int = 0
    """Channels of the scale refinement of the encoder's features, as in Refine-50 (Yu et al. 2019,
    sec. 2; docs/papers/refine-50.md); 0: no refinement."""


class FrameFeatures(NamedTuple):
    """Key and encoder features of B frames."""

    key: Tensor
    """B×Ck×H/16×W/16."""
    pyramid: Pyramid
    """Features at strides 4, 8 and 16."""
    context: Tensor | None = None
    """Features at stride 32, B×192×H/32×W/32; None without the context branch."""


class STMLite(nn.Module):
    """Space-time memory network with one light encoder for all objects."""

    stride = 16

    def __init__(self, config: STMLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or STMLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=self.config.context_channels > 0)
        self.refinement = self._scale_refinement()
        c4, c8, c16 = self.encoder.channels
        self.key_projection = Conv2d(c16, self.config.key_channels, 3, padding=1)
        self.value_encoder = ValueEncoder((c4, c8, c16), self.config)
        self.decoder = Decoder((c4, c8, c16), self.config)

    def _scale_refinement(self) -> ScaleRefinement | None:
        """Scale refinement over all strides of the encoder, if the config has one."""
        if self.config.refine_channels == 0:
            return None
        deepest = (STRIDE32_CHANNELS,) if self.config.context_channels > 0 else ()
        channels = (*self.encoder.channels, *deepest)
        return ScaleRefinement(channels, self.config.refine_channels, range(len(channels)))

    @property
    def similarity(self) -> Similarity:
        """Similarity of keys; see `memory_read`."""
        return self.config.similarity

    def trainable_part(self) -> nn.Module:
        """Part that is trained in online learning: the decoder."""
        return self.decoder

    def hidden_layers(self) -> list[HiddenLayer]:
        """Layers whose dead channels may be started anew in training (`training.recycling`)."""
        blocks = [m.hidden_layer() for m in self.modules() if isinstance(m, ResidualBlock)]
        return [*self.value_encoder.hidden_layers(), *blocks]

    def encode_frame(self, image: Tensor) -> FrameFeatures:
        """Key and features of RGB images B×3×H×W, uint8 or float 0..1, sides multiples of 16."""
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
            image: Not used; the interface has it for STM, which encodes the image again.
            features: Features of B frames.
            masks: Soft masks of the objects, O×H×W (B = 1) or B×O×H×W, 0..1.

        Returns:
            Keys B×Ck×h×w, and values O×Cv×h×w or B×O×Cv×h×w.
        """
        batched = masks if masks.ndim == 4 else masks[None]
        value = self.value_encoder(features.pyramid, batched)
        return features.key, value if masks.ndim == 4 else value[0]

    def crop(self, features: FrameFeatures, rows: slice, columns: slice) -> FrameFeatures:
        """Features of a rectangle of the frames; it begins at multiples of 32 px."""
        crop = partial(crop_at_stride, rows=rows, columns=columns)
        s4, s8, s16 = features.pyramid
        context = None if features.context is None else crop(features.context, stride=32)
        return FrameFeatures(
            crop(features.key, stride=16),
            Pyramid(crop(s4, stride=4), crop(s8, stride=8), crop(s16, stride=16)),
            context,
        )

    def decode(
        self,
        readout: Tensor,
        features: FrameFeatures,
        guidance: Tensor,
        others: Tensor | None = None,
    ) -> Tensor:
        """Foreground logit of each object.

        Args:
            readout: Memory readout, O×Cv×h×w (B = 1) or B×O×Cv×h×w.
            features: Features of the query frames.
            guidance: Soft masks in the frame before, O×H×W or B×O×H×W, 0..1.
            others: For each object, the sum of the other objects' masks there, at most 1. None:
                there are no objects but those of `guidance`.

        Returns:
            O×H×W or B×O×H×W, float32.
        """
        if others is None:
            others = masks_of_others(guidance)
        if readout.ndim == 5:
            logits: Tensor = self.decoder(readout, features, guidance, others)
        else:
            logits = self.decoder(readout[None], features, guidance[None], others[None])[0]
        return logits


class ValueEncoder(nn.Module):
    """Values of each object, from its mask, the mask of all others and the frame's features."""

    def __init__(self, channels: tuple[int, int, int], config: STMLiteConfig) -> None:
        super().__init__()
        c4, c8, c16 = channels
        c_out = config.value_channels
        h8, h16, hidden = (config.hidden_channels or (64, c_out, c_out))[:3]
        # A 4×4 block of both masks becomes 32 channels at stride 4 (pixel_unshuffle): average
        # pooling would lose the outline.
        self.to_stride8 = Conv2d(c4 + 32, h8, 3, stride=2, padding=1, activation="relu")
        self.to_stride16 = Conv2d(c8 + h8, h16, 3, stride=2, padding=1, activation="relu")
        self.fuse = Conv2d(c16 + h16, c_out, 3, padding=1)
        self.refine = ResidualBlock(c_out, hidden)

    def hidden_layers(self) -> list[HiddenLayer]:
        """The two that reduce the masks; each is read behind the features of its stride."""
        layers = ((self.to_stride8, self.to_stride16), (self.to_stride16, self.fuse))
        return [HiddenLayer(a, b, b.in_channels - a.out_channels) for a, b in layers]

    def forward(self, pyramid: Pyramid, masks: Tensor) -> Tensor:
        """Values B×O×C×h×w at stride 16 from soft masks B×O×H×W."""
        batch, objects = masks.shape[:2]
        others = masks_of_others(masks)  # B×O×H×W
        # Stacked B×O×2×H×W, objects into the batch B·O×2×H×W, unshuffled B·O×32×H/4×W/4.
        both = F.pixel_unshuffle(torch.stack([masks, others], 2).flatten(0, 1), 4)
        x = torch.cat([_repeat(pyramid.stride4, objects), both.to(pyramid.stride4.dtype)], 1)
        x = self.to_stride8(x)
        x = self.to_stride16(torch.cat([_repeat(pyramid.stride8, objects), x], 1))
        x = self.fuse(torch.cat([_repeat(pyramid.stride16, objects), x], 1))
        return torch.unflatten(self.refine(x), 0, (batch, objects))


class Decoder(nn.Module):
    """Mask logits from the memory readout, coarse to fine, with skips from the frame's features."""

    def __init__(self, channels: tuple[int, int, int], config: STMLiteConfig) -> None:
        super().__init__()
        c4, c8, c16 = channels
        d16, d8, d4 = config.decoder_channels
        h16, h8, h4 = (config.hidden_channels or (0, 0, 0, d16, d8, d4))[3:]
        self.has_guidance = config.guidance
        self.has_others = config.guidance and config.others_guidance
        # Masks are the last inputs of each layer: `training.starting.grow` appends channels there.
        extra = int(self.has_guidance) + int(self.has_others)
        self.fuse16 = Conv2d(config.value_channels + c16 + extra, d16, 3, padding=1)
        self.refine16 = ResidualBlock(d16, h16)
        context = config.context_channels
        self.context = Context(d16, context, config.context_slope) if context > 0 else None
        self.up8 = Upsample(d16, c8 + extra, d8, h8)
        self.up4 = Upsample(d8, c4 + extra, d4, h4)
        self.predict = Conv2d(d4, 1, 3, padding=1)

    def forward(
        self, readout: Tensor, features: FrameFeatures, guidance: Tensor, others: Tensor
    ) -> Tensor:
        """Logits B×O×H×W from readout B×O×C×h×w and the masks of the object and of the others."""
        batch, objects = readout.shape[:2]
        skips = [_repeat(level, objects) for level in features.pyramid]  # B·O×C×h×w, finest first
        if self.has_guidance:
            guides = guidance[:, :, None]  # B×O×1×H×W
            if self.has_others:
                guides = torch.stack([guidance, others], 2)  # B×O×2×H×W
            mask = guides.flatten(0, 1).to(readout.dtype)  # B·O×1×H×W, or 2 channels with others
            mask4 = F.avg_pool2d(mask, 4)
            mask8 = F.avg_pool2d(mask4, 2)
            masks = (mask4, mask8, F.avg_pool2d(mask8, 2))
            skips = [torch.cat([s, m.to(s.dtype)], 1) for s, m in zip(skips, masks, strict=True)]
        x = torch.cat([readout.flatten(0, 1).to(skips[2].dtype), skips[2]], 1)
        x = self.refine16(self.fuse16(x))  # B·O×d16×H/16×W/16
        if self.context is not None and features.context is not None:
            x = self.context(x, _repeat(features.context, objects))
        x = self.up4(self.up8(x, skips[1]), skips[0])
        logits = F.interpolate(
            self.predict(x).float(), scale_factor=4, mode="bilinear", align_corners=False
        )
        return torch.unflatten(logits[:, 0], 0, (batch, objects))


class Context(nn.Module):
    """Branch at stride 32, which adds a view of the whole object to the decoder.

    Memory is read position by position. A wheel or the back of a dress that no memory frame shows
    can only be segmented as part of the object around it. The encoder's deepest features show what
    kind of object that is, and the mean over the frame how large it is.
    """

    def __init__(self, channels: int, width: int, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.fuse = Conv2d(channels + STRIDE32_CHANNELS, width, 3, padding=1)
        self.refine = nn.Sequential(ResidualBlock(width), ResidualBlock(width))
        self.whole = Conv2d(width, width, 1)
        self.project = Conv2d(width, channels, 1)
        # The branch starts with an output of 0, so that it can be added to a trained network.
        nn.init.zeros_(self.project.weight)
        if self.project.bias is not None:
            nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, deep: Tensor) -> Tensor:
        """Decoder features B×C×h×w with context, from deep features B×192×h/2×w/2 (rounded up)."""
        # Padding is left out of the mean, so that cells at an odd border are not darkened.
        half = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        y = self.refine(self.fuse(torch.cat([half, deep.to(half.dtype)], 1)))
        # The mean over the frame, B×C×1×1, is added to every position.
        y = y + self.whole(F.adaptive_avg_pool2d(self._activate(y), 1))
        up = F.interpolate(
            self.project(self._activate(y)), size=x.shape[-2:], mode="bilinear", align_corners=False
        )
        return x + up

    def _activate(self, y: Tensor) -> Tensor:
        return F.relu(y) if self.slope == 0 else F.leaky_relu(y, self.slope)


class Upsample(nn.Module):
    """Decoder stage: doubles the size and adds a skip."""

    def __init__(self, c_in: int, c_skip: int, c_out: int, hidden: int | None = None) -> None:
        super().__init__()
        self.project = Conv2d(c_in, c_out, 1)
        self.skip = Conv2d(c_skip, c_out, 1)
        self.refine = ResidualBlock(c_out, hidden)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features B×C'×2h×2w from coarse ones B×C×h×w and a skip B×S×2h×2w."""
        up = F.interpolate(self.project(x), scale_factor=2, mode="bilinear", align_corners=False)
        refined: Tensor = self.refine(up + self.skip(skip))
        return refined


def _repeat(features: Tensor, objects: int) -> Tensor:
    """Features repeated for each object of a frame: B×C×h×w to B·O×C×h×w, objects innermost."""
    return features if objects == 1 else features.repeat_interleave(objects, dim=0)
