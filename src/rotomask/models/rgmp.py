"""RGMP: reference-guided mask propagation.

Oh et al. 2018, "Fast video object segmentation by reference-guided mask propagation". One ResNet-50
sees the reference frame with its mask, and the frame being segmented with the mask of the frame
before; a global convolution matches the two, and a decoder refines the match. So the network both
detects what the reference shows and propagates where it was last.

Parameters bear the names of the authors' code, so that `checkpoints.load_into` takes their
`weights.pth` as it is.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.models.layers.resnet import ResNet50

CHANNELS = 256
KERNEL = 7


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

    def __init__(self) -> None:
        super().__init__()
        self.Encoder = Encoder()
        self.Decoder = Decoder()

    def encode(self, image: Tensor, masks: Tensor) -> FrameFeatures:
        """Features of a frame with each object's mask: the reference stream and the target stream.

        Args:
            image: RGB, 1×3×H×W for all objects or B×3×H×W, float 0..1, sides multiples of 32.
            masks: B×H×W, 0..1: the reference mask, or the probabilities of the frame before.

        Returns:
            Features of the B objects.
        """
        return FrameFeatures(*reversed(self.Encoder(image, masks)))

    def decode(self, target: FrameFeatures, reference: Tensor) -> Tensor:
        """Foreground logit: foreground minus background of the two published ones.

        Its sigmoid is the published softmax's foreground probability.

        Args:
            target: Of the frame being segmented, with the guidance masks.
            reference: `stride32` of the reference frame with its masks, of as many objects.

        Returns:
            B×H×W, float32.
        """
        pair = self.decode_pyramid(target, reference).stride4.float()
        pair = F.interpolate(pair, scale_factor=4, mode="bilinear", align_corners=False)
        return pair[:, 1] - pair[:, 0]

    def decode_pyramid(self, target: FrameFeatures, reference: Tensor) -> PyramidLogits:
        """Logits of background and foreground at every stride, as published."""
        logits: PyramidLogits = self.Decoder(target, reference)
        return logits


class Encoder(ResNet50):
    """Features of a frame with one mask in a fourth channel (sec. 3.1, Siamese encoder)."""

    def __init__(self) -> None:
        super().__init__(last_stage=5)
        self.conv1_p = nn.Conv2d(1, 64, 7, stride=2, padding=3)

    def forward(self, image: Tensor, masks: Tensor) -> list[Tensor]:
        """Images 1×3×H×W or B×3×H×W, masks B×H×W -> features at strides 4, 8, 16, 32."""
        x = self.conv1(self.normalize(image)) + self.conv1_p(masks[:, None])
        return self.stages(x)


class GlobalConvolution(nn.Module):
    """A large kernel from two pairs of thin ones (Peng et al. 2017)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_l1 = _conv(c_in, c_out, KERNEL, 1)
        self.conv_l2 = _conv(c_out, c_out, 1, KERNEL)
        self.conv_r1 = _conv(c_in, c_out, 1, KERNEL)
        self.conv_r2 = _conv(c_out, c_out, KERNEL, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w -> B×C'×h×w."""
        left: Tensor = self.conv_l2(self.conv_l1(x))
        right: Tensor = self.conv_r2(self.conv_r1(x))
        return left + right


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

    def forward(self, target: FrameFeatures, reference: Tensor) -> PyramidLogits:
        """Target features and the reference's B×2048×H/32×W/32 -> logits at each stride."""
        match = self.GC(torch.cat([target.stride32, reference], dim=1))
        m5 = match + self.convG2(F.relu(self.convG1(F.relu(match))))
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


def _conv(c_in: int, c_out: int, height: int = 3, width: int = 3) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, (height, width), padding=(height // 2, width // 2))
