"""Measure the ranges of stm-lite's layers for int8, on training clips.

    python -m tools.calibrate_int8 --davis DAVIS [--sequences a,b] --out FILE.json

Clips of DAVIS-2016 train are followed in float32, at 480 px, and of every convolution the smallest
and largest input are averaged over the frames. Layers of `FLOAT_LAYERS` get no range and stay in
float. The held-out sequences are not used: the choice of layers was made on them.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rotomask.catalog import load_model
from rotomask.files import complete_or_absent
from rotomask.masks import read_labels
from rotomask.networks.layers import efficientnet_lite
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.training.video_split import HELD_OUT
from rotomask.video import open_video

FLOAT_LAYERS = ("value_encoder", "decoder.predict")
"""Beginnings of the names of the layers that stay in float."""


class Meter:
    """Smallest and largest input of every convolution, frame by frame."""

    def __init__(self, network: nn.Module) -> None:
        self.found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d) and not name.startswith(FLOAT_LAYERS):
                layer.register_forward_pre_hook(self._note(name))

    def _note(self, name: str):  # type: ignore[no-untyped-def]
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = inputs[0].aminmax()
            self.found[name].append((float(low), float(high)))

        return hook

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Mean of the smallest and of the largest, with 0 between them."""
        means = {name: np.mean(pairs, axis=0) for name, pairs in self.found.items()}
        return {
            name: (round(min(0.0, float(low)), 4), round(max(0.0, float(high)), 4))
            for name, (low, high) in means.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True, help="the folder of DAVIS-2016 train")
    parser.add_argument("--sequences", default="bear,boat,car-turn,dance-jump,hockey,lucia,tennis")
    parser.add_argument("--frames", type=int, default=12, help="frames of each sequence")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    names = arguments.sequences.split(",")
    if set(names) & set(HELD_OUT):
        parser.error(f"{', '.join(HELD_OUT)} are held out")
    segmenter = load_model("stm-lite", precision="float32")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    assert isinstance(segmenter.network, nn.Module)
    torch.set_num_threads(1)
    # In bands a layer's filters are applied without the layer, and its hook would not be called.
    efficientnet_lite.BAND_BYTES = sys.maxsize
    meter = Meter(segmenter.network)
    resolution = next((arguments.davis / "JPEGImages").iterdir()).name
    for name in names:
        video = open_video(arguments.davis / "JPEGImages" / resolution / name)
        first = arguments.davis / "Annotations" / resolution / name / f"{video.frame_name(0)}.png"
        segmenter.start(video[0], (read_labels(first) > 0).astype(np.int32))
        for frame in video.frames(1, min(arguments.frames, video.frame_count)):
            segmenter.step(frame.image)
        print(name, flush=True)
    content = {"clips": names, "frames": arguments.frames, "ranges": meter.ranges()}
    with complete_or_absent(arguments.out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
