"""Take the dead channels out of an stm-lite: the same masks, from a smaller and faster network.

    python -m tools.prune_channels weights.safetensors --davis DAVIS --out pruned.safetensors

A channel before a ReLU is dead if it is above zero nowhere, in any frame. Its weights in the layer
behind have no effect, so that it can be left out. Channels are watched while clips of DAVIS-2016
train are followed, as one object and as two halves; as many are kept as fill blocks of 16, in which
processors compute. A context branch that lets nothing through adds a constant, which goes into the
bias of the layer before it; the encoder's deepest stage, which only that branch reads, is left out
too. To train such a network further, grow it again: it is an `--initial` of wider ones.
"""

import argparse
from collections.abc import Sequence
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


class Activity:
    """Largest output of each channel of some layers, and largest input of the context's last."""

    def __init__(self, network: STMLite) -> None:
        self.layers = hidden_layers(network)
        self.largest = [torch.full((x.writes.out_channels,), -np.inf) for x in self.layers]
        self.largest_context = 0.0
        for layer, largest in zip(self.layers, self.largest, strict=True):
            layer.writes.register_forward_hook(_note(largest))
        if network.decoder.context is not None:
            network.decoder.context.project.register_forward_pre_hook(self._note_context)

    def _note_context(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.largest_context = max(self.largest_context, float(inputs[0].abs().max()))

    def alive(self) -> list[Tensor]:
        """The channels of each layer to keep, in ascending order."""
        kept = []
        for largest in self.largest:
            count = -(-int((largest > 0).sum()) // BLOCK) * BLOCK
            best = largest.argsort(descending=True, stable=True)
            kept.append(best[: max(BLOCK, count)].sort().values)
        return kept


def _note(largest: Tensor):  # type: ignore[no-untyped-def]
    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        largest.copy_(torch.maximum(largest, output.amax((0, 2, 3))))

    return hook


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
        context: False: without the context branch, whose constant is kept.
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
    kept = activity.alive()
    for layer, largest, channels in zip(activity.layers, activity.largest, kept, strict=True):
        alive = int((largest > 0).sum())
        print(f"{layer.writes}: {alive} of {len(largest)} alive, {len(channels)} kept")
    has_context = activity.largest_context > 0
    print(f"largest input of the context branch's last layer: {activity.largest_context:g}")
    smaller = pruned(network, kept, context=has_context)
    before, after = (sum(p.numel() for p in n.parameters()) for n in (network, smaller))
    print(f"{before} -> {after} parameters")
    card = {**read_metadata(arguments.weights), "config": asdict(smaller.config)}
    save_weights(arguments.out, smaller.state_dict(), card)


if __name__ == "__main__":
    main()
