"""Take channels that hardly count out of an stm-lite: a smaller and faster network.

    python -m tools.prune_channels weights.safetensors --davis DAVIS --out pruned.safetensors

How much a hidden channel counts is the variance of its output after the ReLU times the squared
weights by which the next layer reads it. Channels are watched while clips of DAVIS-2016 train are
followed, as one object and as two halves. Of each layer those that count most are kept, until
`--keep` of the whole is reached, filled up to blocks of 16, in which processors compute. The mean
of the others goes into the bias of the next layer. A dead channel counts nothing: with ``--keep 1``
the network computes the same as before.

A context branch that lets nothing through, or one that is left out by `--without-context`, becomes
a constant in the same way, and the encoder's deepest stage, which only that branch reads, is left
out too. To train such a network further, grow it again: it is an `--initial` of wider ones.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from rotomask.catalog import load_model
from rotomask.masks import read_labels
from rotomask.networks.checkpoints import read_metadata, save_weights
from rotomask.networks.layers.resnet import HiddenLayer
from rotomask.networks.stm_lite import HiddenChannels, STMLite
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.training.video_split import HELD_OUT
from rotomask.video import open_video

BLOCK = 16
STEP = 4
"""Interval of the frames that are followed, so that few of them show much motion."""


class Moments:
    """Mean and variance of each channel of a feature map, over frames and positions."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)

    def add(self, features: Tensor) -> None:
        """Add a map B×C×h×w."""
        values = features.double()
        self._count += len(values) * values[0, 0].numel()
        self._sum += values.sum((0, 2, 3))
        self._squares += values.square().sum((0, 2, 3))

    @property
    def mean(self) -> Tensor:
        """C float64."""
        return self._sum / max(1, self._count)

    @property
    def variance(self) -> Tensor:
        """C float64."""
        return (self._squares / max(1, self._count) - self.mean.square()).clamp(min=0)


