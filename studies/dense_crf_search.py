"""Grid search of the dense CRF's parameters, as in RGMP (Oh et al. 2018), sec. 4.3.

Segments the held-out sequences once, stores the probabilities of one frame in `--every`, and prints
J and F of those frames for every combination of parameters, the best J&F first. The fine grid lies
around the best point of the coarse one, as in DeepLab (Chen et al. 2016).

    python -m studies.dense_crf_search --davis DAVIS-TRAIN [--model NAME] [--weights FILE]
"""

import itertools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask import load_model
from rotomask.arrays import Frame, Probabilities
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation import boundary_accuracy, region_similarity
from rotomask.refine import DenseCRFConfig, dense_crf
from rotomask.segmenters.base import Segmenter
from studies.measuring import follow_sequence
from studies.scripts import add_davis, open_davis, parse, script_parser

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

Sample = tuple[Probabilities, Frame, npt.NDArray[np.bool_]]
"""Probabilities, frame and the true mask H×W."""


def samples(segmenter: Segmenter, sequence: VideoSequence, every: int) -> list[Sample]:
    """One scored frame in so many: DAVIS scores neither the first nor the last."""
    collected = []
    for one in follow_sequence(segmenter, sequence):
        is_scored = 0 < one.index < len(sequence) - 1
        if one.probabilities is not None and is_scored and one.index % every == 0:
            truth = sequence.annotation(sequence.frame_names[one.index]) > 0
            collected.append((one.probabilities, one.frame, truth))
    return collected


def scores(groups: list[list[Sample]], config: DenseCRFConfig | None) -> tuple[float, float, float]:
    """Mean J and F over the sequences, and seconds a frame; None stands for no CRF."""
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
    parser = script_parser(__doc__)
    add_davis(parser, split="held-out")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--grid", choices=list(GRIDS), default="coarse")
    parser.add_argument("--every", type=int, default=4, help="use one frame in so many")
    parser.add_argument("--best", type=int, default=10, help="how many combinations to print")
    arguments = parse(parser)
    segmenter = load_model(arguments.model, weights=arguments.weights)
    dataset = open_davis(arguments)
    groups = [samples(segmenter, sequence, arguments.every) for sequence in dataset]
    grid = GRIDS[arguments.grid]
    results = []
    for values in itertools.product(*grid.values()):
        config = crf_config(dict(zip(grid, values, strict=True)))
        results.append((scores(groups, config), " ".join(f"{v:>10}" for v in values)))
    results.sort(key=lambda result: -sum(result[0][:2]))
    names = ", ".join(sequence.name for sequence in dataset)
    print(f"{sum(map(len, groups))} frames of {names}; {len(results)} combinations")
    print(f"{'':>44} {'J':>7} {'F':>7} {'ms/frame':>9}")
    for (j, f, seconds), values_text in [
        (scores(groups, None), "without"),
        *results[: arguments.best],
    ]:
        print(f"{values_text:>44} {j:7.4f} {f:7.4f} {1000 * seconds:9.0f}")
    print(", ".join(grid))


def crf_config(parameters: dict[str, float]) -> DenseCRFConfig:
    """The default CRF with some of its parameters replaced."""
    return replace(
        DenseCRFConfig(),
        smoothness_weight=parameters["smoothness_weight"],
        appearance_weight=parameters["appearance_weight"],
        appearance_sigma_px=parameters["appearance_sigma_px"],
        appearance_sigma_rgb=parameters["appearance_sigma_rgb"],
    )


if __name__ == "__main__":
    main()
