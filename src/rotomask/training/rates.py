"""Learning rates and frozen layers of networks with pre-trained encoders."""

from torch import nn

from rotomask.networks.layers.efficientnet_lite import DepthwiseConv2d
from rotomask.networks.layers.pretrained import PretrainedEncoder

Rates = list[tuple[list[nn.Parameter], float]]
"""Groups of trained parameters, each with its factor on the learning rate."""


def freeze_filters(network: nn.Module) -> None:
    """Freeze the depthwise layers of light encoders, which have few weights but slow gradients.

    On a CPU their gradients take a fifth of a training step. Freezing the filters alone saves
    nothing, because the gradient of the bias is computed together with theirs.
    """
    for encoder in pretrained_encoders(network):
        for module in encoder.modules():
            if isinstance(module, DepthwiseConv2d):
                module.requires_grad_(False)


def pretrained_encoders(network: nn.Module) -> list[PretrainedEncoder]:
    """Encoders of a network that start from ImageNet weights."""
    return [m for m in network.modules() if isinstance(m, PretrainedEncoder)]


def slower_encoders(network: nn.Module, factor: float, *, frozen_stages: int = 0) -> Rates:
    """Groups of all trained parameters, pre-trained encoders at a fraction of the learning rate.

    Args:
        network: Network; parameters that are already frozen are in no group.
        factor: Factor on the learning rate of the encoders; 0 freezes them.
        frozen_stages: Number of stages of light encoders, counted from the input, to freeze
            together with the stem; 0: none, not even the stem.

    Returns:
        The rest of the network at the full rate, then the encoders. Empty groups are left out.
    """
    encoders = pretrained_encoders(network)
    for encoder in encoders:
        if factor == 0:
            encoder.requires_grad_(False)
        elif frozen_stages > 0:
            for module in encoder.early_stages(frozen_stages):
                module.requires_grad_(False)
    slow = {id(p) for encoder in encoders for p in encoder.parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        ([p for p in trained if id(p) not in slow], 1.0),
        ([p for p in trained if id(p) in slow], factor),
    ]
    return [group for group in groups if group[0]]
