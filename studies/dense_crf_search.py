"""Grid search of the dense CRF's parameters, as in RGMP (Oh et al. 2018), sec. 4.3.

Segments the sequences kept out of training once, keeps the probabilities of one frame in `--every`,
and prints J and F of those frames under every combination of parameters, the best J&F first.
The fine grid lies around the best of the coarse one, as in DeepLab (Chen et al. 2016).

    python -m studies.dense_crf_search --davis DAVIS-TRAIN [--model NAME] [--weights FILE]
"""

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rotomask import load_model
from rotomask.arrays import Frame, Probabilities
from rotomask.data.benchmarks.sequences import VideoSequence
from rotomask.evaluation import boundary_accuracy, open_benchmark, region_similarity
from rotomask.refine import DenseCRFConfig, dense_crf
from rotomask.segmenters.base import Segmenter

HELD_OUT = ["dog-agility", "hike", "motorbike", "swing"]
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "coarse": {
        "smoothness_weight": (0.0, 3.0),
        "appearance_weight": (2.0, 4.0, 8.0),
        "appearance_sigma_px": (20.0, 40.0, 80.0),
        "appearance_sigma_rgb": (4.0, 8.0, 16.0),
    },
    "fine": {
        "smoothness_weight": (0.0, 1.0),
        "appearance_weight": (3.0, 4.0, 6.0),
        "appearance_sigma_px": (30.0, 40.0, 60.0),
        "appearance_sigma_rgb": (3.0, 4.0, 6.0),
    },
}

Sample = tuple[Probabilities, Frame, np.ndarray]


def samples(segmenter: Segmenter, sequence: VideoSequence, every: int) -> list[Sample]:
    """Probabilities, frame and true mask (H×W bool) of one scored frame in so many."""
    kept = []
    for index, frame in enumerate(sequence.frames()):
        if index == 0:
            segmenter.start(frame, sequence.prompts()[0][0])
            continue
        probabilities = segmenter.step(frame)
        if index % every == 0 and index < len(sequence) - 1:
            truth = sequence.annotation(sequence.frame_names[index]) > 0
            kept.append((probabilities, frame, truth))
    return kept


def scores(groups: list[list[Sample]], config: DenseCRFConfig | None) -> tuple[float, float, float]:
    """Mean J and F over the sequences, and seconds a frame; None: without a CRF."""
    region, boundary = [], []
    spent = 0.0
    for group in groups:
        values = []
        for probabilities, frame, truth in group:
            began = time.perf_counter()
            refined = probabilities if config is None else dense_crf(probabilities, frame, config)
            spent += time.perf_counter() - began
            mask = refined.argmax(0) > 0
            values.append((region_similarity(mask, truth), boundary_accuracy(mask, truth)))
        j, f = np.mean(values, axis=0)
        region.append(j)
        boundary.append(f)
    return float(np.mean(region)), float(np.mean(boundary)), spent / sum(map(len, groups))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--grid", choices=list(GRIDS), default="coarse")
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--best", type=int, default=10, help="how many to print")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    segmenter = load_model(arguments.model, weights=arguments.weights)
    dataset = open_benchmark("davis2016", arguments.davis, "train").select(HELD_OUT)
    groups = [samples(segmenter, sequence, arguments.every) for sequence in dataset]
    found, grid = [], GRIDS[arguments.grid]
    for values in itertools.product(*grid.values()):
        config = replace(DenseCRFConfig(), **dict(zip(grid, values, strict=True)))
        found.append((scores(groups, config), values))
    found.sort(key=lambda item: -sum(item[0][:2]))
    print(f"{sum(map(len, groups))} frames of {', '.join(HELD_OUT)}; {len(found)} combinations")
    print(f"{'':>44} {'J':>7} {'F':>7} {'ms/frame':>9}")
    for (j, f, seconds), values in [(scores(groups, None), ("without",)), *found[: arguments.best]]:
        named = " ".join(f"{v:>10}" for v in values)
        print(f"{named:>44} {j:7.4f} {f:7.4f} {1000 * seconds:9.0f}")
    print(", ".join(grid))


if __name__ == "__main__":
    main()
