"""FBMS-59: regions, background included, matched to the result's clusters over a whole sequence."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.benchmarks.sequences import VideoSequence
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.measures.statistics import mean_of_known, summarize
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore

EXTRACTED = 0.75
"""An object with at least this F counts as extracted (Ochs et al. 2014, sec. 6)."""

FOREGROUND = -1
"""The id under which the union of all objects is reported."""

Counts = npt.NDArray[np.int64]


def score_regions(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """P, R and F of every region, and P, R, F and J of the union of the objects.

    Ochs et al. 2014, sec. 6. Precision is overlap / cluster, recall overlap / region, both counted
    over all labelled frames; the sequence's F is that of its mean P and mean R. A region without a
    cluster, or matched to one with which it shares no pixel, has P = 1 and R = 0.

    Raises:
        DatasetError: If a labelled frame has no result and the folder is not to allow that.
        MaskError: If a file is damaged or of the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    overlap: dict[tuple[int, int], int] = {}
    foreground: list[float] = []
    for pair in results.pairs(sequence, frames):
        for key, count in _overlaps(pair.truth, pair.prediction).items():
            overlap[key] = overlap.get(key, 0) + count
        foreground.append(region_similarity(pair.prediction != 0, pair.truth != 0))
    regions = sorted({region for region, _ in overlap})
    clusters = sorted({cluster for _, cluster in overlap})
    table = np.array([[overlap.get((r, c), 0) for c in clusters] for r in regions], np.int64)
    matched, scores = match_regions(table)
    objects = [
        ObjectScore(
            object_id=region,
            figures=figures,
            category="background" if region == 0 else "object",
            matched_id=None if place is None else clusters[place],
        )
        for region, place, figures in zip(regions, matched, scores, strict=True)
    ]
    union = _union_figures(regions, clusters, table)
    union["J_foreground"] = summarize(foreground).mean
    objects.append(
        ObjectScore(
            object_id=FOREGROUND,
            figures=union,
            frames=frames,
            curves={"J": np.array(foreground, float)},
            category="all objects",
        )
    )
    note = f"{len(missing)} of {len(frames)} frames have no result: scored as empty"
    return SequenceScore(
        name=sequence.name,
        figures=_sequence_figures(objects, union),
        objects=tuple(objects),
        notes=(note,) if missing else (),
    )


def match_regions(table: Counts) -> tuple[list[int | None], list[Figures]]:
    """One cluster at most for every region, so that the sum of F is largest.

    Args:
        table: Pixels that region i and cluster j share.

    Returns:
        For every region the place of its cluster or None, and its P, R and F.
    """
    region_size = table.sum(axis=1, keepdims=True)
    cluster_size = table.sum(axis=0, keepdims=True)
    f = 2 * table / np.maximum(region_size + cluster_size, 1)  # 2PR / (P + R), without a 0 / 0
    rows, columns = linear_sum_assignment(-f)
    matched: list[int | None] = [None] * len(table)
    figures: list[Figures] = [{"P": 1.0, "R": 0.0, "F": 0.0} for _ in table]
    for row, column in zip(rows, columns, strict=True):
        shared = int(table[row, column])
        if shared:
            matched[row] = int(column)
            precision = shared / int(cluster_size[0, column])
            recall = shared / int(region_size[row, 0])
            figures[row] = {"P": precision, "R": recall, "F": f_of(precision, recall)}
    return matched, figures


def f_of(precision: float, recall: float) -> float:
    """2PR / (P + R), 0 where both are 0; NaN where either is."""
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def summarize_regions(sequences: Sequence[SequenceScore]) -> Figures:
    """The data set's figures: means of P and R over sequences, and the F of those means."""

    def mean(name: str) -> float:
        return mean_of_known([sequence.figures[name] for sequence in sequences])

    return {
        "F": f_of(mean("P"), mean("R")),
        "P": mean("P"),
        "R": mean("R"),
        "F_foreground": f_of(mean("P_foreground"), mean("R_foreground")),
        "P_foreground": mean("P_foreground"),
        "R_foreground": mean("R_foreground"),
        "J_foreground": mean("J_foreground"),
        "objects": sum(sequence.figures["objects"] for sequence in sequences),
        "extracted": sum(sequence.figures["extracted"] for sequence in sequences),
    }


def _sequence_figures(objects: list[ObjectScore], union: Figures) -> Figures:
    regions = [item for item in objects if item.object_id != FOREGROUND]
    precision = mean_of_known([item.figures["P"] for item in regions])
    recall = mean_of_known([item.figures["R"] for item in regions])
    foreground = [item for item in regions if item.object_id != 0]
    return {
        "F": f_of(precision, recall),
        "P": precision,
        "R": recall,
        **union,
        "objects": float(len(foreground)),
        "extracted": float(sum(item.figures["F"] >= EXTRACTED for item in foreground)),
    }


def _union_figures(regions: list[int], clusters: list[int], table: Counts) -> Figures:
    """P, R and F of what is not background against what is not background."""
    rows = np.array([region != 0 for region in regions], bool)
    columns = np.array([cluster != 0 for cluster in clusters], bool)
    shared = int(table[rows][:, columns].sum())
    found, true = int(table[:, columns].sum()), int(table[rows].sum())
    if not true:  # no object in the labelled frames: nothing to find
        return {"F_foreground": math.nan, "P_foreground": math.nan, "R_foreground": math.nan}
    precision = shared / found if found else 1.0
    recall = shared / true
    return {
        "F_foreground": f_of(precision, recall),
        "P_foreground": precision,
        "R_foreground": recall,
    }


def _overlaps(truth: Labels, prediction: Labels) -> dict[tuple[int, int], int]:
    """(region, cluster) -> pixels they share in this frame."""
    width = int(prediction.max(initial=0)) + 1
    counts = np.bincount((truth.astype(np.int64) * width + prediction).ravel())
    return {
        (int(code) // width, int(code) % width): int(counts[code])
        for code in np.flatnonzero(counts)
    }
