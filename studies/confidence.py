"""The weights of `segmenters.confidence`, and how well it tells which masks are wrong.

A logistic regression predicts J of each object and frame. It is fitted to the sequences of
DAVIS-2016 train without the held-out ones, thinned so that objects move faster and are lost, and to
videos of several objects composed of them; measured on the held-out sequences and on a folder of
other sequences, and on videos composed of either.

    python -m studies.confidence --davis DAVIS-TRAIN --others DAVIS-VAL

The shipped weights of stm-lite have seen all of DAVIS-2016 train: of them only the last two groups
are a test. `--weights` takes others.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import spearmanr

from rotomask.catalog import load_model
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import (
    FEATURES,
    LEFT_CONFIDENCE,
    LOST_CONFIDENCE,
    UNCERTAIN,
    WEIGHTS,
    ConfidenceMeter,
)
from rotomask.segmenters.follow import Annotation, follow
from rotomask.training.composed_videos import compose_videos
from rotomask.training.video_split import HELD_OUT
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

Array = npt.NDArray[np.float64]
BAD = 0.5
"""J below which a mask is wrong."""
FALSE_ALARMS = 0.1


@dataclass(frozen=True)
class Sample:
    """One object in one frame."""

    region: float
    """Its J."""
    confidence: float
    """As shipped."""
    features: dict[str, float] | None
    """None where the object is gone."""


def samples(segmenter: Segmenter, video: VideoSequence, step: int = 1) -> Iterator[Sample]:
    """Every object and frame of a video of which every `step`-th frame is followed."""
    pictures = [video.read(index) for index in range(0, len(video), step)]
    frames = ((index, picture) for index, (picture, _) in enumerate(pictures))
    reference = {0: Annotation(pictures[0][1].astype(np.int32))}
    shipped, fitted = ConfidenceMeter(), ConfidenceMeter()
    for followed in follow(segmenter, frames, reference):
        confidences = shipped.measure(followed, segmenter.object_ids)
        features = fitted.features(followed, segmenter.object_ids)
        truth = pictures[followed.index][1]
        for object_id, confidence in confidences.items():
            a, b = truth == object_id, followed.labels == object_id
            union = int((a | b).sum())
            region = float((a & b).sum()) / union if union else 1.0
            yield Sample(region, confidence.value, features[object_id])


def fit(measured: Sequence[Sample], penalty: float = 1e-3) -> tuple[dict[str, float], float]:
    """Weights and bias of the logistic regression.

    Args:
        measured: Samples; those without features are left out.
        penalty: Factor of the mean square of the weights.
    """
    used = [s for s in measured if s.features is not None]
    x, y = _design(used), np.array([s.region for s in used])

    def loss(beta: Array) -> tuple[float, Array]:
        z = x @ beta
        value = (np.logaddexp(0, z) - y * z).mean() + penalty * (beta[:-1] ** 2).mean()
        gradient = x.T @ (1 / (1 + np.exp(-z)) - y) / len(y)
        gradient[:-1] += 2 * penalty * beta[:-1] / (len(beta) - 1)
        return float(value), gradient

    beta = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return dict(zip(FEATURES, beta[:-1], strict=True)), float(beta[-1])


def _design(used: Sequence[Sample]) -> Array:
    """N×(features + 1), the last column ones."""
    rows = [[*(s.features or {}).values(), 1.0] for s in used]
    return np.array(rows, np.float64)


def table(groups: dict[str, list[Sample]]) -> str:
    """How well the shipped confidence finds wrong masks in each group."""
    rows = []
    for name, measured in groups.items():
        region = np.array([s.region for s in measured])
        value = np.array([s.confidence for s in measured])
        bad = region < BAD
        threshold = np.quantile(value[~bad], FALSE_ALARMS)
        figures = [
            np.corrcoef(value, region)[0, 1],
            spearmanr(value, region).statistic,
            np.abs(value - region).mean(),
            (value[bad] < threshold).mean() if bad.any() else float("nan"),
            (value[bad] < UNCERTAIN).mean() if bad.any() else float("nan"),
            (value[~bad] < UNCERTAIN).mean(),
        ]
        cells = ["-" if np.isnan(figure) else f"{figure:.3f}" for figure in figures]
        rows.append([name, str(len(measured)), str(bad.sum()), *cells])
    return markdown_table(
        [
            "masks",
            "number",
            f"J < {BAD:g}",
            "correlation",
            "rank correlation",
            "mean error",
            f"recall at {FALSE_ALARMS:.0%} false alarms",
            f"recall at {UNCERTAIN:g}",
            f"false alarms at {UNCERTAIN:g}",
        ],
        rows,
    )


def _measured(segmenter: Segmenter, videos: Iterable[VideoSequence], step: int = 1) -> list[Sample]:
    found: list[Sample] = []
    for video in videos:
        new = list(samples(segmenter, video, step))
        found += new
        print(video.name, f"J {np.mean([s.region for s in new]):.3f}", flush=True)
    return found


COMMAND = "python -m studies.confidence --davis DAVIS-TRAIN --others DAVIS-VAL --write"
INTRODUCTION = (
    "How well the confidence of a mask ([look and correct](guide/correct.md)) tells that it is\n"
    f'wrong, J below {BAD:g}, as shipped. "Others" are the ten sequences of DAVIS-2016 val, and\n'
    '"composed" are videos of a second object of the same looks or of three different ones, made\n'
    "of those before (`training/composed_videos.py`). The model has seen the held-out sequences\n"
    "since it was trained on all of DAVIS-2016 train. Recall is of the wrong masks."
)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--others", type=Path, help="a data set that is only measured")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path, help="a checkpoint of it")
    parser.add_argument("--fit", action="store_true", help="fit, and print the weights")
    add_write(parser)
    arguments = parse(parser)
    if arguments.write and (arguments.fit or arguments.weights or not arguments.others):
        parser.error("--write is for the shipped model: with --others, without --weights and --fit")
    segmenter = load_model(arguments.model, weights=arguments.weights, device="cpu")
    videos = find_videos(arguments.davis)
    held_out = [v for v in videos if v.name in HELD_OUT]
    groups = {
        "held-out": _measured(segmenter, held_out),
        "composed of held-out": _measured(segmenter, compose_videos(held_out)),
    }
    if arguments.others:
        others = find_videos(arguments.others)
        groups["others"] = _measured(segmenter, others)
        groups["composed of others"] = _measured(segmenter, compose_videos(others))
    if arguments.fit:
        rest = [v for v in videos if v.name not in HELD_OUT]
        fitted = _measured(segmenter, rest, step=3)
        fitted += _measured(segmenter, compose_videos(rest))
        weights, bias = fit(fitted)
        well = [s.features for s in fitted if s.features is not None and s.region >= 0.8]
        typical = {name: float(np.median([f[name] for f in well])) for name in WEIGHTS}
        gone = [s for s in fitted if s.features is None]
        print("WEIGHTS", {k: round(float(v), 3) for k, v in weights.items()})
        print("BIAS", round(bias, 3))
        print("TYPICAL", {k: round(v, 3) for k, v in typical.items()})
        for value in (LEFT_CONFIDENCE, LOST_CONFIDENCE):
            regions = [s.region for s in gone if s.confidence == value]
            print(f"gone, {value}: {len(regions)} masks, J {np.mean(regions or [0]):.2f}")
        groups["fitted"] = fitted
    text = f"{INTRODUCTION}\n\n{table(groups)}"
    publish(arguments, "confidence", "Confidence", text, command=COMMAND)


if __name__ == "__main__":
    main()
