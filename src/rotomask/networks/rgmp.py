"""RGMP: reference-guided mask propagation.

Oh et al. 2018, "Fast video object segmentation by reference-guided mask propagation". A siamese
ResNet-50 encodes two streams: the reference frame with its mask, and the target frame (the one
being segmented) with the mask of the previous frame. A global convolution block matches them, and a
decoder refines the match to a mask. The network so combines detection, by the reference, with
propagation, by the previous mask.

Parameters have the names of the authors' code, so that `checkpoints.load_into` loads their
`weights.pth` unchanged.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.conv_gru import ConvGRU
from rotomask.networks.layers.global_convolution import GlobalConvolution
from rotomask.networks.layers.resnet import ResNet50

CHANNELS = 256
"""Channels of the global convolution block and of the decoder."""


@dataclass(frozen=True, kw_only=True)
class RGMPConfig:
    """The shape of the network; the defaults are the published values."""

    catalog_name: ClassVar = "rgmp"
    mask_stride: ClassVar = 1
    """Stride at which the mask joins: the image itself."""
    visual_memory: bool = False
    """Add a convolutional GRU after the global convolution block (sec. 4.3)."""


class FrameFeatures(NamedTuple):
    """The encoder's features of B pairs of frame and mask."""

    stride32: Tensor
    """B×2048×H/32×W/32."""
    stride16: Tensor
    """B×1024×H/16×W/16."""
    stride8: Tensor
    """B×512×H/8×W/8."""
    stride4: Tensor
    """B×256×H/4×W/4."""

    @property
    def coarsest(self) -> Tensor:
        """The features that are matched between reference and target, B×2048×H/32×W/32."""
        return self.stride32


class PyramidLogits(NamedTuple):
    """Logits of background and foreground at each stride; training supervises all of them."""

    stride4: Tensor
    """B×2×H/4×W/4, the network's output."""
    stride8: Tensor
    """B×2×H/8×W/8."""
    stride16: Tensor
    """B×2×H/16×W/16."""
    stride32: Tensor
    """B×2×H/32×W/32."""


