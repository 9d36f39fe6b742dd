"""edges-lite: holistically nested object edges on the light PSPNet, with or without flow.

Xie and Tu 2015 (HED): every stride has an edge output of its own, each supervised by class-balanced
cross-entropy, fused by a learned 1×1 convolution. Their sides come from the stages of a VGG-16;
here, as the DAVIS-2017 report on OSVOS, PSPNet, edges and flow puts it, from a PSPNet, in its light
form. Edges are object outlines: what separates an object from the rest and from the next object. A
foreground output beside them masks the motion edges of `edges.motion_edges`.

The report guesses that training with flow as input performs better than merging by hand. With
`flow` a small encoder of the flow less the camera's motion is added to the image's features,
through filters that start at zero.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_decoder import PyramidDecoder, upsample_logits

FLOW_CHANNELS = 3
"""What `edges.motion_edges.flow_channels` gives."""
FLOW_WIDTHS = (24, 40, 48)
"""Width of the flow's encoder at strides 4, 8 and 16."""


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int, int] = (96, 64, 48)
    """Width of the decoder at strides 16, 8 and 4."""
    flow: bool = False
    """Whether it sees flow beside the image."""


class EdgeLogits(NamedTuple):
    """What the network says of images B×3×H×W, each B×1×H×W float32."""

    fused: Tensor
    """The edges."""
    sides: tuple[Tensor, ...]
    """Those of strides 16, 8 and 4 by themselves, for deep supervision."""
    foreground: Tensor


class HEPSPNet(nn.Module):
    """The network: tensors in, tensors out."""

    def __init__(self, config: EdgeConfig | None = None) -> None:
        super().__init__()
        self.config = config or EdgeConfig()
        self.encoder = EfficientNetLite0()
        widths = self.config.decoder_channels
        self.decoder = PyramidDecoder(self.encoder.channels[-1], widths)
        self.flow_encoder = FlowEncoder() if self.config.flow else None
        self.side = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)
        nn.init.constant_(self.fuse.weight, 1 / len(widths))  # as HED starts
        self.foreground = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, image: Tensor, flow: Tensor | None = None) -> EdgeLogits:
        """Edge and foreground logits.

        Args:
            image: RGB, B×3×H×W, 0..1, sides multiples of 16.
            flow: B×3×H×W, as `flow_channels` has them; None: nothing is known of motion. A network
                without flow does not look at it.
        """
        pyramid: Pyramid = self.encoder(image)
        if self.flow_encoder is not None and flow is not None:
            pyramid = self.flow_encoder(flow, pyramid)
        decoded = [F.relu(x) for x in self.decoder.decode(pyramid, pyramid.stride16)]
        size = (image.shape[-2], image.shape[-1])
        sides = [upsample_logits(head(x), size) for head, x in zip(self.side, decoded, strict=True)]
        fused = self.fuse(torch.cat(sides, 1)).float()
        foreground = upsample_logits(self.foreground(decoded[-1]), size)
        return EdgeLogits(fused, tuple(sides), foreground)


class FlowEncoder(nn.Module):
    """Features of the flow, added to the image's; at first nothing is added."""

    def __init__(self) -> None:
        super().__init__()
        w4, w8, w16 = FLOW_WIDTHS
        self.stem = nn.Conv2d(FLOW_CHANNELS, 16, 5, stride=2, padding=2)
        self.to_stride4 = nn.Conv2d(16, w4, 3, stride=2, padding=1)
        self.to_stride8 = nn.Conv2d(w4, w8, 3, stride=2, padding=1)
        self.to_stride16 = nn.Conv2d(w8, w16, 3, stride=2, padding=1)
        self.join = nn.ModuleList(
            nn.Conv2d(width, channels, 1)
            for width, channels in zip(FLOW_WIDTHS, EfficientNetLite0.channels, strict=True)
        )
        for layer in self.join:
            assert isinstance(layer, nn.Conv2d)
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, flow: Tensor, pyramid: Pyramid) -> Pyramid:
        """The pyramid with what B×3×H×W flow channels add to it."""
        x = F.relu(self.stem(flow))
        joined = []
        steps = (self.to_stride4, self.to_stride8, self.to_stride16)
        for step, join, features in zip(steps, self.join, pyramid, strict=True):
            x = F.relu(step(x))
            joined.append(features + join(x))
        return Pyramid(*joined)
