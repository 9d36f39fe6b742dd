"""Channels that no input activates any more, started anew while a network is trained.

A channel before a ReLU whose output is negative everywhere gets no gradient and never comes back.
Networks without norms lose many: of stm-lite's second weights two thirds of the widest layer. After
Sokar et al. 2023, "The dormant neuron phenomenon in deep reinforcement learning" (ReDo): the layer
that makes such a channel gets new random weights for it, and the layer that reads it zeros, so that
the network's output stays the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rotomask.networks.layers.resnet import HiddenLayer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WATCHED_STEPS = 20
"""Steps before channels are started anew in which their activity is watched."""


class Recycler:
    """Watches the hidden layers of a network in training, and starts their dead channels anew."""

    def __init__(self, network: nn.Module, layers: Sequence[HiddenLayer], every: int) -> None:
        """A recycler that acts once in so many steps.

        Args:
            network: In training.
            layers: Its layers with a ReLU behind them.
            every: Number of steps.
        """
        self._layers, self._every = layers, every
        self._names = {id(p): name for name, p in network.named_parameters()}
        self._alive = [torch.zeros(layer.writes.out_channels) for layer in layers]
        self._is_watching = False
        for layer, alive in zip(layers, self._alive, strict=True):
            layer.writes.register_forward_hook(self._watch(alive))

    def _watch(self, alive: Tensor) -> Any:
        def note(module: nn.Module, inputs: object, output: Tensor) -> None:
            if self._is_watching and module.training:
                active = (output.detach() > 0).flatten(2).any(2).any(0)  # B×C×H×W -> C
                alive.clamp_(min=active.to(alive))

        return note

    def before_step(self, step: int) -> None:
        """Watch the steps before a multiple of `every`."""
        self._is_watching = step % self._every >= self._every - WATCHED_STEPS

    def after_step(
        self,
        step: int,
        fabric: "Fabric",
        optimiser: torch.optim.Optimizer,
        average: Mapping[str, Tensor],
    ) -> int:
        """Start dead channels anew, if it is due.

        Args:
            step: Number of steps that are done; the random weights depend on it.
            fabric: The processes of the run; a channel that any process saw is alive.
            optimiser: Its statistics of these weights are forgotten.
            average: Averaged weights by name, which get the new ones.

        Returns:
            Number of channels.
        """
        if step % self._every:
            return 0
        count = 0
        random = torch.Generator().manual_seed(step)
        for layer, alive in zip(self._layers, self._alive, strict=True):
            alive_anywhere = fabric.all_reduce(alive.to(fabric.device), reduce_op="sum")
            assert isinstance(alive_anywhere, Tensor)
            dead = torch.nonzero(alive_anywhere.cpu() == 0)[:, 0]
            alive.zero_()
            count += len(dead)
            self._start_anew(layer, dead, optimiser, average, random)
        return count

    @torch.no_grad()
    def _start_anew(
        self,
        layer: HiddenLayer,
        dead: Tensor,
        optimiser: torch.optim.Optimizer,
        average: Mapping[str, Tensor],
        random: torch.Generator,
    ) -> None:
        weight = layer.writes.weight  # C×I×k×k
        bound = 1 / math.sqrt(weight[0].numel())  # as PyTorch initialises convolutions
        fresh = (2 * torch.rand(len(dead), *weight.shape[1:], generator=random) - 1) * bound
        # The columns of the next layer that read the dead channels: C'×I×k×k, index on the second
        # axis.
        read = (slice(None), dead + layer.offset)
        # New incoming weights, but zero outgoing ones: the output stays as it is until the channel
        # learns to be of use (Sokar et al. 2023, ReDo).
        changes: list[tuple[Tensor | None, Any, Tensor | float]] = [
            (weight, dead, fresh.to(weight)),
            (layer.writes.bias, dead, 0.0),
            (layer.reads.weight, read, 0.0),
        ]
        for parameter, where, value in changes:
            if parameter is None or not parameter.requires_grad:
                continue
            parameter[where] = value
            average[self._names[id(parameter)]][where] = value
            for statistic in optimiser.state.get(parameter, {}).values():
                if isinstance(statistic, Tensor) and statistic.shape == parameter.shape:
                    # Adam's moments of the old weights would push the new ones.
                    statistic[where] = 0

    def state(self) -> list[Tensor]:
        """What was seen since the last time, for the checkpoint."""
        return self._alive

    def load_state(self, state: Sequence[Tensor]) -> None:
        """Restore what `state` returned."""
        for alive, stored in zip(self._alive, state, strict=True):
            alive.copy_(stored)