class RGMP(nn.Module):
    """The RGMP network: frames with masks to foreground logits."""

    stride = 32
    """The height and width of the input must be multiples of this."""

    def __init__(self, config: RGMPConfig | None = None) -> None:
        super().__init__()
        self.config = config or RGMPConfig()
        self.Encoder = Encoder()
        self.Decoder = Decoder()
        # Our own name: the published network has no visual memory.
        self.visual_memory = ConvGRU(CHANNELS) if self.config.visual_memory else None

    @property
    def has_memory(self) -> bool:
        """True if `match` uses its output for the previous frame as a recurrent state."""
        return self.visual_memory is not None

    def trainable_part(self) -> nn.Module:
        """The part that online learning trains: the decoder."""
        return self.Decoder

    def encode(self, image: Tensor, masks: Tensor) -> FrameFeatures:
        """Features of a frame with each object's mask; both streams use this encoder.

        Args:
            image: RGB image, 1×3×H×W for all objects or B×3×H×W, float 0..1, sides multiples of 32.
            masks: Reference masks, or the previous frame's probabilities, B×H×W, 0..1.

        Returns:
            Features of the B objects.
        """
        return FrameFeatures(*reversed(self.Encoder(image, masks)))

    def match(
        self, target: FrameFeatures, reference: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """Match of the target stream with the reference stream, by the global convolution block.

        Args:
            target: Features of the target frame with the guidance masks of B objects.
            reference: `coarsest` of the reference frame with its B masks.
            state: Output of `match` for the previous frame; ignored without visual memory.

        Returns:
            B×256×H/32×W/32.
        """
        matched = self.Decoder.match(target.stride32, reference)
        if self.visual_memory is not None:
            matched = self.visual_memory(matched, state)
        return matched

    def decode(self, target: FrameFeatures, matched: Tensor) -> Tensor:
        """Foreground logits of the B objects at the size of the frame, B×H×W float32.

        The published network has a background and a foreground logit; this is their difference, the
        sigmoid of which equals the foreground probability of their softmax.

        Args:
            target: Features of the target frame, as for `match`.
            matched: Output of `match`.
        """
        pair = self.decode_pyramid(target, matched).stride4.float()  # B×2×H/4×W/4
        # Logits, not probabilities, are enlarged, as in the authors' code.
        pair = F.interpolate(pair, scale_factor=4, mode="bilinear", align_corners=False)
        return pair[:, 1] - pair[:, 0]

    def decode_pyramid(self, target: FrameFeatures, matched: Tensor) -> PyramidLogits:
        """Logits of background and foreground at every stride, as published."""
        logits: PyramidLogits = self.Decoder(target, matched)
        return logits

    def side_logits(self, target: FrameFeatures, matched: Tensor) -> list[Tensor]:
        """Foreground logits B×h×w at every stride, finest first, for deep supervision."""
        return [p[:, 1] - p[:, 0] for p in self.decode_pyramid(target, matched)]


class Encoder(ResNet50):
    """The siamese encoder: features of a frame with one mask as a fourth channel (sec. 3.1)."""

    def __init__(self) -> None:
        super().__init__(last_stage=5)
        self.conv1_p = nn.Conv2d(1, 64, 7, stride=2, padding=3)

    def forward(self, image: Tensor, masks: Tensor) -> list[Tensor]:
        """Images 1×3×H×W or B×3×H×W, masks B×H×W -> features at strides 4, 8, 16, 32."""
        # Two convolutions and a sum equal one convolution of four channels, and keep the names of
        # the published weights. One image, 1×64×H/2×W/2, broadcasts over the B masks.
        x = self.conv1(self.normalize(image)) + self.conv1_p(masks[:, None])
        return self.stages(x)


class Decoder(nn.Module):
    """Match of target and reference, then refinement with skips from the target (sec. 3.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.GC = GlobalConvolution(2 * 2048, CHANNELS)
        self.convG1 = _conv(CHANNELS, CHANNELS)
        self.convG2 = _conv(CHANNELS, CHANNELS)
        self.RF4 = Refine(1024)
        self.RF3 = Refine(512)
        self.RF2 = Refine(256)
        self.pred5 = _conv(CHANNELS, 2)
        self.pred4 = _conv(CHANNELS, 2)
        self.pred3 = _conv(CHANNELS, 2)
        self.pred2 = _conv(CHANNELS, 2)

    def match(self, target: Tensor, reference: Tensor) -> Tensor:
        """Features of both streams, each B×2048×H/32×W/32 -> match B×256×H/32×W/32."""
        match = self.GC(torch.cat([target, reference], dim=1))
        residual: Tensor = self.convG2(F.relu(self.convG1(F.relu(match))))
        matched: Tensor = match + residual
        return matched

    def forward(self, target: FrameFeatures, m5: Tensor) -> PyramidLogits:
        """Target features and the match B×256×H/32×W/32 -> logits at each stride."""
        # B×256×h×w at strides 32 (m5), 16, 8 and 4; the names are those of the authors' code.
        m4 = self.RF4(target.stride16, m5)
        m3 = self.RF3(target.stride8, m4)
        m2 = self.RF2(target.stride4, m3)
        return PyramidLogits(
            self.pred2(F.relu(m2)),
            self.pred3(F.relu(m3)),
            self.pred4(F.relu(m4)),
            self.pred5(F.relu(m5)),
        )


class Refine(nn.Module):
    """Upsample coarse features, add a skip connection; a residual block before and after."""

    def __init__(self, c_skip: int) -> None:
        super().__init__()
        self.convFS1 = _conv(c_skip, CHANNELS)
        self.convFS2 = _conv(CHANNELS, CHANNELS)
        self.convFS3 = _conv(CHANNELS, CHANNELS)
        self.convMM1 = _conv(CHANNELS, CHANNELS)
        self.convMM2 = _conv(CHANNELS, CHANNELS)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Skip B×C'×2h×2w, coarse B×C×h×w -> B×C×2h×2w."""
        fine = self.convFS1(skip)
        fine = fine + self.convFS3(F.relu(self.convFS2(F.relu(fine))))
        up = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        joined: Tensor = fine + up
        residual: Tensor = self.convMM2(F.relu(self.convMM1(F.relu(joined))))
        return joined + residual


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1)
