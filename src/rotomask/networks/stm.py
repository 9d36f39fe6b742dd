"""STM: the space-time memory network, at the paper's size.

Oh et al. 2019, "Video object segmentation using space-time memory networks". Past frames with their
masks are encoded into keys and values. The query frame (the one being segmented) is encoded into a
key too; attention over the memory's keys reads values, which a decoder turns into a mask. There are
two ResNet-50 encoders: one for the query, and one for the memory that also sees the mask of the
object and the mask of all other objects.

Parameters have the names of the authors' code, so that `checkpoints.load_into` loads their
`STM_weights.pth` unchanged. Batch norm stays in evaluation mode in training, as in their code.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.networks.layers.aggregation import masks_of_others
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.layers.resnet import HiddenLayer, ResidualBlock, ResNet50
from rotomask.networks.sizing import crop_at_stride


@dataclass(frozen=True, kw_only=True)
class STMConfig:
    """The shape of the network; the defaults are the published values."""

    key_channels: int = 128
    """Channels of the keys, Ck."""
    value_channels: int = 512
    """Channels of each object's values, Cv."""
    decoder_channels: int = 256
    """Channels of the decoder, the same at every stride."""


class FrameFeatures(NamedTuple):
    """The query encoder's output for B frames."""

    key: Tensor
    """Query key, B×Ck×H/16×W/16."""
    value: Tensor
    """Query value, B×Cv×H/16×W/16; the decoder sees it concatenated with the memory readout."""
    stride8: Tensor
    """Skip features, B×512×H/8×W/8."""
    stride4: Tensor
    """Skip features, B×256×H/4×W/4."""


