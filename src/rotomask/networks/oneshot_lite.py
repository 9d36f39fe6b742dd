"""oneshot-lite: an appearance network on the light backbone, to be fine-tuned on one frame.

The idea of Caelles et al. 2017 (OSVOS) for a plain CPU: EfficientNet-Lite0 sees a frame once, and
fine-tuning changes the decoder alone, so that the features of the annotated frame and its augmented
views are computed once. With `pooling` its deepest features pass a pyramid pooling module (Zhao et
al. 2017, PSPNet), the light form of the network in section 2 of the DAVIS-2017 report.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_decoder import PyramidDecoder, upsample_logits
from rotomask.networks.osvos import SideLogits


@dataclass(frozen=True, kw_only=True)
class OneShotLiteConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int, int] = (128, 96, 48)
    """Width of the decoder at strides 16, 8 and 4."""
    pooling: bool = True
    """Whether the deepest features are pooled over parts of the frame (PSPNet)."""
    sides: bool = True
    """Whether strides 16 and 8 have outputs of their own, for deep supervision."""


class AppearanceFeatures(NamedTuple):
    """What the encoder knows of B frames: all that fine-tuning needs of them."""

    pyramid: Pyramid
    deep: Tensor
    """B×192×H/32×W/32."""


class OneShotLite(nn.Module):
    """The network: tensors in, tensors out."""

    stride = 32

    def __init__(self, config: OneShotLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or OneShotLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=True)
        self.decoder = AppearanceDecoder(self.config)

    def forward(self, image: Tensor) -> SideLogits:
        """Foreground logits of RGB images B×3×H×W, 0..1, sides multiples of 32."""
        logits: SideLogits = self.decoder(self.encode(image))
        return logits

    def encode(self, image: Tensor) -> AppearanceFeatures:
        """Features of RGB images B×3×H×W, 0..1."""
        pyramid = self.encoder(image)
        return AppearanceFeatures(pyramid, self.encoder.deepen(pyramid))


class AppearanceDecoder(PyramidDecoder):
    """From the encoder's features to foreground logits, coarse to fine."""

    def __init__(self, config: OneShotLiteConfig) -> None:
        super().__init__(STRIDE32_CHANNELS, config.decoder_channels, pooling=config.pooling)
        d16, d8, d4 = config.decoder_channels
        self.predict = nn.Conv2d(d4, 1, 3, padding=1)
        widths = (d16, d8) if config.sides else ()
        self.side = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)

    def forward(self, features: AppearanceFeatures) -> SideLogits:
        """Features -> logits at the images' size, B×1×H×W float32."""
        pyramid, deep = features
        x16, x8, x4 = self.decode(pyramid, deep)
        height, width = pyramid.stride4.shape[-2:]
        size = (height * 4, width * 4)
        fused = upsample_logits(self.predict(F.relu(x4)), size)
        sides = [
            upsample_logits(head(F.relu(x)), size)
            for head, x in zip(self.side, (x16, x8), strict=False)
        ]
        return SideLogits(fused, tuple(sides))
