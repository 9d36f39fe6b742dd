"""edges-lite (HED-PSPNet): holistically nested edge detection on the light PSPNet.

Xie and Tu 2015 (HED): every stride has a side output of edges, each supervised by class-balanced
cross-entropy, and a learned 1×1 convolution fuses them. HED takes its side outputs from the stages
of a VGG-16; this network takes them from a light PSPNet, after the DAVIS-2017 report on OSVOS,
PSPNet, edges and flow. Edges are object outlines: they separate an object from the background and
from other objects. A foreground output masks the motion edges of `edges.motion_edges`.

The report expects that training with flow as input works better than merging motion edges by hand.
With ``flow=True`` a small encoder of the stabilised flow adds to the image's features, through
convolutions that are initialised to zero.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0, Pyramid
from rotomask.networks.layers.pyramid_decoder import PyramidDecoder, upsample_logits

FLOW_CHANNELS = 3
"""Channels of the flow input: x, y and length, from `edges.motion_edges.flow_channels`."""
FLOW_WIDTHS = (24, 40, 48)
"""Channels of the flow encoder at strides 4, 8 and 16."""


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int, int] = (96, 64, 48)
    """Width of the decoder at strides 16, 8 and 4."""
    flow: bool = False
    """Use optical flow as a second input."""


class EdgeLogits(NamedTuple):
    """Outputs of the network for images B×3×H×W, each B×1×H×W float32."""

    fused: Tensor
    """Logits of edges, fused from the side outputs."""
    sides: tuple[Tensor, ...]
    """Logits of edges from strides 16, 8 and 4, for deep supervision."""
    foreground: Tensor
    """Logits of any object."""


class HEPSPNet(nn.Module):
    """The edge network: images, and optionally flow, to logits of edges and foreground."""

    def __init__(self, config: EdgeConfig | None = None) -> None:
        super().__init__()
        self.config = config or EdgeConfig()
        self.encoder = EfficientNetLite0()
        widths = self.config.decoder_channels
        self.decoder = PyramidDecoder(self.encoder.channels[-1], widths)
        self.flow_encoder = FlowEncoder() if self.config.flow else None
        self.side = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)
        nn.init.constant_(self.fuse.weight, 1 / len(widths))  # HED's initialisation: the mean
        self.foreground = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, image: Tensor, flow: Tensor | None = None) -> EdgeLogits:
        """Edge and foreground logits.

        Args:
            image: RGB images, B×3×H×W, float 0..1, sides multiples of 16.
            flow: Output of `flow_channels`, B×3×H×W; None if there is no flow. Ignored by a network
                without ``flow``.
        """
        pyramid: Pyramid = self.encoder(image)
        if self.flow_encoder is not None and flow is not None:
            pyramid = self.flow_encoder(flow, pyramid)
        decoded = [F.relu(x) for x in self.decoder.decode(pyramid, pyramid.stride16)]  # 16, 8, 4
        size = (image.shape[-2], image.shape[-1])
        # Full size before they are fused, as in HED: the fusion weighs logits, each 1×1.
        sides = [upsample_logits(head(x), size) for head, x in zip(self.side, decoded, strict=True)]
        fused = self.fuse(torch.cat(sides, 1)).float()  # B×3×H×W -> B×1×H×W
        foreground = upsample_logits(self.foreground(decoded[-1]), size)
        return EdgeLogits(fused, tuple(sides), foreground)


class FlowEncoder(nn.Module):
    """Encode flow and add it to the image's features; untrained, it adds zero."""

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
        """The pyramid plus the features of the flow channels B×3×H×W, at the same shapes."""
        x = F.relu(self.stem(flow))
        joined = []
        steps = (self.to_stride4, self.to_stride8, self.to_stride16)
        for step, join, features in zip(steps, self.join, pyramid, strict=True):
            x = F.relu(step(x))
            joined.append(features + join(x))
        return Pyramid(*joined)