class STM(nn.Module):
    """The STM network; `memory_read` does the attention between its keys."""

    stride = 16
    """The height and width of the input must be multiples of this."""
    similarity: Similarity = "dot"
    """Similarity of keys for `memory_read`."""

    def __init__(self, config: STMConfig | None = None) -> None:
        super().__init__()
        self.config = config or STMConfig()
        c_key, c_value = self.config.key_channels, self.config.value_channels
        self.Encoder_M = MemoryEncoder()
        self.Encoder_Q = QueryEncoder()
        self.KV_M_r4 = KeyValue(1024, c_key, c_value)
        self.KV_Q_r4 = KeyValue(1024, c_key, c_value)
        self.Decoder = Decoder(2 * c_value, self.config.decoder_channels)

    def trainable_part(self) -> nn.Module:
        """The part that online learning trains: the decoder."""
        return self.Decoder

    def hidden_layers(self) -> list[HiddenLayer]:
        """None: no channel of a published network is started anew in training."""
        return []

    def encode_frame(self, image: Tensor) -> FrameFeatures:
        """Query key, value and skips of RGB images B×3×H×W, sides multiples of 16.

        Args:
            image: uint8, or float 0..1.
        """
        stride4, stride8, stride16 = self.Encoder_Q(image)
        key, value = self.KV_Q_r4(stride16)
        return FrameFeatures(key, value, stride8, stride4)

    def encode_value(
        self, image: Tensor, features: FrameFeatures, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Memory keys and values of a frame, separate for each object.

        Args:
            image: RGB images as for `encode_frame`, B×3×H×W.
            features: Not used; stm-lite, which has the same interface, needs it.
            masks: Soft masks of the objects, O×H×W (B = 1) or B×O×H×W, 0..1.

        Returns:
            Keys, O×Ck×h×w or B×O×Ck×h×w, and values, O×Cv×h×w or B×O×Cv×h×w, at stride 16.
        """
        # B×O×H×W: one frame's masks are a batch of one.
        batched = masks if masks.ndim == 4 else masks[None]
        key, value = self.KV_M_r4(self.Encoder_M(image, batched))  # B·O×C×h×w
        if masks.ndim == 3:
            return key, value
        batch = masks.shape[:2]
        return torch.unflatten(key, 0, batch), torch.unflatten(value, 0, batch)

    def crop(self, features: FrameFeatures, rows: slice, columns: slice) -> FrameFeatures:
        """Features of a rectangle of the frames; it begins at multiples of 16 px."""
        crop = partial(crop_at_stride, rows=rows, columns=columns)
        return FrameFeatures(
            key=crop(features.key, stride=16),
            value=crop(features.value, stride=16),
            stride8=crop(features.stride8, stride=8),
            stride4=crop(features.stride4, stride=4),
        )

    def decode(
        self,
        readout: Tensor,
        features: FrameFeatures,
        guidance: Tensor | None = None,
        others: Tensor | None = None,
    ) -> Tensor:
        """Foreground logits of the objects at the size of the frame.

        The published network has a background and a foreground logit; this is their difference, the
        sigmoid of which equals the foreground probability of their softmax.

        Args:
            readout: Values read from memory, O×Cv×h×w (B = 1) or B×O×Cv×h×w.
            features: Output of `encode_frame` for the B query frames.
            guidance: Not used; stm-lite, which has the same interface, needs it.
            others: Not used, like it.

        Returns:
            O×H×W or B×O×H×W, float32.
        """
        pair = self.decode_pair(readout if readout.ndim == 5 else readout[None], features)
        logits = pair[:, :, 1] - pair[:, :, 0]
        return logits if readout.ndim == 5 else logits[0]

    def decode_pair(self, readout: Tensor, features: FrameFeatures) -> Tensor:
        """Logits of background and foreground as published: B×O×Cv×h×w -> B×O×2×H×W float32."""
        decoder_input = with_query_value(readout, features).flatten(0, 1)  # B·O×2·Cv×h×w
        pair = self.Decoder(decoder_input, features.stride8, features.stride4).float()
        pair = F.interpolate(pair, scale_factor=4, mode="bilinear", align_corners=False)
        return torch.unflatten(pair, 0, readout.shape[:2])


def with_query_value(readout: Tensor, features: FrameFeatures) -> Tensor:
    """The memory readout of each object, concatenated with the query value (sec. 3.2, eq. 1).

    Args:
        readout: Values read from memory, B×O×Cv×h×w.
        features: Output of `encode_frame` for the B query frames.

    Returns:
        B×O×2·Cv×h×w.
    """
    # B×Cv×h×w -> B×O×Cv×h×w without a copy: the query's value is the same for every object.
    value = features.value[:, None].expand_as(readout).to(readout.dtype)
    return torch.cat([readout, value], dim=2)


class QueryEncoder(ResNet50):
    """ResNet-50 features of the query frame."""

    def forward(self, image: Tensor) -> list[Tensor]:
        """B×3×H×W -> features at strides 4, 8, 16."""
        return self.stages(self.conv1(self.normalize(image)))


class MemoryEncoder(ResNet50):
    """ResNet-50 features of a memory frame with one object's mask and the other objects' mask."""

    def __init__(self, last_stage: int = 4) -> None:
        super().__init__(last_stage)
        self.conv1_m = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.conv1_o = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)

    def forward(self, image: Tensor, masks: Tensor) -> Tensor:
        """Images B×3×H×W, masks B×O×H×W -> features B·O×1024×H/16×W/16."""
        batch, objects = masks.shape[:2]
        others = masks_of_others(masks)
        # B·O×64×H/2×W/2: each object's mask and the sum of the others through their own filters.
        filtered_masks = self.conv1_m(masks.reshape(batch * objects, 1, *masks.shape[2:]))
        filtered_masks = filtered_masks + self.conv1_o(
            others.reshape(batch * objects, 1, *masks.shape[2:])
        )
        # The convolution is linear, so its image term is computed once for all objects of a frame.
        filtered_image = self.conv1(self.normalize(image))  # B×64×H/2×W/2
        x = filtered_image[:, None] + torch.unflatten(filtered_masks, 0, (batch, objects))
        return self.stages(x.flatten(0, 1))[-1]


class KeyValue(nn.Module):
    """Convolutions to a key and a value at every position (sec. 3.1)."""

    def __init__(self, c_in: int, c_key: int, c_value: int) -> None:
        super().__init__()
        self.Key = nn.Conv2d(c_in, c_key, 3, padding=1)
        self.Value = nn.Conv2d(c_in, c_value, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """B×C×h×w -> B×Ck×h×w, B×Cv×h×w."""
        return self.Key(x), self.Value(x)


class Decoder(nn.Module):
    """Decoder from the readout to logits at stride 4, with the query encoder's skips (sec. 3.3)."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        self.convFM = nn.Conv2d(c_in, channels, 3, padding=1)
        self.ResMM = ResidualBlock(channels)
        self.RF3 = Refine(512, channels)
        self.RF2 = Refine(256, channels)
        self.pred2 = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, readout: Tensor, stride8: Tensor, stride4: Tensor) -> Tensor:
        """Readout B·O×C×H/16×W/16 and skips B×C'×h×w -> logits B·O×2×H/4×W/4."""
        x = self.ResMM(self.convFM(readout))
        x = self.RF2(stride4, self.RF3(stride8, x))
        logits: Tensor = self.pred2(F.relu(x))
        return logits


class Refine(nn.Module):
    """Upsample coarse features to twice the size and add a skip connection."""

    def __init__(self, c_skip: int, channels: int) -> None:
        super().__init__()
        self.convFS = nn.Conv2d(c_skip, channels, 3, padding=1)
        self.ResFS = ResidualBlock(channels)
        self.ResMM = ResidualBlock(channels)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Skips B×C'×2h×2w of the frames, coarse B·O×C×h×w of the objects -> B·O×C×2h×2w."""
        fine = self.ResFS(self.convFS(skip))  # once per frame, B×C×2h×2w
        up = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        joined = fine[:, None] + torch.unflatten(up, 0, (len(skip), -1))  # B×O×C×2h×2w
        refined: Tensor = self.ResMM(joined.flatten(0, 1))
        return refined
