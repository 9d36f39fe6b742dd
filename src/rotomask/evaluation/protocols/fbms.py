"""Scoring of FBMS-59, whose regions are matched to the result's clusters over a whole sequence."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.measures.statistics import nan_mean, summarize
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore

EXTRACTED_F = 0.75
"""Least F of an extracted object (Ochs et al. 2014, sec. 6)."""

FOREGROUND_ID = -1
"""The object id that stands for the union of all objects in the score."""

Counts = npt.NDArray[np.int64]
"""Pixels that each region (row) shares with each cluster (column): R×C."""


def score_regions(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """P, R and F of every region, and P, R, F and J of the union of the objects.

    Ochs et al. 2014, sec. 6. Precision is overlap / cluster and recall is overlap / region, with
    pixels counted over all labelled frames. The sequence's F is computed from its mean P and mean
    R. A region without a cluster, or whose cluster shares no pixel with it, has P = 1 and R = 0.
    The background is a region too.

    Raises:
        DatasetError: If a labelled frame has no result and `results.on_missing` is "error".
        MaskError: If a file is damaged or has the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    # (region, cluster) -> pixels that they share in all frames together: a match holds for the
    # whole sequence, so an object that is exchanged for another costs.
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
            matched_id=None if column is None else clusters[column],
        )
        for region, column, figures in zip(regions, matched, scores, strict=True)
    ]
    union = _union_figures(regions, clusters, table)
    union["J_foreground"] = summarize(foreground).mean
    objects.append(
        ObjectScore(
            object_id=FOREGROUND_ID,
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
    """Assign at most one cluster to each region, for the largest sum of F.

    Args:
        table: Pixels that each region (row) shares with each cluster (column), R×C.

    Returns:
        For each region the column of its cluster or None, and its P, R and F.
    """
    region_sizes = table.sum(axis=1, keepdims=True)  # R×1
    cluster_sizes = table.sum(axis=0, keepdims=True)  # 1×C
    # With P = overlap / cluster and R = overlap / region, 2PR / (P + R) = 2 overlap / (cluster +
    # region), which has no 0 / 0 where the overlap is 0.
    f = 2 * table / np.maximum(region_sizes + cluster_sizes, 1)
    rows, columns = linear_sum_assignment(-f)  # it minimizes
    matched: list[int | None] = [None] * len(table)
    figures: list[Figures] = [{"P": 1.0, "R": 0.0, "F": 0.0} for _ in table]
    for row, column in zip(rows, columns, strict=True):
        overlap = int(table[row, column])
        if overlap:
            matched[row] = int(column)
            precision = overlap / int(cluster_sizes[0, column])
            recall = overlap / int(region_sizes[row, 0])
            figures[row] = {"P": precision, "R": recall, "F": f_measure(precision, recall)}
    return matched, figures


def f_measure(precision: float, recall: float) -> float:
    """2PR / (P + R); 0 if both are 0, NaN if either is NaN."""
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def summarize_regions(sequences: Sequence[SequenceScore]) -> Figures:
    """The data set's figures: the means of P and R over sequences, and the F of these means."""

    def mean(name: str) -> float:
        return nan_mean([sequence.figures[name] for sequence in sequences])

    return {
        "F": f_measure(mean("P"), mean("R")),
        "P": mean("P"),
        "R": mean("R"),
        "F_foreground": f_measure(mean("P_foreground"), mean("R_foreground")),
        "P_foreground": mean("P_foreground"),
        "R_foreground": mean("R_foreground"),
        "J_foreground": mean("J_foreground"),
        "objects": sum(sequence.figures["objects"] for sequence in sequences),
        "extracted": sum(sequence.figures["extracted"] for sequence in sequences),
    }


def _sequence_figures(objects: list[ObjectScore], union: Figures) -> Figures:
    """The sequence's figures: F of mean P and R over regions, the union's, and counts."""
    regions = [item for item in objects if item.object_id != FOREGROUND_ID]
    precision = nan_mean([item.figures["P"] for item in regions])
    recall = nan_mean([item.figures["R"] for item in regions])
    foreground = [item for item in regions if item.object_id != 0]
    return {
        "F": f_measure(precision, recall),
        "P": precision,
        "R": recall,
        **union,
        "objects": float(len(foreground)),
        "extracted": float(sum(item.figures["F"] >= EXTRACTED_F for item in foreground)),
    }


def _union_figures(regions: list[int], clusters: list[int], table: Counts) -> Figures:
    """P, R and F of all clusters but 0 together against all regions but 0 together."""
    rows = np.array([region != 0 for region in regions], bool)
    columns = np.array([cluster != 0 for cluster in clusters], bool)
    overlap = int(table[rows][:, columns].sum())
    predicted, true = int(table[:, columns].sum()), int(table[rows].sum())
    if not true:  # the labelled frames have no object, so neither P nor R is defined
        return {"F_foreground": math.nan, "P_foreground": math.nan, "R_foreground": math.nan}
    precision = overlap / predicted if predicted else 1.0
    recall = overlap / true
    return {
        "F_foreground": f_measure(precision, recall),
        "P_foreground": precision,
        "R_foreground": recall,
    }


def _overlaps(truth: Labels, prediction: Labels) -> dict[tuple[int, int], int]:
    """(region, cluster) -> number of pixels that they share in one frame, if any."""
    # A joint histogram by one bincount: each pair is one number, region · base + cluster.
    base = int(prediction.max(initial=0)) + 1
    counts = np.bincount((truth.astype(np.int64) * base + prediction).ravel())
    return {
        (int(code) // base, int(code) % base): int(counts[code]) for code in np.flatnonzero(counts)
    }
