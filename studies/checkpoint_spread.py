"""How much the checkpoints of one run differ, and what their average is worth.

"Towards good practices" (Yu et al. 2019), sec. 4: scores vary seriously from epoch to epoch. This
segments the sequences with every checkpoint and with the average of all, and prints J and F of each
beside their mean, standard deviation and range.

    python -m studies.checkpoint_spread RUN/weights/*.safetensors --davis DAVIS-TRAIN
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from rotomask import load_model
from rotomask.data.benchmarks.sequences import VideoDataset
from rotomask.evaluation import open_benchmark, score_sequence
from rotomask.networks.averaging import average_weights
from rotomask.segmenters.base import Segmenter

HELD_OUT = "dog-agility,hike,motorbike,swing"


def score(segmenter: Segmenter, dataset: VideoDataset) -> tuple[float, float]:
    """Mean J and F over the sequences, each cut from its first mask."""
    figures = []
    for sequence in dataset:
        labels = [sequence.prompts()[0][0]]
        segmenter.start(sequence.frame(0), labels[0])
        for index in range(1, len(sequence)):
            labels.append(segmenter.labels(segmenter.step(sequence.frame(index))))
        truths = [sequence.annotation(name) for name in sequence.frame_names]
        found = score_sequence(labels, truths).figures
        figures.append((found["J_mean"], found["F_mean"]))
    region, boundary = np.mean(figures, axis=0)
    return float(region), float(boundary)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--sequences", default=HELD_OUT, help="with commas between")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = open_benchmark("davis2016", arguments.davis, arguments.split)
    dataset = dataset.select(arguments.sequences.split(","))

    def report(label: str, region: float, boundary: float) -> None:
        both = (region + boundary) / 2
        print(f"{label:32} {both:7.4f} {region:7.4f} {boundary:7.4f}", flush=True)

    def measure(weights: Path) -> tuple[float, float]:
        return score(load_model(arguments.model, weights=weights, enlarge=True), dataset)

    print(f"{arguments.model} on {arguments.sequences}\n{'':32} {'J&F':>7} {'J':>7} {'F':>7}")
    scores = []
    for file in arguments.checkpoints:
        scores.append(measure(file))
        report(file.name, *scores[-1])
    table = np.array([(j, f, (j + f) / 2) for j, f in scores])
    rows = {
        "mean": table.mean(0),
        "standard deviation": table.std(0, ddof=1),
        "highest - lowest": np.ptp(table, axis=0),
    }
    for label, (j, f, both) in rows.items():
        print(f"{label:32} {both:7.4f} {j:7.4f} {f:7.4f}")
    with tempfile.TemporaryDirectory() as folder:
        averaged = average_weights(arguments.checkpoints, Path(folder) / "mean.safetensors")
        report("their average", *measure(averaged))


if __name__ == "__main__":
    main()
