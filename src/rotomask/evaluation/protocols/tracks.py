"""Scoring of objects with annotated ids: J, F and T of every object in every scored frame."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.sequences import VideoSequence
from rotomask.errors import OptionError
from rotomask.evaluation.measures.boundary import DAVIS_TOLERANCE, accuracy_of_planes, tolerance_px
from rotomask.evaluation.measures.cropping import crop_to_objects
from rotomask.evaluation.measures.region import similarity_of_planes
from rotomask.evaluation.measures.stability import temporal_stability
from rotomask.evaluation.measures.statistics import nan_mean, summarize
from rotomask.evaluation.protocols.predictions import FramePair, ResultFolder
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore
from rotomask.masks import object_ids as ids_in

MEASURES = ("J", "F", "T")

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrackProtocol:
    """The measures to compute, and the tolerance of F."""

    measures: tuple[str, ...] = ("J", "F")
    """Any of "J", "F" and "T" (temporal stability, slow; not for unsupervised DAVIS-2017)."""
    tolerance: float = DAVIS_TOLERANCE
    """Tolerance of F: fraction of the frame's diagonal if below 1, else pixels."""

    def __post_init__(self) -> None:
        unknown = set(self.measures) - set(MEASURES)
        if unknown or not self.measures:
            raise OptionError(
                f"measures must be J, F or T, got {', '.join(self.measures) or 'none'}"
            )


@dataclass(kw_only=True)
class Tracks:
    """Values of one sequence's objects, collected frame by frame."""

    object_ids: tuple[int, ...]
    protocol: TrackProtocol
    has_stability: bool = True
    """False to leave out T even if the protocol has it."""
    merged: bool = False
    """True if every label but 0 of a result is the only object."""
    void_label: int | None = None
    """Label of annotated pixels to ignore."""
    values: dict[int, dict[str, list[float]]] = field(init=False)
    """Object id -> measure -> value in each frame of `frames`."""
    frames: dict[int, list[str]] = field(init=False)
    """Object id -> names of the frames in which it was scored."""
    extra_ids: set[int] = field(default_factory=set)
    """Ids in the results that the annotation lacks."""
    white_frames: int = 0
    """Number of 0/255 masks in the results of a sequence with one object."""

    def __post_init__(self) -> None:
        measures = self.protocol.measures
        self.values = {k: {measure: [] for measure in measures} for k in self.object_ids}
        self.frames = {k: [] for k in self.object_ids}
        self._previous: dict[int, BoolMask] = {}

    def add(self, pair: FramePair, scored_ids: Collection[int]) -> None:
        """Score some objects in the next frame.

        Args:
            pair: Result and annotation of the frame.
            scored_ids: Ids of the objects to score in this frame.
        """
        prediction = self._with_annotated_ids(pair.prediction)
        void = None if self.void_label is None else pair.truth == self.void_label
        for object_id in scored_ids:
            mask, truth = prediction == object_id, pair.truth == object_id
            for measure, value in measure_masks(mask, truth, void, self.protocol).items():
                # Values of a frame are kept, not only their mean: recall and decay need them.
                self.values[object_id][measure].append(value)
            if "T" in self.protocol.measures:
                self.values[object_id]["T"].append(self._stability(object_id, mask))
            self.frames[object_id].append(pair.name)

    def _stability(self, object_id: int, mask: BoolMask) -> float:
        """T from the object's last scored frame to this one; NaN in the first."""
        previous = self._previous.get(object_id)
        self._previous[object_id] = mask
        if previous is None or not self.has_stability:
            return math.nan
        return temporal_stability(previous, mask)

    def _with_annotated_ids(self, prediction: Labels) -> Labels:
        """The result, H×W integers, with the annotation's object ids."""
        if self.merged:  # the only object has id 1
            foreground: Labels = (prediction != 0).view(np.uint8)
            return foreground
        ids = set(ids_in(prediction))
        # Many tools write the only object as white on black, whatever its annotated id is.
        if len(self.object_ids) == 1 and ids == {255} and self.object_ids != (255,):
            self.white_frames += 1
            return np.where(prediction != 0, self.object_ids[0], 0)
        # Not refused: such labels count as background, and the notes name them.
        self.extra_ids |= ids - set(self.object_ids)
        return prediction

    def notes(self) -> tuple[str, ...]:
        """Remarks on the results for the user."""
        notes = []
        if self.extra_ids:
            listed = ", ".join(map(str, sorted(self.extra_ids)))
            notes.append(f"ids that the annotation lacks were scored as background: {listed}")
        if self.white_frames:
            notes.append(
                f"0/255 masks in {self.white_frames} frames: 255 was scored as "
                f"object {self.object_ids[0]}"
            )
        return tuple(notes)

    def score(
        self, name: str, categories: Mapping[int, str] | None = None, notes: Sequence[str] = ()
    ) -> SequenceScore:
        """The score of the sequence, whose figures are the means over its objects."""
        objects = tuple(
            ObjectScore(
                object_id=k,
                figures=object_figures(self.values[k]),
                frames=tuple(self.frames[k]),
                curves={m: np.array(series, float) for m, series in self.values[k].items()},
                category=(categories or {}).get(k),
            )
            for k in self.object_ids
        )
        all_notes = (*self.notes(), *notes)
        if not any(self.frames.values()):
            all_notes += ("no frame is scored: the sequence does not count for the means",)
        figures = average_figures([item.figures for item in objects])
        return SequenceScore(name=name, figures=figures, objects=objects, notes=all_notes)


