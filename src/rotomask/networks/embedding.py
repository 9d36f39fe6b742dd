"""The instance-embedding network: an embedding and an objectness for every pixel.

Fathi et al. 2017 and Li et al. 2018 (instance embedding transfer), sec. 3.1, on the light backbone.
Pixels of one instance have similar embeddings. The network is trained on still images only;
`unsupervised/` uses its output to segment the objects of a video.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0
from rotomask.networks.layers.prediction_head import PredictionHead
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
            raise OptionError(
                f"embedding_channels must be at least 1, got {self.embedding_channels}"
            )


class EmbeddingMaps(NamedTuple):
    """Outputs of the network for B frames, at stride 4."""

    embedding: Tensor
    """B×E×H/4×W/4 float32; the embeddings of one instance's pixels are close to each other."""
    objectness: Tensor
    """Logit that a pixel belongs to any object, B×H/4×W/4 float32."""


class EmbeddingNet(nn.Module):
    """The embedding network: images to embeddings and objectness."""

    stride = 4
    multiple = 32
    """The height and width of the input must be multiples of this."""

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
        self.embed = PredictionHead(d4, self.config.embedding_channels)
        self.detect = PredictionHead(d4, 1)

    def forward(self, image: Tensor) -> EmbeddingMaps:
        """Embeddings and objectness of RGB images B×3×H×W, float 0..1, sides multiples of 32."""
        pyramid = self.encoder(image)
        deep = self.encoder.deepen(pyramid)
        # Add a projection of the global mean, B×192×1×1, to every cell: what counts as an object
        # depends on the rest of the frame.
        deep = deep + self.scene(deep.mean((2, 3)))[:, :, None, None]
        x = self.up16(deep, pyramid.stride16)
        x = self.up4(self.up8(x, pyramid.stride8), pyramid.stride4)
        return EmbeddingMaps(self.embed(x).float(), self.detect(x)[:, 0].float())
