"""detector-lite: a class-agnostic, anchor-free object detector on the light backbone.

Objects are peaks of a heat map of box centres (Zhou et al. 2019, CenterNet); each cell also
predicts its distances to the four sides of the box (Tian et al. 2019, FCOS). There are no classes:
it is trained on masks of objects of any kind.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0
from rotomask.networks.layers.prediction_head import PredictionHead
from rotomask.networks.stm_lite import Upsample

INITIAL_CENTRE_LOGIT = -4.0
"""Initial bias of the centre map, probability 0.018: few cells are centres (Lin et al. 2017)."""
INITIAL_LOG_REACH = 1.5
"""Initial bias of the reach, logarithm of cells: about 36 px."""
LARGEST_LOG_REACH = 5.0
"""Upper limit of the reach, logarithm of cells: 1,187 px. The exponential cannot overflow."""


@dataclass(frozen=True, kw_only=True)
class DetectorLiteConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int] = (112, 80)
    """Width of the decoder at strides 16 and 8."""


class BoxMaps(NamedTuple):
    """Outputs of the network for B images, at stride 8."""

    centre: Tensor
    """Logit that a cell is the centre of an object's box, B×h×w float32."""
    reach: Tensor
    """Distances from the cell's centre to the left, top, right and bottom side of the box,
    B×4×h×w float32, px."""


class DetectorLite(nn.Module):
    """The detector network: images to maps of box centres and box sides."""

    stride = 8
    multiple = 32
    """The height and width of the input must be multiples of this."""

    def __init__(self, config: DetectorLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or DetectorLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=True)
        _, c8, c16 = self.encoder.channels
        d16, d8 = self.config.decoder_channels
        self.scene = nn.Linear(STRIDE32_CHANNELS, STRIDE32_CHANNELS)
        self.up16 = Upsample(STRIDE32_CHANNELS, c16, d16)
        self.up8 = Upsample(d16, c8, d8)
        self.centre = PredictionHead(d8, 1)
        self.reach = PredictionHead(d8, 4)
        nn.init.constant_(_bias(self.centre), INITIAL_CENTRE_LOGIT)
        nn.init.constant_(_bias(self.reach), INITIAL_LOG_REACH)

    def forward(self, image: Tensor) -> BoxMaps:
        """Centre logits and reaches for RGB images B×3×H×W, float 0..1, sides multiples of 32."""
        pyramid = self.encoder(image)
        # B×192×H/32×W/32.
        deep = self.encoder.deepen(pyramid)
        # Add a projection of the global mean, B×192×1×1, to every cell: the box of an object larger
        # than the receptive field depends on the whole frame.
        deep = deep + self.scene(deep.mean((2, 3)))[:, :, None, None]
        x = self.up8(self.up16(deep, pyramid.stride16), pyramid.stride8)
        # The head predicts the logarithm of the reach in cells, so reaches are positive.
        reach = self.reach(x).float().clamp(max=LARGEST_LOG_REACH).exp() * self.stride
        return BoxMaps(self.centre(x)[:, 0].float(), reach)


def boxes_at_cells(reach: Tensor, stride: int) -> Tensor:
    """Boxes predicted at every cell, B×h×w×4: x0, y0, x1, y1 in px of the image.

    Args:
        reach: Distances to the four sides, B×4×h×w, px, as in `BoxMaps`.
        stride: Side of a cell, px.
    """
    # 1×w and h×1, which broadcast against B×h×w below.
    x, y = cell_centres(reach.shape[-2], reach.shape[-1], stride, reach.device)
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], -1)


def cell_centres(
    height: int, width: int, stride: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Coordinates of the centres of h×w cells: x of shape 1×w and y of shape h×1, px."""
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    return x[None], y[:, None]


def _bias(head: PredictionHead) -> Tensor:
    assert head.predict.bias is not None
    return head.predict.bias
