"""Scoring of DAVIS-2017 unsupervised, whose results' objects are matched to the annotated ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rotomask.data.sequences import VideoSequence
from rotomask.errors import DatasetError
from rotomask.evaluation.protocols.predictions import FramePair, ResultFolder
from rotomask.evaluation.protocols.tracks import (
    TrackProtocol,
    average_figures,
    measure_masks,
    object_figures,
)
from rotomask.evaluation.results import ObjectScore, SequenceScore
from rotomask.masks import object_ids as ids_in

MAX_PROPOSALS = 20
"""Most proposals per sequence that the benchmark allows."""

Values = dict[str, list[float]]
"""Measure -> its value in each frame so far."""


@dataclass(kw_only=True)
class Proposals:
    """Values of every pair of proposal and object, collected frame by frame."""

    object_ids: tuple[int, ...]
    protocol: TrackProtocol
    void_label: int | None
    frames: list[str] = field(default_factory=list)
    values: dict[int, dict[int, Values]] = field(default_factory=dict)
    """Proposal -> object -> values. Proposal 0 is empty in every frame."""

    def __post_init__(self) -> None:
        measures = [m for m in self.protocol.measures if m in ("J", "F")]
        self.values[0] = {k: {m: [] for m in measures} for k in self.object_ids}

    def add(self, pair: FramePair) -> None:
        """Score every proposal against every object in the next frame."""
        void = None if self.void_label is None else pair.truth == self.void_label
        empty = np.zeros(pair.truth.shape, bool)
        truths = {k: pair.truth == k for k in self.object_ids}
        # Many proposals are empty in many frames, and all of them have the same values there.
        of_empty = {k: measure_masks(empty, truths[k], void, self.protocol) for k in truths}
        present = ids_in(pair.prediction)
        for proposal in present:
            if proposal not in self.values:  # it was empty in the frames before
                past = self.values[0]
                self.values[proposal] = {
                    k: {m: list(series) for m, series in past[k].items()} for k in past
                }
        for proposal, by_object in self.values.items():
            # Compared only where it has a pixel: of P proposals a frame shows a few.
            mask = pair.prediction == proposal if proposal in present else None
            for k, values in by_object.items():
                frame_values = of_empty[k]
                if mask is not None:
                    frame_values = measure_masks(mask, truths[k], void, self.protocol)
                for measure, value in frame_values.items():
                    values[measure].append(value)
        self.frames.append(pair.name)

    def match(self) -> Mapping[int, int]:
        """Object -> proposal, for the largest sum of the measures' means over frames.

        Objects without a proposal get proposal 0, the empty one. Proposals without an object do not
        lower the score.
        """
        # One copy of the empty proposal per object, so that each object can be left unmatched.
        proposals = [k for k in self.values if k] + [0] * len(self.object_ids)
        # P+O × O: a row for each proposal and for each copy of the empty one, a column for each
        # object.
        quality = np.array([[self._quality(p, k) for k in self.object_ids] for p in proposals])
        rows, columns = linear_sum_assignment(-quality)  # it minimizes
        return {self.object_ids[c]: proposals[r] for r, c in zip(rows, columns, strict=True)}

    def _quality(self, proposal: int, object_id: int) -> float:
        series: list[npt.NDArray[np.float64]] = [
            np.array(values) for values in self.values[proposal][object_id].values()
        ]
        return float(np.mean([values.mean() for values in series]))


def score_proposals(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """The score of one sequence, after matching its proposals to the objects.

    Raises:
        DatasetError: If results are missing, or there are more than 20 proposals.
        MaskError: If a file is damaged or has the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    proposals = Proposals(
        object_ids=sequence.object_ids, protocol=protocol, void_label=sequence.void_label
    )
    for pair in results.pairs(sequence, frames):
        proposals.add(pair)
        if len(proposals.values) - 1 > MAX_PROPOSALS:
            raise DatasetError(
                f"the results for {sequence.name} have more than {MAX_PROPOSALS} objects, the "
                "most that the benchmark allows; remove the worst"
            )
    matched = proposals.match() if frames else dict.fromkeys(sequence.object_ids, 0)
    objects = tuple(
        ObjectScore(
            object_id=k,
            figures=object_figures(proposals.values[matched[k]][k]),
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
        notes.append(f"no proposal matches object {', '.join(unmatched)}")
    return SequenceScore(
        name=sequence.name,
        figures=average_figures([item.figures for item in objects]),
        objects=objects,
        notes=tuple(notes),
    )