def measure_masks(
    mask: BoolMask, truth: BoolMask, void: BoolMask | None, protocol: TrackProtocol
) -> dict[str, float]:
    """The protocol's J and F of one object in one frame.

    Args:
        mask: The predicted object, H×W bool.
        truth: The annotated object, H×W bool.
        void: Pixels to ignore, H×W bool, or None.
        protocol: Measures and tolerance.

    Raises:
        ShapeError: If the shapes differ or an array is not H×W bool.
    """
    planes = crop_to_objects(mask, truth, void)  # cropped once for both measures
    if planes is None:
        return {measure: 1.0 for measure in protocol.measures if measure in ("J", "F")}
    values = {}
    if "J" in protocol.measures:
        values["J"] = similarity_of_planes(planes)
    if "F" in protocol.measures:
        radius = tolerance_px(truth.shape, protocol.tolerance)
        values["F"] = accuracy_of_planes(planes, radius)
    return values


def score_tracks(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """The score of one sequence from its result masks on disk.

    Raises:
        DatasetError: If a scored frame has no result and `results.on_missing` is "error".
        MaskError: If a file is damaged or has the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    tracks = Tracks(
        object_ids=sequence.object_ids,
        protocol=protocol,
        merged=sequence.merged,
        has_stability=sequence.has_stability,
        void_label=sequence.void_label,
    )
    scored = {k: frozenset(names) for k, names in sequence.scored.items()}
    for pair in results.pairs(sequence, frames):
        tracks.add(pair, [k for k in sequence.object_ids if pair.name in scored[k]])
    notes = []
    if missing:
        notes.append(f"{len(missing)} of {len(frames)} frames have no result: scored as empty")
    return tracks.score(sequence.name, sequence.categories, notes)


def object_figures(values: Mapping[str, Sequence[float]]) -> Figures:
    """Figures of one object: mean, recall and decay of J and F, mean of T, and J&F.

    Args:
        values: Measure -> its value in each scored frame.
    """
    figures: Figures = {}
    for measure, series in values.items():
        if measure == "T":  # the benchmark reports neither recall nor decay of T
            figures["T_mean"] = nan_mean(series)
            continue
        statistics = summarize(series)
        figures[f"{measure}_mean"] = statistics.mean
        figures[f"{measure}_recall"] = statistics.recall
        figures[f"{measure}_decay"] = statistics.decay
    return with_j_and_f(figures)


def average_figures(figures: Iterable[Figures]) -> Figures:
    """The unweighted mean of each figure, ignoring NaN."""
    series: dict[str, list[float]] = {}
    for item in figures:
        for key, value in item.items():
            series.setdefault(key, []).append(value)
    return {key: nan_mean(values) for key, values in series.items()}


def with_j_and_f(figures: Figures) -> Figures:
    """The figures with J&F, the mean of J_mean and F_mean, in front if both exist."""
    if "J_mean" not in figures or "F_mean" not in figures:
        return figures
    return {"J&F": (figures["J_mean"] + figures["F_mean"]) / 2} | figures
