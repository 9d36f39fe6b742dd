"""flow-lite: a small optical flow network, pyramid, warping and local correlation.

After PWC-Net (Sun et al. 2018): features of both frames at falling resolution; from the coarsest
level to the finest, the second frame's features are warped by the flow so far, compared with the
first's within a window, and a few convolutions say how the flow changes. Ours differs so that a
quarter of an hour of one core trains it: what is compared are features of an ImageNet backbone, at
the fine levels beside shallow ones of its own; each level starts from the mean displacement under
the softmax of the similarities, and learns how far to trust it; levels 32 to 8 share their weights
(Hur and Roth 2019). The last step, from stride 4 to pixels, mixes nine neighbours by learnt weights
(Teed and Deng 2020, RAFT, sec. 3.3), not across an edge. The levels from stride 8 on may start from
the flow of another estimator and make it better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.layers.local_correlation import displacements, local_correlation

STAGES = 4
"""Stages of the backbone that are used: strides 2, 4, 8 and 16."""
STAGE_CHANNELS = (16, 24, 40, 80)
STRIDES = (32, 16, 8, 4)
"""From the coarsest level to the finest."""
FINEST = 4
START_STRIDE = 8
NEIGHBOURS = 9
EPSILON = 1e-4


@dataclass(frozen=True, kw_only=True)
class FlowLiteConfig:
    """The shape of the network."""

    match_channels: int = 32
    """Of the features that are compared."""
    shallow_channels: int = 32
    """Of the shallow features beside the backbone's at strides 8 and 4."""
    context_channels: int = 32
    """Of the features of the first frame that help to decide."""
    radius: int = 4
    """Of the window at strides 32, 16 and 8, in pixels of that level."""
    fine_radius: int = 3
    """At stride 4."""
    width: int = 64
    """Of the convolutions at strides 32, 16 and 8."""
    fine_width: int = 48
    """At stride 4."""

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1:
            raise OptionError(f"channels, radii and widths of flow-lite are 1 or more, got {self}")


