"""Learning rates of networks that begin with a pre-trained encoder."""

from collections.abc import Sequence

from torch import nn

from rotomask.networks.layers.efficientnet_lite import DepthwiseConv2d, EfficientNetLite0

Rates = list[tuple[list[nn.Parameter], float]]
"""Groups of trained parameters, and the factor of the learning rate of each: `Task.rates`."""


def freeze_early_stages(encoder: EfficientNetLite0, count: int) -> None:
    """Let the stem and so many stages, from the input, keep the weights they have."""
    for module in (encoder.stem, *encoder.stages[:count]):
        module.requires_grad_(False)


def freeze_filters(encoder: EfficientNetLite0) -> None:
    """Let the depthwise layers keep the weights they have.

    They hold few weights, and the gradients of these take a fifth of a training step on a CPU; so
    does that of their bias alone, which is computed with the filters'.
    """
    for module in encoder.modules():
        if isinstance(module, DepthwiseConv2d):
            module.requires_grad_(False)


def slower_encoders(network: nn.Module, encoders: Sequence[nn.Module], factor: float) -> Rates:
    """All that is trained of a network, its pre-trained encoders at a part of the rate.

    Args:
        network: Whole; parameters that are frozen are in no group.
        encoders: Its parts that were trained before.
        factor: Of the learning rate, for them.

    Returns:
        The rest of the network at the full rate, then the encoders.
    """
    known = {id(p) for encoder in encoders for p in encoder.parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        ([p for p in trained if id(p) not in known], 1.0),
        ([p for p in trained if id(p) in known], factor),
    ]
