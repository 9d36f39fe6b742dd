"""STM on Refine-50.

Yu et al. 2019, "Towards good practices for video object segmentation": the space-time memory
network with a backbone that handles objects of very different size. Here both ResNet-50 go on to
stride 32, and their features of all four strides are refined together before keys, values and
decoder see them; nothing else differs from `STM`. The paper does not describe the backbone:
`docs/refine-50.md` has our reading.
"""

from dataclasses import dataclass

from torch import Tensor

from rotomask.networks.layers.resnet import EXPANSION, RESNET50_STAGES
from rotomask.networks.layers.scale_refinement import ScaleRefinement
from rotomask.networks.stm import STM, MemoryEncoder, QueryEncoder, STMConfig

CHANNELS = tuple(width * EXPANSION for width, _, _ in RESNET50_STAGES)


@dataclass(frozen=True, kw_only=True)
class STMRefine50Config(STMConfig):
    """The shape of the network."""

    refine_channels: int = 256
    """Common width of the strides while they are refined."""


class STMRefine50(STM):
    """The network: tensors in, tensors out, as `STM`."""

    stride = 32

    def __init__(self, config: STMRefine50Config | None = None) -> None:
        config = config or STMRefine50Config()
        super().__init__(config)
        self.Encoder_M = RefinedMemoryEncoder(config.refine_channels)
        self.Encoder_Q = RefinedQueryEncoder(config.refine_channels)


class RefinedQueryEncoder(QueryEncoder):
    """Features of the frame being segmented, at strides 4, 8 and 16."""

    def __init__(self, width: int) -> None:
        super().__init__(last_stage=5)
        self.refinement = ScaleRefinement(CHANNELS, width, refined=(0, 1, 2))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Of `ResNet50` the first three, refined by all four."""
        refined: list[Tensor] = self.refinement(super().stages(x))
        return refined


class RefinedMemoryEncoder(MemoryEncoder):
    """Features of a frame with one object's mask and the other objects', at stride 16."""

    def __init__(self, width: int) -> None:
        super().__init__(last_stage=5)
        self.refinement = ScaleRefinement(CHANNELS, width, refined=(2,))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Of `ResNet50` the third, refined by all four."""
        refined: list[Tensor] = self.refinement(super().stages(x))
        return refined
