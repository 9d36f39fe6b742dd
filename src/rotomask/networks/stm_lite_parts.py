"""The functions of `STMLite` as modules of tensors, which other programs can trace and export."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from rotomask.networks.layers.aggregation import EPSILON
from rotomask.networks.layers.efficientnet_lite import Pyramid
from rotomask.networks.stm_lite import FrameFeatures, STMLite

EXAMPLE_SIZE = (64, 96)
"""Height and width of the frame that `Part.example` is of, px."""
EXAMPLE_OBJECTS = 2
"""Its objects: what is traced with one does not hold for several."""


class Part(nn.Module):
    """One function of a network."""

    per_object: ClassVar[frozenset[int]] = frozenset()
    """Numbers of the inputs whose first axis is that of the objects."""

    def __init__(self, network: STMLite) -> None:
        super().__init__()
        self.network = network

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of a small frame, with which the part can be traced: the image 1×3×H×W."""
        return (torch.zeros(1, 3, *EXAMPLE_SIZE),)

    def _example_features(self) -> FrameFeatures:
        return self.network.encode_frame(*Part.example(self))


class EncoderPart(Part):
    """`STMLite.encode_frame`."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Key, features at strides 4, 8, 16 and, where there is a context branch, 32."""
        features = self.network.encode_frame(image)
        context = () if features.context is None else (features.context,)
        return (features.key, *features.pyramid, *context)


class ValueEncoderPart(Part):
    """`STMLite.encode_value` without the key."""

    per_object = frozenset({3})

    def example(self) -> tuple[Tensor, ...]:
        """Features of a small frame and masks of two objects."""
        return (*self._example_features().pyramid, torch.zeros(EXAMPLE_OBJECTS, *EXAMPLE_SIZE))

    def forward(self, s4: Tensor, s8: Tensor, s16: Tensor, masks: Tensor) -> Tensor:
        """Values O×Cv×h×w of masks O×H×W."""
        values: Tensor = self.network.value_encoder(Pyramid(s4, s8, s16), masks[None])[0]
        return values


class DecoderPart(Part):
    """`STMLite.decode`."""

    per_object = frozenset({0, 1})

    def example(self) -> tuple[Tensor, ...]:
        """Readout and guidance of two objects, and features of a small frame."""
        features, config = self._example_features(), self.network.config
        readout = torch.zeros(EXAMPLE_OBJECTS, config.value_channels, *features.key.shape[-2:])
        masks = (2,) if config.others_guidance else ()
        guidance = torch.zeros(EXAMPLE_OBJECTS, *masks, *EXAMPLE_SIZE)
        context = () if features.context is None else (features.context,)
        return (readout, guidance, *features.pyramid, *context)

    def forward(self, readout: Tensor, guidance: Tensor, *levels: Tensor) -> Tensor:
        """Logits O×H×W from readout O×Cv×h×w, guidance and the encoder's features.

        The guidance is O×H×W, or O×2×H×W with the masks of the other objects.
        """
        context = levels[3] if len(levels) > len(Pyramid._fields) else None
        features = FrameFeatures(readout, Pyramid(*levels[:3]), context)
        # O×2×H×W -> twice O×H×W.
        own, others = guidance.unbind(1) if guidance.ndim == 4 else (guidance, None)
        return self.network.decode(readout, features, own, others)


class ProbabilityPart(DecoderPart):
    """`STMLite.decode` and soft aggregation (`layers.aggregation.aggregate`)."""

    def forward(self, readout: Tensor, guidance: Tensor, *levels: Tensor) -> Tensor:
        """Probabilities O+1×H×W, background first."""
        p = torch.sigmoid(super().forward(readout, guidance, *levels))
        # The product over the objects, as a sum of logarithms.
        background = torch.exp(torch.log((1 - p).clamp(min=EPSILON)).sum(0, keepdim=True))
        joint = torch.cat([background, p]).clamp(EPSILON, 1 - EPSILON)
        # Soft aggregation: the softmax of logits is the odds divided by their sum.
        odds = joint / (1 - joint)
        return odds / odds.sum(0, keepdim=True)


class ReaderPart(Part):
    """`memory_read` by negative squared distance, in plain operations."""

    def forward(self, query_key: Tensor, memory_key: Tensor, memory_value: Tensor) -> Tensor:
        """Readout O×Cv×h×w from a key 1×Ck×h×w, memory keys 1×Ck×M and values O×Cv×M."""
        query, key = query_key.flatten(2)[0], memory_key[0]  # Ck×N, Ck×M
        # |k|² - 2 q·k; |q|² is the same for all positions of a query, and the softmax ignores it.
        distance = key.square().sum(0, keepdim=True) - 2 * (query.transpose(0, 1) @ key)  # N×M
        weight = torch.softmax(-distance / math.sqrt(self.network.config.key_channels), 1)
        readout = memory_value @ weight.transpose(0, 1)  # O×Cv×N
        height, width = query_key.shape[2:]
        return readout.reshape(readout.shape[0], readout.shape[1], height, width)
