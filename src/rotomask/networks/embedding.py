"""The instance-embedding network: for every pixel, which instance it is of and whether of any.

Fathi et al. 2017 and Li et al. 2018 (instance embedding transfer), sec. 3.1, on the light backbone.
Trained on still images alone; what finds the object of a video in its output is `unsupervised/`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0
from rotomask.networks.stm_lite import Upsample


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """The shape of the network."""

    embedding_channels: int = 32
    """Dimensions of the embedding; 64 in the paper."""
    decoder_channels: tuple[int, int, int] = (128, 80, 48)
    """Width of the decoder at strides 16, 8 and 4."""

    def __post_init__(self) -> None:
        if self.embedding_channels < 1:
            raise OptionError(f"an embedding has 1 channel or more, got {self.embedding_channels}")


class EmbeddingMaps(NamedTuple):
    """What the network says of B frames, at stride 4."""

    embedding: Tensor
    """B×E×H/4×W/4; pixels of one instance are near each other."""
    objectness: Tensor
    """B×H/4×W/4: logit of being part of any object."""


class EmbeddingNet(nn.Module):
    """The network: tensors in, tensors out."""

    stride = 4
    multiple = 32
    """Sides of the input are multiples of it."""

    def __init__(self, config: EmbeddingConfig | None = None) -> None:
        super().__init__()
        self.config = config or EmbeddingConfig()
        self.encoder = EfficientNetLite0(with_stride32=True)
        c4, c8, c16 = self.encoder.channels
        d16, d8, d4 = self.config.decoder_channels
        self.scene = nn.Linear(STRIDE32_CHANNELS, STRIDE32_CHANNELS)
        self.up16 = Upsample(STRIDE32_CHANNELS, c16, d16)
        self.up8 = Upsample(d16, c8, d8)
        self.up4 = Upsample(d8, c4, d4)
        self.embed = Head(d4, self.config.embedding_channels)
        self.detect = Head(d4, 1)

    def forward(self, image: Tensor) -> EmbeddingMaps:
        """Maps of RGB images B×3×H×W, float 0..1, sides multiples of 32; float32."""
        pyramid = self.encoder(image)
        deep = self.encoder.deepen(pyramid)
        # What the whole frame shows decides what counts as an object in it.
        deep = deep + self.scene(deep.mean((2, 3)))[:, :, None, None]
        x = self.up16(deep, pyramid.stride16)
        x = self.up4(self.up8(x, pyramid.stride8), pyramid.stride4)
        return EmbeddingMaps(self.embed(x).float(), self.detect(x)[:, 0].float())


class Head(nn.Module):
    """From shared features to one output."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.predict = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w -> B×C'×h×w."""
        predicted: Tensor = self.predict(F.relu(self.mix(F.relu(x))))
        return predicted