class FlowLite(nn.Module):
    """The network: two images in, flow out."""

    multiple = STRIDES[0]
    """Sides of the input are multiples of it."""

    def __init__(self, config: FlowLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowLiteConfig()
        c = self.config
        self.encoder = FlowEncoder()
        self.shallow = ShallowFeatures(c.shallow_channels)
        _, c4, c8, c16 = STAGE_CHANNELS
        beside = c.shallow_channels
        channels = {"32": c16, "16": c16, "8": c8 + beside, "4": c4 + beside}
        self.match = nn.ModuleDict(
            {k: nn.Conv2d(n, c.match_channels, 1, bias=False) for k, n in channels.items()}
        )
        self.context = nn.ModuleDict(
            {k: nn.Conv2d(n, c.context_channels, 1) for k, n in channels.items()}
        )
        self.coarse = FlowUpdate(c.radius, c.context_channels, c.width, trust=0.5)
        # Near the truth already, the mean over a window says less.
        self.fine = FlowUpdate(c.fine_radius, c.context_channels, c.fine_width, trust=0.1)
        self.upsample = ConvexUpsample(self.fine.hidden_channels, 4 * STAGE_CHANNELS[0])

    def forward(self, first: Tensor, second: Tensor, start: "Start | None" = None) -> Tensor:
        """The flow from the first to the second, B×2×H×W, px.

        Args:
            first: RGB images, B×3×H×W, float 0..1, sides multiples of 32.
            second: The same.
            start: Flow that is known already and to be made better.
        """
        return self.levels(first, second, start)[-1]

    def levels(self, first: Tensor, second: Tensor, start: "Start | None" = None) -> list[Tensor]:
        """The flow of every level, in pixels of the input: B×2×H/s×W/s, s 32, 16, 8, 4, then 1.

        Where a start is given for all pairs, the levels before it are left out.
        """
        both = torch.cat([first, second])
        half, *deep = self.encoder(both)
        near = self.shallow(both)
        maps = {
            4: torch.cat([standardise(deep[0]), near[0].float()], 1),
            8: torch.cat([standardise(deep[1]), near[1].float()], 1),
            16: standardise(deep[2]),
            32: standardise(F.avg_pool2d(deep[2], 2)),
        }
        strides = STRIDES if start is None or start.part is not None else STRIDES[2:]
        size = (first.shape[2] // strides[0], first.shape[3] // strides[0])
        flow = torch.zeros((len(first), 2, *size), device=first.device)
        hidden, found = flow, []
        for stride in strides:
            if stride != strides[0]:
                # Each level learns from its own error: what comes from above is taken as given.
                flow = 2 * F.interpolate(flow.detach(), scale_factor=2, mode="bilinear")
            if start is not None and stride == START_STRIDE:
                flow = start.take(flow)
            update = self.fine if stride == FINEST else self.coarse
            match, context = self.match[str(stride)], self.context[str(stride)]
            here, there = unit_features(match(maps[stride])).chunk(2)
            known = context(maps[stride][: len(first)])
            hidden, change = update(here, warp(there, flow), known, flow)
            flow = flow + change
            found.append(flow * stride)
        detail = F.pixel_unshuffle(standardise(half[: len(first)]), 2)
        return [*found, self.upsample(flow, hidden, detail)]


@dataclass(frozen=True)
class Start:
    """Flow of another estimator, from which the network goes on at stride 8."""

    flow: Tensor
    """B×2×H×W, px."""
    part: Tensor | None = None
    """B, 0 or 1, in training: the pairs that start from it; None: all."""

    def take(self, flow: Tensor) -> Tensor:
        """The start in place of a flow at stride 8, in its pixels, where it is to be taken."""
        given = F.avg_pool2d(self.flow, START_STRIDE) / START_STRIDE
        return (
            given if self.part is None else torch.lerp(flow, given, self.part[:, None, None, None])
        )


class FlowEncoder(nn.Module):
    """The first stages of the light backbone; parameters named as there."""

    def __init__(self) -> None:
        super().__init__()
        whole = EfficientNetLite0()
        self.stem = whole.stem
        self.stages = whole.stages[:STAGES]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at strides 2, 4, 8 and 16 of RGB images B×3×H×W, 0..1."""
        x = self.stem(EfficientNetLite0.normalize(image))
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def load_imagenet(self, published: dict[str, Tensor]) -> None:
        """Take the ImageNet weights; see `EfficientNetLite0.load_imagenet`."""
        whole = EfficientNetLite0()
        whole.load_imagenet(published)
        state = whole.state_dict()
        self.load_state_dict({name: state[name] for name in self.state_dict()})


class ShallowFeatures(nn.Module):
    """Trained features at strides 4 and 8: what a backbone for classes has no use for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(16, channels, 3, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )
        self.deeper = nn.Sequential(
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """B×C×H/4×W/4 and B×C×H/8×W/8 of RGB images B×3×H×W, whatever their light."""
        fine: Tensor = self.stem(standardise(image))
        return fine, self.deeper(fine)


class FlowUpdate(nn.Module):
    """How the flow of a level changes, from what is alike within the window."""

    hidden_channels = 32

    def __init__(self, radius: int, context_channels: int, width: int, *, trust: float) -> None:
        """`trust`: the part of the mean displacement that is taken before anything is learnt."""
        super().__init__()
        self.radius = radius
        self.sharpness = nn.Parameter(torch.tensor(0.2))
        """Of the softmax, in hundreds, so that it learns as fast as the other weights."""
        self.register_buffer("offsets", displacements(radius), persistent=False)
        self.offsets: Tensor
        c_in = (2 * radius + 1) ** 2 + context_channels + 4
        sizes = ((c_in, width, 1), (width, width, 1), (width, width, 2), (width, width, 4))
        layers: list[nn.Module] = []
        for a, b, dilation in (*sizes, (width, self.hidden_channels, 1)):
            layers += [nn.Conv2d(a, b, 3, padding=dilation, dilation=dilation)]
            layers += [nn.LeakyReLU(0.1, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.predict = nn.Conv2d(self.hidden_channels, 3, 3, padding=1)
        # At first the change is what the similarities say alone.
        nn.init.zeros_(self.predict.weight)
        assert self.predict.bias is not None
        with torch.no_grad():
            self.predict.bias.copy_(torch.tensor([0.0, 0.0, math.log(trust / (1 - trust))]))

    def forward(
        self, first: Tensor, second: Tensor, context: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Hidden features B×32×h×w, and the change of the flow B×2×h×w, pixels of the level.

        Args:
            first: Unit features of the first frame, B×C×h×w.
            second: Those of the second, warped by the flow.
            context: Of the first frame.
            flow: So far.
        """
        with torch.autocast(flow.device.type, enabled=False):
            alike = local_correlation(first.float(), second.float(), self.radius)
            chance = torch.softmax(100 * self.sharpness * alike, 1)
            mean = torch.einsum("bkhw,kc->bchw", chance, self.offsets)
        # Flow in parts of the window is of the size of the other inputs.
        known = torch.cat([alike, context, mean / self.radius, flow / (8 * self.radius)], 1)
        hidden = self.body(known)
        said = self.predict(hidden).float()
        return hidden, torch.sigmoid(said[:, 2:]) * mean + said[:, :2]


class ConvexUpsample(nn.Module):
    """Flow at stride 4 to pixels: each is a mean of nine neighbours, by learnt weights."""

    def __init__(self, hidden_channels: int, detail_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(hidden_channels + detail_channels, 48, 1)
        self.weigh = nn.Conv2d(48, NEIGHBOURS * FINEST**2, 1)
        nn.init.zeros_(self.weigh.weight)
        assert self.weigh.bias is not None
        with torch.no_grad():  # at first the weights are those of bilinear interpolation
            self.weigh.bias.copy_((bilinear_weights() + 1e-3).log().flatten())

    def forward(self, flow: Tensor, hidden: Tensor, detail: Tensor) -> Tensor:
        """B×2×h×w in pixels of stride 4 -> B×2×4h×4w in pixels."""
        mixed = F.leaky_relu(self.mix(torch.cat([hidden, detail], 1)), 0.1)
        weights = self.weigh(mixed).float().unflatten(1, (NEIGHBOURS, FINEST**2)).softmax(1)
        around = F.unfold(F.pad(FINEST * flow, (1,) * 4, mode="replicate"), 3)
        around = around.unflatten(1, (2, NEIGHBOURS)).unflatten(3, flow.shape[2:])
        fine = torch.einsum("bnkhw,bcnhw->bckhw", weights, around)
        return F.pixel_shuffle(fine.flatten(1, 2), FINEST)


def bilinear_weights() -> Tensor:
    """The part of each of nine neighbours in each of 4×4 pixels of a cell, 9×16."""
    centre = (torch.arange(FINEST) + 0.5) / FINEST - 0.5
    near = (1 - (centre[None] - torch.tensor([-1.0, 0.0, 1.0])[:, None]).abs()).clamp_min(0)
    return torch.einsum("ay,bx->abyx", near, near).reshape(NEIGHBOURS, FINEST**2)


def standardise(x: Tensor) -> Tensor:
    """Each channel of each picture with mean 0 and variance 1, float32."""
    x = x.float()
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPSILON)


def unit_features(x: Tensor) -> Tensor:
    """Each pixel's features with length 1, float32: their product is a cosine."""
    return F.normalize(x.float(), dim=1, eps=EPSILON)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """B×C×h×w at p + flow(p), flow B×2×h×w in its pixels; 0 beyond the border."""
    height, width = x.shape[2:]
    across = torch.arange(width, device=x.device, dtype=torch.float32) + flow[:, 0]
    down = torch.arange(height, device=x.device, dtype=torch.float32)[:, None] + flow[:, 1]
    # Pixel centres, as `align_corners=False` has them: sides of one pixel are no special case.
    grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], -1)
    return F.grid_sample(x, grid, mode="bilinear", align_corners=False)


def end_point_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Length of the difference at every pixel, B×H×W, px; both B×2×H×W."""
    error: Tensor = torch.linalg.vector_norm(flow - truth, dim=1)
    return error


def level_weights(levels: int) -> Sequence[float]:
    """Of each level in the loss, coarsest first: 1 for the finest, 0.6 of it a level above."""
    return [0.6 ** (levels - 1 - k) for k in range(levels)]
