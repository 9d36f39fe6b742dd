"""RGMP: reference-guided mask propagation.

Oh et al. 2018, "Fast video object segmentation by reference-guided mask propagation". One ResNet-50
sees the reference frame with its mask, and the frame being segmented with the mask of the frame
before; a global convolution matches the two, and a decoder refines the match. So the network both
detects what the reference shows and propagates where it was last.

Parameters bear the names of the authors' code, so that `checkpoints.load_into` takes their
`weights.pth` as it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.conv_gru import ConvGRU
from rotomask.networks.layers.global_convolution import GlobalConvolution
from rotomask.networks.layers.resnet import ResNet50

CHANNELS = 256


@dataclass(frozen=True, kw_only=True)
class RGMPConfig:
    """The shape of the network; the defaults are the published one's."""

    visual_memory: bool = False
    """Whether a convolutional GRU follows the global convolution block (sec. 4.3)."""


class FrameFeatures(NamedTuple):
    """What the encoder knows of B pairs of frame and mask."""

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
        """What of a reference frame is matched with the frame being segmented."""
        return self.stride32


class PyramidLogits(NamedTuple):
    """Logits of background and foreground at each stride; training looks at all of them."""

    stride4: Tensor
    """B×2×H/4×W/4, the answer."""
    stride8: Tensor
    """B×2×H/8×W/8."""
    stride16: Tensor
    """B×2×H/16×W/16."""
    stride32: Tensor
    """B×2×H/32×W/32."""


class RGMP(nn.Module):
    """The network: tensors in, tensors out."""

    stride = 32

    def __init__(self, config: RGMPConfig | None = None) -> None:
        super().__init__()
        self.config = config or RGMPConfig()
        self.Encoder = Encoder()
        self.Decoder = Decoder()
        # Not a name of the authors: their published network has no visual memory.
        self.visual_memory = ConvGRU(CHANNELS) if self.config.visual_memory else None

    @property
    def has_memory(self) -> bool:
        """Whether `match` needs what it gave for the frame before."""
        return self.visual_memory is not None

    def encode(self, image: Tensor, masks: Tensor) -> FrameFeatures:
        """Features of a frame with each object's mask: the reference stream and the target stream.

        Args:
            image: RGB, 1×3×H×W for all objects or B×3×H×W, float 0..1, sides multiples of 32.
            masks: B×H×W, 0..1: the reference mask, or the probabilities of the frame before.

        Returns:
            Features of the B objects.
        """
        return FrameFeatures(*reversed(self.Encoder(image, masks)))

    def match(
        self, target: FrameFeatures, reference: Tensor, state: Tensor | None = None
    ) -> Tensor:
        """What the global convolution block makes of the two streams.

        Args:
            target: Of the frame being segmented, with the guidance masks.
            reference: `coarsest` of the reference frame with its masks, of as many objects.
            state: What `match` gave for the frame before; only a visual memory looks at it.

        Returns:
            B×256×H/32×W/32.
        """
        matched = self.Decoder.match(target.stride32, reference)
        if self.visual_memory is not None:
            matched = self.visual_memory(matched, state)
        return matched

    def refine(self, target: FrameFeatures, matched: Tensor) -> Tensor:
        """Foreground logit: foreground minus background of the two published ones.

        Its sigmoid is the published softmax's foreground probability.

        Args:
            target: As for `match`.
            matched: What it gave.

        Returns:
            B×H×W, float32.
        """
        pair = self.refine_pyramid(target, matched).stride4.float()
        pair = F.interpolate(pair, scale_factor=4, mode="bilinear", align_corners=False)
        return pair[:, 1] - pair[:, 0]

    def refine_pyramid(self, target: FrameFeatures, matched: Tensor) -> PyramidLogits:
        """Logits of background and foreground at every stride, as published."""
        logits: PyramidLogits = self.Decoder(target, matched)
        return logits

    def side_logits(self, target: FrameFeatures, matched: Tensor) -> list[Tensor]:
        """Foreground logits B×h×w at every stride, finest first: what training looks at."""
        return [p[:, 1] - p[:, 0] for p in self.refine_pyramid(target, matched)]


class Encoder(ResNet50):
    """Features of a frame with one mask in a fourth channel (sec. 3.1, Siamese encoder)."""

    def __init__(self) -> None:
        super().__init__(last_stage=5)
        self.conv1_p = nn.Conv2d(1, 64, 7, stride=2, padding=3)

    def forward(self, image: Tensor, masks: Tensor) -> list[Tensor]:
        """Images 1×3×H×W or B×3×H×W, masks B×H×W -> features at strides 4, 8, 16, 32."""
        x = self.conv1(self.normalize(image)) + self.conv1_p(masks[:, None])
        return self.stages(x)


class Decoder(nn.Module):
    """Match target and reference, then refine with skips from the target stream (sec. 3.1)."""

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
        """Features of both streams, B×2048×H/32×W/32 -> B×256×H/32×W/32."""
        match = self.GC(torch.cat([target, reference], dim=1))
        residual: Tensor = self.convG2(F.relu(self.convG1(F.relu(match))))
        matched: Tensor = match + residual
        return matched

    def forward(self, target: FrameFeatures, m5: Tensor) -> PyramidLogits:
        """Target features and what `match` gave -> logits at each stride."""
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
    """Coarse features at twice the size, joined with a skip; a residual block before and after."""

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
