"""flow-lite: a small optical flow network with a pyramid, warping and local correlation.

The structure is PWC-Net's (Sun et al. 2018): a feature pyramid of both frames; at each level, from
coarse to fine, the features of the second frame are warped by the current flow and correlated with
those of the first within a window, and a few convolutions predict an update of the flow.

Differences from PWC-Net, so that it trains in 15 minutes on one core:

- The correlated features come from an ImageNet backbone, plus shallow trained features at strides 8
  and 4.
- Each level's update starts from the soft-argmax of the correlation (the mean displacement under
  its softmax), scaled by a predicted confidence.
- The levels at strides 32, 16 and 8 share weights (Hur and Roth 2019).
- Upsampling from stride 4 is convex: each pixel is a weighted mean of nine neighbours, with learned
  weights that can stop at edges (Teed and Deng 2020, RAFT, sec. 3.3).

The levels at strides 8 and 4 can also refine the flow of another estimator (`InitialFlow`).
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
"""Number of backbone stages used: strides 2, 4, 8 and 16."""
STAGE_CHANNELS = (16, 24, 40, 80)
STRIDES = (32, 16, 8, 4)
"""Strides of the levels, from coarse to fine."""
FINEST = 4
"""Stride of the last level, which convex upsampling brings to pixels."""
START_STRIDE = 8
"""Stride at which the flow of another estimator is inserted."""
NEIGHBOURS = 9
EPSILON = 1e-4


@dataclass(frozen=True, kw_only=True)
class FlowLiteConfig:
    """The shape of the network."""

    match_channels: int = 32
    """Channels of the correlated features."""
    shallow_channels: int = 32
    """Channels of the trained shallow features at strides 8 and 4."""
    context_channels: int = 32
    """Channels of the first frame's features that each update sees."""
    radius: int = 4
    """Radius of the correlation window at strides 32, 16 and 8, in pixels of the level."""
    fine_radius: int = 3
    """Radius of the correlation window at stride 4, in pixels of the level."""
    width: int = 64
    """Channels of the update's convolutions at strides 32, 16 and 8."""
    fine_width: int = 48
    """Channels of the update's convolutions at stride 4."""

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1:
            raise OptionError(f"channels, radii and widths of flow-lite must be at least 1: {self}")


