"""rgmp-lite: reference-guided mask propagation for a plain CPU.

RGMP (Oh et al. 2018; `networks/rgmp.py`) on the light backbone: one encoder for both streams, a
global convolution block that matches them, and refinement modules that decode the match, each with
a side output. There is no batch norm.

The mask is an additional input with filters initialised to zero, so that the pre-trained encoder is
unchanged at first. In the paper it joins at the image. Here it can join at stride 4 instead: the
layers before that, half of the encoder's time, then run once per frame for all objects, and can
stay frozen in training.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.networks.layers.conv_gru import ConvGRU
from rotomask.networks.layers.convolution import Conv2d, activate
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.layers.global_convolution import GlobalConvolution
from rotomask.networks.layers.resnet import ResidualBlock
from rotomask.networks.layers.scale_refinement import ScaleRefinement

SHARED_STAGES = 2
"""Encoder stages up to stride 4, which do not see the mask when ``mask_stride`` is 4."""


@dataclass(frozen=True, kw_only=True)
class RGMPLiteConfig:
    """The shape of the network."""

    catalog_name: ClassVar = "rgmp-lite"
    mask_stride: Literal[1, 4] = 4
    """Stride at which the mask joins: 1, the image, as in the paper; or 4, after features that are
    computed once per frame for any number of objects."""
    coarsest: Literal[16, 32] = 32
    """Stride at which the two streams are matched."""
    match_channels: int = 128
    """Width of the global convolution block."""
    decoder_channels: tuple[int, int, int] = (128, 96, 48)
    """Width of the refinement modules at strides 16, 8 and 4."""
    visual_memory: bool = False
    """Add a convolutional GRU after the global convolution block (RGMP, sec. 4.3)."""
    refine_channels: int = 0
    """Channels of scale refinement of the encoder's features, as in Refine-50; 0: none."""

    def __post_init__(self) -> None:
        if self.mask_stride not in (1, 4) or self.coarsest not in (16, 32):
            raise OptionError(
                "mask_stride must be 1 or 4 and coarsest 16 or 32, got "
                f"{self.mask_stride} and {self.coarsest}"
            )


class FrameFeatures(NamedTuple):
    """The encoder's features of B pairs of frame and mask."""

    stride4: Tensor
    """B×24×H/4×W/4."""
    stride8: Tensor
    """B×40×H/8×W/8."""
    stride16: Tensor
    """B×112×H/16×W/16."""
    coarsest: Tensor
    """The features that are matched between reference and target: B×192×H/32×W/32, or `stride16`
    where the streams are matched at stride 16."""


