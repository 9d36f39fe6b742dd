"""Scores of the checkpoints of one run, their spread, and the score of their average.

"Towards good practices" (Yu et al. 2019), sec. 4: scores vary seriously from epoch to epoch. This
script segments the sequences with every checkpoint and with their average. It prints J and F of
each, and their mean, standard deviation and range.

    python -m studies.checkpoint_spread RUN/weights/*.safetensors --davis DAVIS-TRAIN
"""

import tempfile
from pathlib import Path

import numpy as np

from rotomask import load_model
from rotomask.networks.averaging import average_weights
from studies.measuring import measure
from studies.scripts import add_davis, open_davis, parse, script_parser


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    add_davis(parser, split="held-out")
    parser.add_argument("--model", default="stm-lite")
    arguments = parse(parser)
    dataset = open_davis(arguments)

    def report(label: str, region: float, boundary: float) -> None:
        both = (region + boundary) / 2
        print(f"{label:32} {both:7.4f} {region:7.4f} {boundary:7.4f}", flush=True)

    def score(weights: Path) -> tuple[float, float]:
        measured = measure(load_model(arguments.model, weights=weights, enlarge=True), dataset)
        return measured.region, measured.boundary

    names = ", ".join(sequence.name for sequence in dataset)
    print(f"{arguments.model} on {names}\n{'':32} {'J&F':>7} {'J':>7} {'F':>7}")
    scores = []
    for file in arguments.checkpoints:
        scores.append(score(file))
        report(file.name, *scores[-1])
    table = np.array([((j + f) / 2, j, f) for j, f in scores])
    summary = {
        "mean": table.mean(0),
        "standard deviation": table.std(0, ddof=1),
        "highest - lowest": np.ptp(table, axis=0),
    }
    for label, (both, j, f) in summary.items():
        print(f"{label:32} {both:7.4f} {j:7.4f} {f:7.4f}")
    with tempfile.TemporaryDirectory() as folder:
        averaged = average_weights(arguments.checkpoints, Path(folder) / "mean.safetensors")
        report("their average", *score(averaged))


if __name__ == "__main__":
    main()