class FlowLite(nn.Module):
    """The optical flow network: two images to the flow between them."""

    multiple = STRIDES[0]
    """The height and width of the input must be multiples of this."""

    def __init__(self, config: FlowLiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or FlowLiteConfig()
        c = self.config
        self.encoder = FlowBackbone()
        self.shallow = ShallowFeatures(c.shallow_channels)
        _, c4, c8, c16 = STAGE_CHANNELS
        shallow = c.shallow_channels
        channels = {"32": c16, "16": c16, "8": c8 + shallow, "4": c4 + shallow}
        self.match = nn.ModuleDict(
            {k: nn.Conv2d(n, c.match_channels, 1, bias=False) for k, n in channels.items()}
        )
        self.context = nn.ModuleDict(
            {k: nn.Conv2d(n, c.context_channels, 1) for k, n in channels.items()}
        )
        self.coarse = FlowUpdate(c.radius, c.context_channels, c.width, trust=0.5)
        # At stride 4 the flow is already close to the truth and the soft-argmax over the window
        # says less: start with a low confidence in it.
        self.fine = FlowUpdate(c.fine_radius, c.context_channels, c.fine_width, trust=0.1)
        self.upsample = ConvexUpsample(self.fine.hidden_channels, 4 * STAGE_CHANNELS[0])

    def forward(self, first: Tensor, second: Tensor, start: "InitialFlow | None" = None) -> Tensor:
        """Flow from the first image to the second, B×2×H×W float32, px.

        Args:
            first: RGB images, B×3×H×W, float 0..1, sides multiples of 32.
            second: RGB images of the same shape.
            start: Flow of another estimator to refine.
        """
        return self.levels(first, second, start)[-1]

    def levels(
        self, first: Tensor, second: Tensor, start: "InitialFlow | None" = None
    ) -> list[Tensor]:
        """Flow after every level, in pixels of the input: B×2×H/s×W/s for s = 32, 16, 8, 4, 1.

        With an initial flow for every pair, the levels at strides 32 and 16 are skipped.
        """
        both = torch.cat([first, second])  # 2B×3×H×W: one pass of the encoders for both frames
        half, *deep = self.encoder(both)
        shallow = self.shallow(both)
        # By stride, 2B×C×H/s×W/s. Standardised per image, so that exposure does not matter.
        features = {
            4: torch.cat([standardise(deep[0]), shallow[0].float()], 1),
            8: torch.cat([standardise(deep[1]), shallow[1].float()], 1),
            16: standardise(deep[2]),
            32: standardise(F.avg_pool2d(deep[2], 2)),
        }
        strides = STRIDES if start is None or start.weight is not None else STRIDES[2:]
        size = (first.shape[2] // strides[0], first.shape[3] // strides[0])
        # Inside the loop the flow is in pixels of the level, B×2×h×w.
        flow = torch.zeros((len(first), 2, *size), device=first.device)
        # A placeholder: each level makes its own hidden features; only the last ones are used
        # below.
        hidden, outputs = flow, []
        for stride in strides:
            if stride != strides[0]:
                # Detach: each level learns from its own error only. Twice the size is twice the
                # pixels, so the flow doubles too.
                flow = 2 * F.interpolate(flow.detach(), scale_factor=2, mode="bilinear")
            if start is not None and stride == START_STRIDE:
                flow = start.blend(flow)
            update = self.fine if stride == FINEST else self.coarse
            match, context = self.match[str(stride)], self.context[str(stride)]
            first_features, second_features = unit_features(match(features[stride])).chunk(2)
            first_context = context(features[stride][: len(first)])
            hidden, change = update(
                first_features, warp(second_features, flow), first_context, flow
            )
            flow = flow + change
            outputs.append(flow * stride)
        # Stride-2 features folded to stride 4, B×64×H/4×W/4: they show where edges are.
        detail = F.pixel_unshuffle(standardise(half[: len(first)]), 2)
        return [*outputs, self.upsample(flow, hidden, detail)]


@dataclass(frozen=True)
class InitialFlow:
    """Flow of another estimator, which the levels at strides 8 and 4 refine."""

    flow: Tensor
    """B×2×H×W, px."""
    weight: Tensor | None = None
    """1 for the pairs that start from `flow` and 0 for the others, B float32; for training.
    None: all pairs start from it."""

    def blend(self, flow: Tensor) -> Tensor:
        """The flow to start from at stride 8: this one, or the network's where the weight is 0.

        Args:
            flow: Flow of the coarser levels, B×2×H/8×W/8, in pixels of stride 8.
        """
        reduced = F.avg_pool2d(self.flow, START_STRIDE) / START_STRIDE
        if self.weight is None:
            return reduced
        return torch.lerp(flow, reduced, self.weight[:, None, None, None])


class FlowBackbone(nn.Module):
    """The first four stages of the light backbone, with its parameter names."""

    def __init__(self) -> None:
        super().__init__()
        whole = EfficientNetLite0()
        self.stem = whole.stem
        self.stages = whole.stages[:STAGES]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at strides 2, 4, 8 and 16 of RGB images B×3×H×W, float 0..1."""
        x = self.stem(EfficientNetLite0.normalize(image))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def load_imagenet(self, published: dict[str, Tensor]) -> None:
        """Load ImageNet weights as `EfficientNetLite0.load_imagenet` does."""
        whole = EfficientNetLite0()
        whole.load_imagenet(published)
        state = whole.state_dict()
        self.load_state_dict({name: state[name] for name in self.state_dict()})


class ShallowFeatures(nn.Module):
    """Trained features at strides 4 and 8: texture that a classification backbone discards."""

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
        """RGB images B×3×H×W -> features B×C×H/4×W/4 and B×C×H/8×W/8.

        The image is standardised first, so brightness and contrast do not matter.
        """
        fine: Tensor = self.stem(standardise(image))
        return fine, self.deeper(fine)


class FlowUpdate(nn.Module):
    """Predict the update of a level's flow from the correlation within a window.

    Args:
        radius: Radius of the correlation window, pixels of the level.
        context_channels: Channels of the first frame's context features.
        width: Channels of the convolutions.
        trust: Initial confidence in the soft-argmax of the correlation, above 0 and below 1.
    """

    hidden_channels = 32

    def __init__(self, radius: int, context_channels: int, width: int, *, trust: float) -> None:
        super().__init__()
        self.radius = radius
        # Stored as a hundredth of the softmax's factor, so that one learning rate fits all weights.
        self.sharpness = nn.Parameter(torch.tensor(0.2))
        self.register_buffer("offsets", displacements(radius), persistent=False)
        self.offsets: Tensor
        # Input channels: correlation, context, soft-argmax (2) and flow (2).
        c_in = (2 * radius + 1) ** 2 + context_channels + 4
        # (channels in, channels out, dilation)
        sizes = ((c_in, width, 1), (width, width, 1), (width, width, 2), (width, width, 4))
        layers: list[nn.Module] = []
        for channels, c_out, dilation in (*sizes, (width, self.hidden_channels, 1)):
            layers += [nn.Conv2d(channels, c_out, 3, padding=dilation, dilation=dilation)]
            layers += [nn.LeakyReLU(0.1, inplace=True)]
        self.body = nn.Sequential(*layers)
        # Output channels: residual x and y, logit of the confidence in the soft-argmax.
        self.predict = nn.Conv2d(self.hidden_channels, 3, 3, padding=1)
        # Untrained, the update is exactly trust × soft-argmax.
        nn.init.zeros_(self.predict.weight)
        assert self.predict.bias is not None
        with torch.no_grad():
            self.predict.bias.copy_(torch.tensor([0.0, 0.0, math.log(trust / (1 - trust))]))

    def forward(
        self, first: Tensor, second: Tensor, context: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Hidden features B×32×h×w and the flow update B×2×h×w, pixels of the level.

        Args:
            first: Unit features of the first frame, B×C×h×w.
            second: Unit features of the second frame, warped by the flow, B×C×h×w.
            context: Context features of the first frame, B×C'×h×w.
            flow: Current flow, B×2×h×w, pixels of the level.
        """
        with torch.autocast(flow.device.type, enabled=False):
            # K = (2·radius + 1)² displacements: B×K×h×w, then their mean, B×2×h×w.
            similarity = local_correlation(first.float(), second.float(), self.radius)
            probability = torch.softmax(100 * self.sharpness * similarity, 1)
            mean = torch.einsum("bkhw,kc->bchw", probability, self.offsets)
        # Displacements are divided by the window's size, so that all inputs are of order 1.
        inputs = torch.cat([similarity, context, mean / self.radius, flow / (8 * self.radius)], 1)
        hidden = self.body(inputs)
        # Three channels: confidence in the soft-argmax, and what is added to it in x and y.
        prediction = self.predict(hidden).float()
        return hidden, torch.sigmoid(prediction[:, 2:]) * mean + prediction[:, :2]


class ConvexUpsample(nn.Module):
    """Upsample flow from stride 4: each pixel is a convex combination of nine coarse neighbours."""

    def __init__(self, hidden_channels: int, detail_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(hidden_channels + detail_channels, 48, 1)
        self.weigh = nn.Conv2d(48, NEIGHBOURS * FINEST**2, 1)
        nn.init.zeros_(self.weigh.weight)
        assert self.weigh.bias is not None
        with torch.no_grad():  # untrained, the softmax of the bias interpolates bilinearly
            self.weigh.bias.copy_((bilinear_weights() + 1e-3).log().flatten())

    def forward(self, flow: Tensor, hidden: Tensor, detail: Tensor) -> Tensor:
        """Flow B×2×h×w in pixels of stride 4 -> B×2×4h×4w in pixels."""
        mixed = F.leaky_relu(self.mix(torch.cat([hidden, detail], 1)), 0.1)
        # B×(9·16)×h×w -> B×9×16×h×w: weights of nine neighbours for each of a cell's 4×4 pixels.
        weights = self.weigh(mixed).float().unflatten(1, (NEIGHBOURS, FINEST**2)).softmax(1)
        # unfold: B×(2·9)×hw -> B×2×9×h×w, the 3×3 neighbourhood of every cell.
        neighbours = F.unfold(F.pad(FINEST * flow, (1,) * 4, mode="replicate"), 3)
        neighbours = neighbours.unflatten(1, (2, NEIGHBOURS)).unflatten(3, flow.shape[2:])
        fine = torch.einsum("bnkhw,bcnhw->bckhw", weights, neighbours)  # k: the 16 pixels of a cell
        return F.pixel_shuffle(fine.flatten(1, 2), FINEST)


def bilinear_weights() -> Tensor:
    """Bilinear weights of the nine neighbours for each of a cell's 4×4 pixels, 9×16."""
    # Pixel centres relative to the cell's centre, in cells: -3/8, -1/8, 1/8, 3/8.
    centre = (torch.arange(FINEST) + 0.5) / FINEST - 0.5
    axis = (1 - (centre[None] - torch.tensor([-1.0, 0.0, 1.0])[:, None]).abs()).clamp_min(0)  # 3×4
    return torch.einsum("ay,bx->abyx", axis, axis).reshape(NEIGHBOURS, FINEST**2)


def standardise(x: Tensor) -> Tensor:
    """The maps B×C×h×w with mean 0 and variance 1 in each channel of each image, float32."""
    x = x.float()
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPSILON)


def unit_features(x: Tensor) -> Tensor:
    """The features B×C×h×w scaled to length 1 at each pixel, float32: dot products are cosines."""
    return F.normalize(x.float(), dim=1, eps=EPSILON)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """The maps B×C×h×w sampled at p + flow(p); 0 outside the border.

    Args:
        x: B×C×h×w.
        flow: B×2×h×w, px of `x`.
    """
    height, width = x.shape[2:]
    x_target = torch.arange(width, device=x.device, dtype=torch.float32) + flow[:, 0]
    y_target = torch.arange(height, device=x.device, dtype=torch.float32)[:, None] + flow[:, 1]
    # Normalise pixel centres for `align_corners=False`: with True, a side of 1 px divides by zero.
    grid = torch.stack([(2 * x_target + 1) / width - 1, (2 * y_target + 1) / height - 1], -1)
    return F.grid_sample(x, grid, mode="bilinear", align_corners=False)


def end_point_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Length of the difference of two flows B×2×H×W at every pixel: B×H×W, px."""
    error: Tensor = torch.linalg.vector_norm(flow - truth, dim=1)
    return error


def level_weights(levels: int) -> Sequence[float]:
    """Weights of the levels in the loss, coarsest first: 1 for the finest, then factors of 0.6."""
    return [0.6 ** (levels - 1 - k) for k in range(levels)]
