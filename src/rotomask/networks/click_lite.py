"""click-lite: from clicks, boxes, strokes and a previous mask to the mask of one frame.

The inputs are those of Sofiiuk et al. 2021 (RITM): a map of positive and one of negative prompts,
with clicks as disks, and the mask of the round before. They join the encoder's features late, not
in its first layer, so that a frame is encoded once and a further click costs the decoder alone.
What a late fusion loses, that a click says "this" rather than "what stands out", is given back by
comparing every position with those under the prompts, as memory networks do.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.efficientnet_lite import (
    STRIDE32_CHANNELS,
    EfficientNetLite0,
    InvertedResidual,
    Pyramid,
)
from rotomask.networks.layers.resnet import ResidualBlock

PROMPT_MAPS = 4
"""Channels of the prompts: positive, negative, filled box, previous mask."""
CELL = 4
"""Side of the block of pixels that becomes one position at stride 4."""
NOT_SIMILAR = -1.0
"""Similarity to prompts of a sign of which there are none: the least a cosine can be."""


@dataclass(frozen=True, kw_only=True)
class ClickLiteConfig:
    """The shape of the network."""

    prompt_channels: tuple[int, int, int, int] = (32, 48, 96, 128)
    """Width of the prompts' pyramid at strides 4, 8, 16 and 32."""
    embedding_channels: int = 64
    """Width of the features that are compared with those under the prompts."""
    deep_channels: int = 160
    """Width of the fusion at stride 32."""
    decoder_channels: tuple[int, int, int] = (112, 64, 40)
    """Width of the decoder at strides 16, 8 and 4."""
    detail_channels: int = 32
    """Width of the last layer, which sees the pixels themselves."""


class ClickFeatures(NamedTuple):
    """Prompt-independent features of B images: computed once, used by every round of prompts."""

    pyramid: Pyramid
    deep: Tensor
    """B×192×H/32×W/32."""
    embedding: Tensor
    """Unit vectors to compare, B×E×H/16×W/16, float32."""
    pixels: Tensor
    """The images with 4×4 blocks as channels, B×48×H/4×W/4, -1 to 1."""


class Modulation(NamedTuple):
    """Scale and offset per channel of the fused features, fitted to the prompts of an image.

    Sofiiuk et al. 2020 (f-BRS), sec. 3.2.
    """

    scale: Tensor
    """B×C×1×1; 1 changes nothing."""
    offset: Tensor
    """B×C×1×1; 0 changes nothing."""


class ClickOutput(NamedTuple):
    """Foreground logits."""

    logits: Tensor
    """B×H×W, float32."""
    coarse: Tensor
    """Logits for deep supervision, B×H/16×W/16, float32."""