class Activity:
    """What hidden channels and the context branch put out while a network runs."""

    def __init__(self, network: STMLite) -> None:
        self.layers = hidden_layers(network)
        self.moments = [Moments(layer.writes.out_channels) for layer in self.layers]
        self.context: Moments | None = None
        for layer, moments in zip(self.layers, self.moments, strict=True):
            layer.writes.register_forward_hook(_note(moments, torch.relu))
        if network.decoder.context is not None:
            project = network.decoder.context.project
            self.context = Moments(project.out_channels)
            project.register_forward_hook(_note(self.context, lambda output: output))

    def important(self, part: float) -> list[Tensor]:
        """The channels of each layer that make up a part of what is read of it, ascending."""
        kept = []
        for layer, moments in zip(self.layers, self.moments, strict=True):
            counts = moments.variance * _read_weights(layer).square().sum((0, 2, 3))
            best = counts.argsort(descending=True, stable=True)
            share = counts[best].cumsum(0) / counts.sum().clamp(min=1e-30)
            # A channel that counts nothing adds nothing to the share.
            enough = 1 + int((share < min(part, float(share[-1]))).sum())
            count = -(-enough // BLOCK) * BLOCK
            kept.append(best[:count].sort().values)
        return kept


def _note(moments: Moments, activation: Callable[[Tensor], Tensor]):  # type: ignore[no-untyped-def]
    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        moments.add(activation(output))

    return hook


def _read_weights(layer: HiddenLayer) -> Tensor:
    """Weights by which the next layer reads the channels, O×C×k×k float64."""
    weight = layer.reads.weight.detach().double()
    return weight[:, layer.offset : layer.offset + layer.writes.out_channels]


@torch.no_grad()
def leave_means(
    activity: Activity, network: STMLite, kept: Sequence[Tensor], *, context: bool
) -> None:
    """Put the means of what is not kept into the biases behind it; arguments as of `pruned`."""
    for layer, moments, channels in zip(activity.layers, activity.moments, kept, strict=True):
        mean = moments.mean
        mean[channels] = 0
        bias = layer.reads.bias
        assert bias is not None
        bias += (_read_weights(layer).sum((2, 3)) @ mean).float()
    if activity.context is not None and not context:
        assert network.decoder.context is not None
        bias = network.decoder.context.project.bias
        assert bias is not None
        bias.copy_(activity.context.mean.float())


def hidden_layers(network: STMLite) -> list[HiddenLayer]:
    """The layers that `STMLiteConfig.hidden_channels` counts, in its order."""
    encoder, decoder = network.value_encoder, network.decoder
    blocks = (encoder.refine, decoder.refine16, decoder.up8.refine, decoder.up4.refine)
    return [*encoder.hidden_layers(), *(block.hidden_layer() for block in blocks)]


def watch(segmenter: SpaceTimeSegmenter, davis: Path, names: Sequence[str], frames: int) -> None:
    """Follow the clips, every second one as two halves of its object."""
    resolution = next((davis / "JPEGImages").iterdir()).name
    for number, name in enumerate(names):
        video = open_video(davis / "JPEGImages" / resolution / name)
        labels = read_labels(
            davis / "Annotations" / resolution / name / f"{video.frame_name(0)}.png"
        )
        labels = (labels > 0).astype(np.int32)
        if number % 2:
            middle = int(np.median(np.nonzero(labels)[1]))
            labels[:, middle:] *= 2
        segmenter.start(video[0], labels)
        for frame in video.frames(1, min(STEP * frames, video.frame_count)):
            if frame.index % STEP == 0:
                segmenter.step(frame.image)
        print(name, flush=True)


@torch.no_grad()
def pruned(network: STMLite, kept: Sequence[Tensor], *, context: bool) -> STMLite:
    """A copy with only some of the channels.

    Args:
        network: The network.
        kept: Channels to keep in each of `hidden_layers`.
        context: False: without the context branch, whose bias is kept.
    """
    counts = cast(HiddenChannels, tuple(len(k) for k in kept))
    config = replace(network.config, hidden_channels=counts)
    if not context:
        config = replace(config, context_channels=0, context_slope=0.0)
    state = network.state_dict()
    names = {id(p): name for name, p in network.named_parameters()}
    for layer, channels in zip(hidden_layers(network), kept, strict=True):
        written, read = names[id(layer.writes.weight)], names[id(layer.reads.weight)]
        state[written] = state[written][channels]
        bias = written.replace("weight", "bias")
        state[bias] = state[bias][channels]
        before = torch.arange(layer.offset)
        state[read] = state[read][:, torch.cat([before, layer.offset + channels])]
    branch = network.decoder.context
    if branch is not None and not context:
        assert branch.project.bias is not None
        state["decoder.refine16.conv2.bias"] = (
            state["decoder.refine16.conv2.bias"] + branch.project.bias
        )
    result = STMLite(config).eval()
    result.load_state_dict({k: state[k] for k in result.state_dict()})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="a checkpoint of stm-lite")
    parser.add_argument("--davis", type=Path, required=True, help="the folder of DAVIS-2016 train")
    parser.add_argument("--frames", type=int, default=10, help="frames of each video")
    parser.add_argument("--keep", type=float, default=0.999, metavar="PART", help="0 to 1")
    parser.add_argument("--without-context", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    segmenter = load_model("stm-lite", weights=arguments.weights, precision="float32")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    network = segmenter.network
    assert isinstance(network, STMLite)
    torch.set_num_threads(1)
    activity = Activity(network)
    resolution = next((arguments.davis / "JPEGImages").iterdir())
    names = sorted(p.name for p in resolution.iterdir() if p.name not in HELD_OUT)
    watch(segmenter, arguments.davis, names, arguments.frames)
    kept = activity.important(arguments.keep)
    for layer, channels in zip(activity.layers, kept, strict=True):
        print(f"{layer.writes}: {len(channels)} of {layer.writes.out_channels} kept")
    has_context = activity.context is not None and not arguments.without_context
    if activity.context is not None:
        deviation = float(activity.context.variance.mean().sqrt())
        print(f"standard deviation of the context branch's output: {deviation:g}")
        has_context &= deviation > 0
    leave_means(activity, network, kept, context=has_context)
    smaller = pruned(network, kept, context=has_context)
    before, after = (sum(p.numel() for p in n.parameters()) for n in (network, smaller))
    print(f"{before} -> {after} parameters")
    card = {**read_metadata(arguments.weights), "config": asdict(smaller.config)}
    save_weights(arguments.out, smaller.state_dict(), card)


if __name__ == "__main__":
    main()
