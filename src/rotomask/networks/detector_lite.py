"""detector-lite: boxes of anything that is an object, on the light backbone, without anchors.

Objects are peaks of a heat map of centres (Zhou et al. 2019, CenterNet), and each place says how
far the box around it reaches to the four sides (Tian et al. 2019, FCOS). There are no classes: what
it learns from are masks of objects of any kind.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rotomask.networks.embedding import Head
from rotomask.networks.layers.efficientnet_lite import STRIDE32_CHANNELS, EfficientNetLite0
from rotomask.networks.stm_lite import Upsample

RARE = -4.0
"""Logit of a centre at first: most places are none (Lin et al. 2017, focal loss)."""
USUAL_REACH = 1.5
"""Logarithm of a box's reach at first, in cells: about 36 px."""
FARTHEST = 5.0
"""Of it at most: 1,187 px."""


@dataclass(frozen=True, kw_only=True)
class DetectorLiteConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int] = (112, 80)
    """Width of the decoder at strides 16 and 8."""


class BoxMaps(NamedTuple):
    """What the network says of B images, at stride 8."""

    centre: Tensor
    """B×h×w float32: logit of being the centre of an object's box."""
    reach: Tensor
    """B×4×h×w float32, px: from the middle of the cell to the left, top, right and bottom edge."""


class DetectorLite(nn.Module):
    """The network: tensors in, tensors out."""

    stride = 8
    multiple = 32
    """Sides of the input are multiples of it."""

    def __init__(self, config: DetectorLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or DetectorLiteConfig()
        self.encoder = EfficientNetLite0(with_stride32=True)
        _, c8, c16 = self.encoder.channels
        d16, d8 = self.config.decoder_channels
        self.scene = nn.Linear(STRIDE32_CHANNELS, STRIDE32_CHANNELS)
        self.up16 = Upsample(STRIDE32_CHANNELS, c16, d16)
        self.up8 = Upsample(d16, c8, d8)
        self.centre = Head(d8, 1)
        self.reach = Head(d8, 4)
        nn.init.constant_(_bias(self.centre), RARE)
        nn.init.constant_(_bias(self.reach), USUAL_REACH)

    def forward(self, image: Tensor) -> BoxMaps:
        """Maps of RGB images B×3×H×W, float 0..1, sides multiples of 32."""
        pyramid = self.encoder(image)
        deep = self.encoder.deepen(pyramid)
        # A large object's box is known where the whole frame is.
        deep = deep + self.scene(deep.mean((2, 3)))[:, :, None, None]
        x = self.up8(self.up16(deep, pyramid.stride16), pyramid.stride8)
        reach = self.reach(x).float().clamp(max=FARTHEST).exp() * self.stride
        return BoxMaps(self.centre(x)[:, 0].float(), reach)


def boxes_at_cells(reach: Tensor, stride: int) -> Tensor:
    """The box that each cell gives, B×h×w×4: x0, y0, x1, y1 in px of the image.

    Args:
        reach: B×4×h×w, px, as in `BoxMaps`.
        stride: Side of a cell, px.
    """
    x, y = cell_centres(reach.shape[-2], reach.shape[-1], stride, reach.device)
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], -1)


def cell_centres(
    height: int, width: int, stride: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Places of the middles of h×w cells: x of shape 1×w and y of h×1, px."""
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
    return x[None], y[:, None]


def _bias(head: Head) -> Tensor:
    assert head.predict.bias is not None
    return head.predict.bias