class ClickLite(nn.Module):
    """Interactive segmentation network: logits from an image and its prompts."""

    stride = 32

    def __init__(self, config: ClickLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or ClickLiteConfig()
        c16 = EfficientNetLite0.channels[2]
        self.encoder = EfficientNetLite0(with_stride32=True)
        self.embed = Conv2d(c16, self.config.embedding_channels, 1)
        self.prompts = PromptPyramid(self.config.prompt_channels)
        self.fusion = Fusion(self.config)
        self.decoder = ClickDecoder(self.config)

    @property
    def fused_channels(self) -> int:
        """Width of what `fuse` returns and a `Modulation` acts on."""
        return self.config.decoder_channels[0]

    def encode(self, image: Tensor) -> ClickFeatures:
        """Features of RGB images B×3×H×W, float 0..1, sides multiples of 32."""
        pyramid = self.encoder(image)
        embedding = F.normalize(self.embed(pyramid.stride16).float(), dim=1)
        # The image itself, -1..1, folded to stride 4 (B×48×H/4×W/4): detail that no stage keeps.
        pixels = F.pixel_unshuffle(image * 2 - 1, CELL)
        return ClickFeatures(pyramid, self.encoder.deepen(pyramid), embedding, pixels)

    def forward(
        self, features: ClickFeatures, maps: Tensor, modulation: Modulation | None = None
    ) -> ClickOutput:
        """Logits of B encoded images under their prompts.

        Args:
            features: Output of `encode`.
            maps: B×4×H×W, 0..1: positive, negative, filled box, previous mask.
            modulation: Modulation fitted to the prompts (`prompts.learning`); None: none.
        """
        prompts = self.prompts(maps)
        fused = self.fuse(features, prompts, maps)
        return self.finish(features, prompts, fused, modulation)

    def fuse(self, features: ClickFeatures, prompts: list[Tensor], maps: Tensor) -> Tensor:
        """Fused features of image and prompts at stride 16, B×C×H/16×W/16."""
        similarity = prompt_similarity(features.embedding, maps)
        fused: Tensor = self.fusion(features, prompts, similarity)
        return fused

    def finish(
        self,
        features: ClickFeatures,
        prompts: list[Tensor],
        fused: Tensor,
        modulation: Modulation | None = None,
    ) -> ClickOutput:
        """Logits from the output of `fuse`; the part that a modulation changes."""
        if modulation is not None:
            fused = fused * modulation.scale + modulation.offset
        output: ClickOutput = self.decoder(features, prompts, fused)
        return output


def prompt_similarity(embedding: Tensor, maps: Tensor) -> Tensor:
    """Similarity of every position to the positions under the prompts.

    Args:
        embedding: Unit vectors, B×E×h×w, float32.
        maps: B×4×H×W: positive, negative, box, previous mask.

    Returns:
        B×3×h×w, float32, -1 to 1: the largest cosine with a position under a positive prompt, with
        one under a negative prompt, and the cosine with the mean over the previous mask.
    """
    height, width = embedding.shape[-2:]
    vectors = embedding.flatten(2).float()  # B×E×N, N = h·w
    # Of every position with every other: N is 576 for 384 px, so this is small beside the encoder.
    cosines = vectors.transpose(1, 2) @ vectors  # B×N×N
    channels = []
    for sign in range(2):
        # A disk is smaller than a cell of stride 16: any part of it marks the cell.
        under = F.adaptive_max_pool2d(maps[:, sign : sign + 1].float(), (height, width)) > 0.5
        absent = torch.full_like(cosines, NOT_SIMILAR)
        # The mask B×1×N selects columns: the prompt's positions, for every position B×N.
        channels.append(torch.where(under.flatten(1)[:, None], cosines, absent).amax(2))
    weight = F.adaptive_avg_pool2d(maps[:, 3:4].float(), (height, width)).flatten(1)
    mean = F.normalize((vectors * weight[:, None]).sum(2), dim=1)  # B×E, zero without a mask
    channels.append((vectors * mean[..., None]).sum(1))
    stacked = torch.stack(channels, 1)  # B×3×N
    return torch.unflatten(stacked, 2, (height, width))


class PromptPyramid(nn.Module):
    """Features of the prompts' maps at strides 4, 8, 16 and 32."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        # A 4×4 block of each map becomes channels at stride 4: no detail of a stroke is lost.
        self.first = Conv2d(PROMPT_MAPS * CELL**2, channels[0], 1, activation="relu")
        self.down = nn.ModuleList(
            Conv2d(a, b, 3, stride=2, padding=1, activation="relu") for a, b in pairwise(channels)
        )

    def forward(self, maps: Tensor) -> list[Tensor]:
        """Maps B×4×H×W -> four levels B×C×H/s×W/s, finest first, after their ReLU."""
        levels = [self.first(F.pixel_unshuffle(maps, CELL))]
        for layer in self.down:
            levels.append(layer(levels[-1]))
        return levels


class Fusion(nn.Module):
    """Fusion of features, prompts and similarities at strides 32 and 16: whole objects in view."""

    def __init__(self, config: ClickLiteConfig) -> None:
        super().__init__()
        c16 = EfficientNetLite0.channels[2]
        _, _, p16, p32 = config.prompt_channels
        deep, d16 = config.deep_channels, config.decoder_channels[0]
        self.join32 = Conv2d(STRIDE32_CHANNELS + p32 + 3, deep, 1)
        self.mix32 = nn.Sequential(*(InvertedResidual(deep, deep, 3, 5, 1) for _ in range(2)))
        self.whole = Conv2d(deep, deep, 1)
        self.join16 = Conv2d(c16 + deep + p16 + 3, d16, 1)
        self.mix16 = nn.Sequential(*(InvertedResidual(d16, d16, 3, 5, 1) for _ in range(3)))

    def forward(self, features: ClickFeatures, prompts: list[Tensor], similarity: Tensor) -> Tensor:
        """Fused features B×C×H/16×W/16 from similarities B×3×H/16×W/16; see `ClickLite.fuse`."""
        deep, stride16 = features.deep, features.pyramid.stride16
        similarity = similarity.to(stride16.dtype)
        # Maximum, not mean: a prompt in one of four cells marks the cell of stride 32.
        similar32 = F.max_pool2d(similarity, 2, ceil_mode=True)
        x32 = self.mix32(self.join32(torch.cat([deep, prompts[3], similar32], 1)))
        # The mean over the image, B×C×1×1, is added to every position.
        x32 = x32 + self.whole(F.adaptive_avg_pool2d(F.relu(x32), 1))
        up = F.interpolate(x32, stride16.shape[-2:], mode="bilinear", align_corners=False)
        parts = [stride16, up.to(stride16.dtype), prompts[2], similarity]
        fused: Tensor = self.mix16(self.join16(torch.cat(parts, 1)))
        return fused


class ClickDecoder(nn.Module):
    """Decoder of the fused features, coarse to fine, with the image itself as its last input."""

    def __init__(self, config: ClickLiteConfig) -> None:
        super().__init__()
        c4, c8, _ = EfficientNetLite0.channels
        p4, p8, _, _ = config.prompt_channels
        d16, d8, d4 = config.decoder_channels
        self.coarse = Conv2d(d16, 1, 1)
        self.up8 = Conv2d(d16, d8, 1)
        self.skip8 = Conv2d(c8 + p8, d8, 1)
        self.refine8 = ResidualBlock(d8)
        self.up4 = Conv2d(d8, d4, 1)
        self.skip4 = Conv2d(c4 + p4, d4, 1)
        self.refine4 = ResidualBlock(d4)
        self.pixels = Conv2d(3 * CELL**2, config.detail_channels, 1, activation="relu")
        self.detail = Conv2d(
            d4 + config.detail_channels,
            config.detail_channels,
            3,
            padding=1,
            activation="relu",
        )
        # One logit for each pixel of the 4×4 block: full resolution at the cost of stride 4.
        self.predict = Conv2d(config.detail_channels, CELL**2, 1)

    def forward(self, features: ClickFeatures, prompts: list[Tensor], fused: Tensor) -> ClickOutput:
        """Logits; see `ClickOutput`."""
        pyramid = features.pyramid
        skip8 = self.skip8(torch.cat([pyramid.stride8, prompts[1]], 1))
        # Project before enlarging: a 1×1 convolution at the coarse size costs a quarter.
        x = self.refine8(_double(self.up8(fused), skip8) + skip8)
        skip4 = self.skip4(torch.cat([pyramid.stride4, prompts[0]], 1))
        x = self.refine4(_double(self.up4(x), skip4) + skip4)
        pixels = self.pixels(features.pixels.to(x.dtype))
        x = self.detail(torch.cat([F.relu(x), pixels], 1))
        logits = F.pixel_shuffle(self.predict(x).float(), CELL)  # B×16×H/4×W/4 -> B×1×H×W
        return ClickOutput(logits[:, 0], self.coarse(fused).float()[:, 0])


def _double(x: Tensor, like: Tensor) -> Tensor:
    size = like.shape[-2:]
    return F.interpolate(x, size, mode="bilinear", align_corners=False).to(like.dtype)
