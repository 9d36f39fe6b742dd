"""Settings of stm-lite's segmenter compared: one network, run in different ways.

Prints J and F, by default on the held-out sequences, and the median milliseconds of a 480p frame.

    python -m studies.stm_lite_reading --davis DAVIS-TRAIN [--weights FILE]
    python -m studies.stm_lite_reading --davis DAVIS --split val --only "every 5th and previous"
"""

from dataclasses import replace
from pathlib import Path

from rotomask.catalog import load_network
from rotomask.networks.precision import choose_runtime
from rotomask.networks.stm_lite import STMLite
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig
from studies.measuring import measure, noise_milliseconds
from studies.scripts import add_davis, open_davis, parse, script_parser

SHIPPED = SpaceTimeConfig(enlarge=True)
VARIANTS = {
    "shipped": SHIPPED,
    "first frame only": replace(SHIPPED, memory_frames=1),
    "previous frame only": replace(SHIPPED, memory_frames=0, use_previous=True),
    "first and previous": replace(SHIPPED, memory_frames=1, use_previous=True),
    "every 5th and previous": replace(SHIPPED, use_previous=True),
    "top 20": replace(SHIPPED, top_k=20),
    "top 50": replace(SHIPPED, top_k=50),
    "2 frames": replace(SHIPPED, memory_frames=2),
    "4 frames": replace(SHIPPED, memory_frames=4),
    "10 frames": replace(SHIPPED, memory_frames=10),
    "every 2nd frame": replace(SHIPPED, memory_every=2),
    "every 10th frame": replace(SHIPPED, memory_every=10),
    "360 px": replace(SHIPPED, size=360),
    "600 px": replace(SHIPPED, size=600),
}


def milliseconds(network: STMLite, config: SpaceTimeConfig, frames: int) -> float:
    """Median time of a 480p frame once the memory is full."""
    segmenter = SpaceTimeSegmenter(network, config, choose_runtime("cpu"))
    full = config.memory_every * (config.memory_frames or 0)
    return noise_milliseconds(segmenter, warm=full, frames=frames)


def main() -> None:
    parser = script_parser(__doc__, threads=2)
    add_davis(parser, split="held-out")
    parser.add_argument("--weights", type=Path, help="used instead of the shipped ones")
    parser.add_argument("--only", choices=VARIANTS, help="run this variant alone")
    parser.add_argument("--timed", type=int, default=41, help="frames that are timed")
    arguments = parse(parser)
    network = load_network("stm-lite", arguments.weights)
    assert isinstance(network, STMLite)
    dataset = open_davis(arguments)
    print(f"{'variant':26} {'J':>6} {'F':>6} {'ms/frame':>9}")
    for name in [arguments.only] if arguments.only else VARIANTS:
        variant = VARIANTS[name]
        m = measure(SpaceTimeSegmenter(network, variant), dataset)
        cost = milliseconds(network, variant, arguments.timed)
        print(f"{name:26} {m.region:6.3f} {m.boundary:6.3f} {cost:9.1f}", flush=True)


if __name__ == "__main__":
    main()
