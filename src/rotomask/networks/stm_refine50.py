"""STM with the Refine-50 backbone.

Yu et al. 2019, "Towards good practices for video object segmentation": STM with a backbone for
objects of very different sizes. The paper does not describe the backbone;
`docs/papers/refine-50.md` explains this interpretation: both ResNet-50 encoders go down to stride
32, and scale refinement mixes the features of all four strides before they are used. The rest is
`STM`.
"""

from dataclasses import dataclass

from torch import Tensor

from rotomask.networks.layers.resnet import EXPANSION, RESNET50_STAGES
from rotomask.networks.layers.scale_refinement import ScaleRefinement
from rotomask.networks.stm import STM, MemoryEncoder, QueryEncoder, STMConfig

CHANNELS = tuple(width * EXPANSION for width, _, _ in RESNET50_STAGES)
"""Channels of ResNet-50's features at strides 4, 8, 16 and 32."""


@dataclass(frozen=True, kw_only=True)
class STMRefine50Config(STMConfig):
    """The shape of the network."""

    refine_channels: int = 256
    """Common number of channels in scale refinement."""


class STMRefine50(STM):
    """STM with refined encoders; the interface is that of `STM`."""

    stride = 32

    def __init__(self, config: STMRefine50Config | None = None) -> None:
        config = config or STMRefine50Config()
        super().__init__(config)
        self.Encoder_M = RefinedMemoryEncoder(config.refine_channels)
        self.Encoder_Q = RefinedQueryEncoder(config.refine_channels)


class RefinedQueryEncoder(QueryEncoder):
    """Refined features of the query frame at strides 4, 8 and 16."""

    def __init__(self, width: int) -> None:
        super().__init__(last_stage=5)
        self.refinement = ScaleRefinement(CHANNELS, width, refined=(0, 1, 2))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Features at strides 4, 8 and 16, refined with those of all four strides."""
        refined: list[Tensor] = self.refinement(super().stages(x))
        return refined


class RefinedMemoryEncoder(MemoryEncoder):
    """Refined features at stride 16 of a memory frame with masks."""

    def __init__(self, width: int) -> None:
        super().__init__(last_stage=5)
        self.refinement = ScaleRefinement(CHANNELS, width, refined=(2,))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Features at stride 16, refined with those of all four strides."""
        refined: list[Tensor] = self.refinement(super().stages(x))
        return refined