class RGMPLite(nn.Module):
    """The light RGMP network: frames with masks to foreground logits."""

    def __init__(self, config: RGMPLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or RGMPLiteConfig()
        c_match = self.config.match_channels
        self.encoder = EfficientNetLite0(with_stride32=self.config.coarsest == 32)
        self.mask_filters = _mask_filters(self.config.mask_stride)
        self.refinement = self._scale_refinement()
        self.match_filters = GlobalConvolution(2 * self.encoder.last_channels, c_match)
        self.match_residual = ResidualBlock(c_match)
        self.visual_memory = ConvGRU(c_match) if self.config.visual_memory else None
        self.decoder = Decoder(self.encoder.channels, self.config)

    def _scale_refinement(self) -> ScaleRefinement | None:
        if self.config.refine_channels == 0:
            return None
        channels: tuple[int, ...] = self.encoder.channels
        if self.config.coarsest == 32:
            channels = (*channels, self.encoder.last_channels)
        return ScaleRefinement(channels, self.config.refine_channels, range(len(channels)))

    @property
    def stride(self) -> int:
        """The height and width of the input must be multiples of this."""
        return self.config.coarsest

    @property
    def has_memory(self) -> bool:
        """True if `match` uses its output for the previous frame as a recurrent state."""
        return self.visual_memory is not None

    def trainable_part(self) -> nn.Module:
        """The part that online learning trains: the decoder."""
        return self.decoder

    def encode_image(self, image: Tensor) -> Tensor:
        """Features of a frame before the mask joins; compute them once for all objects.

        Args:
            image: RGB images, B×3×H×W, float 0..1, sides multiples of `stride`.

        Returns:
            B×24×H/4×W/4; with `mask_stride` 1 the images themselves.
        """
        if self.config.mask_stride == 1:
            return image
        x: Tensor = self.encoder.stem(self.encoder.normalize(image))
        for stage in self.encoder.stages[:SHARED_STAGES]:
            x = stage(x)
        return x

    def encode_masks(self, image_features: Tensor, masks: Tensor) -> FrameFeatures:
        """Features of a frame with each object's mask.

        Args:
            image_features: Output of `encode_image`, for one frame or for B.
            masks: B×H×W, 0..1.

        Returns:
            Features of the B objects.
        """
        stages = self.encoder.stages
        if self.config.mask_stride == 1:
            convolution = self.encoder.stem[0]
            assert isinstance(convolution, Conv2d)
            # Before the activation, as in RGMP: the sum of two convolutions is one of four
            # channels.
            filtered_image = convolution.convolve(self.encoder.normalize(image_features), None)
            x = activate(filtered_image + self.mask_filters(masks[:, None]), convolution.activation)
            for stage in stages[:SHARED_STAGES]:
                x = stage(x)
        else:
            # B×1×H×W -> B×16×H/4×W/4: a 4×4 block of the mask becomes 16 channels, so that no
            # detail is lost. The sum broadcasts one frame's features over the B masks.
            x = image_features + self.mask_filters(F.pixel_unshuffle(masks[:, None], 4))
        levels = [x]  # then strides 8, 16 (two stages) and 32
        levels.append(stages[2](levels[-1]))
        levels.append(stages[4](stages[3](levels[-1])))
        if self.config.coarsest == 32:
            levels.append(stages[5](levels[-1]))
        if self.refinement is not None:
            levels = self.refinement(levels)
        return FrameFeatures(levels[0], levels[1], levels[2], levels[-1])

    def encode(self, image: Tensor, masks: Tensor) -> FrameFeatures:
        """Features of a frame with each object's mask; both streams use this encoder.

        Args:
            image: RGB image, 1×3×H×W for all objects or B×3×H×W, float 0..1, sides multiples of
                `stride`.
            masks: Reference masks, or the previous frame's probabilities, B×H×W, 0..1.

        Returns:
            Features of the B objects.
        """
        return self.encode_masks(self.encode_image(image), masks)

    def match(
        self, target: FrameFeatures, reference: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """Match of the target stream with the reference stream, by the global convolution block.

        Args:
            target: Features of the target frame with the guidance masks of B objects.
            reference: `coarsest` of the reference frame with its B masks.
            state: Output of `match` for the previous frame; ignored without visual memory.

        Returns:
            B×C×h×w at the coarsest stride.
        """
        streams = torch.cat([target.coarsest, reference.to(target.coarsest.dtype)], dim=1)
        matched: Tensor = self.match_residual(self.match_filters(streams))
        if self.visual_memory is not None:
            matched = self.visual_memory(matched, state)
        return matched

    def decode(self, target: FrameFeatures, matched: Tensor) -> Tensor:
        """Foreground logits of the B objects at the size of the frame, B×H×W float32.

        Args:
            target: Features of the target frame, as for `match`.
            matched: Output of `match`.
        """
        logits = self.side_logits(target, matched)[0][:, None].float()
        return F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)[:, 0]

    def side_logits(self, target: FrameFeatures, matched: Tensor) -> list[Tensor]:
        """Foreground logits B×h×w at every stride, finest first, for deep supervision."""
        logits: list[Tensor] = self.decoder(target, matched)
        return logits


class Decoder(nn.Module):
    """Decoder from the match to logits, coarse to fine, with skips from the target stream.

    Parameters that stm-lite also has share its names, so that training can start from its weights.
    """

    def __init__(self, channels: tuple[int, int, int], config: RGMPLiteConfig) -> None:
        super().__init__()
        c4, c8, c16 = channels
        d16, d8, d4 = config.decoder_channels
        # If the streams are matched at stride 16, this step only adds the skip.
        self.up16 = Refine(config.match_channels, c16, d16)
        self.up8 = Refine(d16, c8, d8)
        self.up4 = Refine(d8, c4, d4)
        self.predict = Conv2d(d4, 1, 3, padding=1)
        self.sides = nn.ModuleList(
            Conv2d(c, 1, 3, padding=1) for c in (d8, d16, config.match_channels)
        )

    def forward(self, target: FrameFeatures, matched: Tensor) -> list[Tensor]:
        """Target features and the match B×C×h×w -> logits B×h×w per stride, finest first."""
        x16 = self.up16(matched, target.stride16)
        x8 = self.up8(x16, target.stride8)
        finest = self.predict(self.up4(x8, target.stride4))
        sides = zip(self.sides, (x8, x16, matched), strict=True)
        return [finest[:, 0], *(predict(F.relu(x))[:, 0] for predict, x in sides)]


class Refine(nn.Module):
    """A refinement module (RGMP, sec. 3.1): upsample coarse features and add a skip connection."""

    def __init__(self, c_in: int, c_skip: int, c_out: int) -> None:
        super().__init__()
        self.project = Conv2d(c_in, c_out, 1)
        self.skip = Conv2d(c_skip, c_out, 1)
        self.refine = ResidualBlock(c_out)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Coarse B×C×h×w and skip B×S×H×W -> B×C'×H×W."""
        # Project before enlarging: a 1×1 convolution at the coarse size costs a quarter.
        up = self.project(coarse)
        if up.shape[-2:] != skip.shape[-2:]:
            up = F.interpolate(up, skip.shape[-2:], mode="bilinear", align_corners=False)
        refined: Tensor = self.refine(up + self.skip(skip))
        return refined


def _mask_filters(stride: int) -> nn.Conv2d:
    """Convolution of the mask up to the features it is added to, initialised to zero.

    At stride 1 its output matches that of the encoder's stem, 32 channels at stride 2; at stride 4
    its input is the mask unshuffled to 16 channels and its output has the stage's 24 channels.
    """
    filters = (
        nn.Conv2d(1, 32, 3, stride=2, padding=1, bias=False)
        if stride == 1
        else nn.Conv2d(16, 24, 3, padding=1, bias=False)
    )
    nn.init.zeros_(filters.weight)
    return filters
