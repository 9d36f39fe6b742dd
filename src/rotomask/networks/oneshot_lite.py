"""oneshot-lite: OSVOS on the light backbone, fine-tuned on one annotated frame on a CPU.

One-shot fine-tuning as in Caelles et al. 2017 (OSVOS), but only the decoder is trained: the
features of the annotated frame and its augmented views are then computed only once, by
EfficientNet-Lite0. With ``pooling`` the deepest features pass through pyramid pooling (Zhao et al.
2017, PSPNet), a light form of the network in section 2 of the DAVIS-2017 report on OSVOS, PSPNet,
edges and flow.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_decoder import PyramidDecoder, upsample_logits
from rotomask.networks.osvos import SideLogits


@dataclass(frozen=True, kw_only=True)
class OneShotLiteConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int, int] = (128, 96, 48)
    """Width of the decoder at strides 16, 8 and 4."""
    pooling: bool = True
    """Apply pyramid pooling to the deepest features (PSPNet)."""
    sides: bool = True
    """Add side outputs at strides 16 and 8, for deep supervision."""


class AppearanceFeatures(NamedTuple):
    """The encoder's output for B frames: the input of the decoder, which fine-tuning trains."""

    pyramid: Pyramid
    """Features at strides 4, 8 and 16."""
    deep: Tensor
    """B×192×H/32×W/32."""


class OneShotLite(nn.Module):
    """The appearance network: images to foreground logits."""

    stride = 32
    """The height and width of the input must be multiples of this."""

    def __init__(self, config: OneShotLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or OneShotLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=True)
        self.decoder = AppearanceDecoder(self.config)

    def forward(self, image: Tensor) -> SideLogits:
        """Foreground logits of RGB images B×3×H×W, 0..1, sides multiples of 32."""
        logits: SideLogits = self.decoder(self.encode(image))
        return logits

    def trainable_part(self) -> "AppearanceDecoder":
        """The part that fine-tuning trains: the decoder; its input is what `prepare` gives."""
        return self.decoder

    def prepare(self, image: Tensor) -> AppearanceFeatures:
        """Input of the trainable part for RGB images B×3×H×W, 0..1: the encoder's features."""
        return self.encode(image)

    def encode(self, image: Tensor) -> AppearanceFeatures:
        """Features of RGB images B×3×H×W, float 0..1, sides multiples of 32."""
        pyramid = self.encoder(image)
        return AppearanceFeatures(pyramid, self.encoder.deepen(pyramid))


class AppearanceDecoder(PyramidDecoder):
    """Decoder from the encoder's features to foreground logits, coarse to fine."""

    def __init__(self, config: OneShotLiteConfig) -> None:
        super().__init__(STRIDE32_CHANNELS, config.decoder_channels, pooling=config.pooling)
        d16, d8, d4 = config.decoder_channels
        self.predict = Conv2d(d4, 1, 3, padding=1)
        widths = (d16, d8) if config.sides else ()
        self.side = nn.ModuleList(Conv2d(width, 1, 1) for width in widths)

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Parameters and their learning rate, as an optimiser takes them: one rate for all."""
        return [{"params": list(self.parameters()), "lr": rate}]

    def forward(self, features: AppearanceFeatures) -> SideLogits:
        """Logits at the size of the images, each B×1×H×W float32."""
        pyramid, deep = features
        x16, x8, x4 = self.decode(pyramid, deep)
        # Only the finest features are fused into the output; side outputs exist for their losses.
        height, width = pyramid.stride4.shape[-2:]
        # The images' own, as sides are multiples of 32.
        size = (height * 4, width * 4)
        fused = upsample_logits(self.predict(F.relu(x4)), size)
        sides = [
            upsample_logits(head(F.relu(x)), size)
            for head, x in zip(self.side, (x16, x8), strict=False)  # no heads without ``sides``
        ]
        return SideLogits(fused, tuple(sides))
