"""DAVIS-2017 unsupervised: the result's objects have no known ids and are matched to the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rotomask.data.benchmarks.sequences import VideoSequence
from rotomask.errors import DatasetError
from rotomask.evaluation.protocols.predictions import FramePair, ResultFolder
from rotomask.evaluation.protocols.tracks import (
    TrackProtocol,
    average_figures,
    figures_of,
    measure_masks,
)
from rotomask.evaluation.results import ObjectScore, SequenceScore
from rotomask.masks import object_ids as ids_in

MOST_PROPOSALS = 20
"""The benchmark takes no more a sequence."""

Values = dict[str, list[float]]
"""Measure -> its value in every frame so far."""


@dataclass(kw_only=True)
class Proposals:
    """Collects the values of every pair of proposal and object, a frame at a time."""

    object_ids: tuple[int, ...]
    protocol: TrackProtocol
    void_label: int | None
    frames: list[str] = field(default_factory=list)
    values: dict[int, dict[int, Values]] = field(default_factory=dict)
    """Proposal -> object -> values; proposal 0 is one that is always empty."""

    def __post_init__(self) -> None:
        measures = [m for m in self.protocol.measures if m in ("J", "F")]
        self.values[0] = {k: {m: [] for m in measures} for k in self.object_ids}

    def add(self, pair: FramePair) -> None:
        """Measure every proposal of this frame against every object."""
        void = None if self.void_label is None else pair.truth == self.void_label
        empty = np.zeros(pair.truth.shape, bool)
        truths = {k: pair.truth == k for k in self.object_ids}
        nothing = {k: measure_masks(empty, truths[k], void, self.protocol) for k in truths}
        present = ids_in(pair.prediction)
        for proposal in present:
            if proposal not in self.values:  # before it appeared, it was empty
                past = self.values[0]
                self.values[proposal] = {
                    k: {m: list(series) for m, series in past[k].items()} for k in past
                }
        for proposal, by_object in self.values.items():
            mask = pair.prediction == proposal if proposal in present else None
            for k, values in by_object.items():
                measured = nothing[k]
                if mask is not None:
                    measured = measure_masks(mask, truths[k], void, self.protocol)
                for measure, value in measured.items():
                    values[measure].append(value)
        self.frames.append(pair.name)

    def match(self) -> Mapping[int, int]:
        """Object -> its proposal, so that the sum of the frame-means of all measures is largest.

        An object for which no proposal is left has proposal 0, the empty one. Proposals without an
        object cost nothing.
        """
        proposals = [k for k in self.values if k] + [0] * len(self.object_ids)
        quality = np.array([[self._quality(p, k) for k in self.object_ids] for p in proposals])
        rows, columns = linear_sum_assignment(-quality)
        return {self.object_ids[c]: proposals[r] for r, c in zip(rows, columns, strict=True)}

    def _quality(self, proposal: int, object_id: int) -> float:
        series: list[npt.NDArray[np.float64]] = [
            np.array(values) for values in self.values[proposal][object_id].values()
        ]
        return float(np.mean([values.mean() for values in series]))


def score_proposals(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """Match and score the proposals of one sequence.

    Raises:
        DatasetError: If results are missing, or there are more than 20 proposals.
        MaskError: If a file is damaged or of the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    proposals = Proposals(
        object_ids=sequence.object_ids, protocol=protocol, void_label=sequence.void_label
    )
    for pair in results.pairs(sequence, frames):
        proposals.add(pair)
        if len(proposals.values) - 1 > MOST_PROPOSALS:
            raise DatasetError(
                f"the results for {sequence.name} have more than {MOST_PROPOSALS} objects, the "
                "most that the benchmark takes; keep the best ones"
            )
    matched = proposals.match() if frames else dict.fromkeys(sequence.object_ids, 0)
    objects = tuple(
        ObjectScore(
            object_id=k,
            figures=figures_of(proposals.values[matched[k]][k]),
            frames=tuple(proposals.frames),
            curves={m: np.array(v, float) for m, v in proposals.values[matched[k]][k].items()},
            matched_id=matched[k] or None,
        )
        for k in sequence.object_ids
    )
    notes = []
    if missing:
        notes.append(f"{len(missing)} of {len(frames)} frames have no result: scored as empty")
    unmatched = [str(k) for k in sequence.object_ids if not matched[k]]
    if unmatched:
        notes.append(f"no proposal was left for object {', '.join(unmatched)}")
    return SequenceScore(
        name=sequence.name,
        figures=average_figures([item.figures for item in objects]),
        objects=objects,
        notes=tuple(notes),
    )
