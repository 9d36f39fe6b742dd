"""Quality gained by learning from the reference frame, by steps and learning rate.

Prints J and F on the held-out sequences, and the CPU seconds of learning for each video.

    python -m studies.online_learning --davis DAVIS-TRAIN [--model NAME] [--weights FILE]
"""

from pathlib import Path

from rotomask import load_model
from rotomask.segmenters.base import Segmenter
from rotomask.training.online import OnlineConfig, learn_online
from studies.measuring import measure
from studies.scripts import add_davis, open_davis, parse, script_parser

TRIED = "20:1e-4,40:3e-5,40:1e-4,40:3e-4,120:1e-4"


def main() -> None:
    parser = script_parser(__doc__)
    add_davis(parser, split="held-out")
    parser.add_argument("--tried", default=TRIED, help="STEPS:LEARNING-RATE, comma-separated")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    arguments = parse(parser)
    dataset = open_davis(arguments)
    plain = load_model(arguments.model, weights=arguments.weights, enlarge=True)
    tried: dict[str, Segmenter] = {"without": plain}
    for pair in arguments.tried.split(","):
        steps, _, rate = pair.partition(":")
        config = OnlineConfig(steps=int(steps), learning_rate=float(rate))
        tried[f"{steps} steps at {rate}"] = learn_online(plain, config)
    print(f"{arguments.model} on {', '.join(sequence.name for sequence in dataset)}")
    print(f"{'':20} {'J&F':>7} {'J':>7} {'F':>7} {'s to learn':>11}")
    for label, segmenter in tried.items():
        m = measure(segmenter, dataset)
        figures = f"{m.both:7.4f} {m.region:7.4f} {m.boundary:7.4f} {m.start_s:11.1f}"
        print(f"{label:20} {figures}", flush=True)


if __name__ == "__main__":
    main()
