"""Scoring of objects whose ids are given: J and F of every object in every scored frame."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.benchmarks.sequences import VideoSequence
from rotomask.errors import OptionError
from rotomask.evaluation.measures.boundary import DAVIS_TOLERANCE, accuracy_of_planes, tolerance_px
from rotomask.evaluation.measures.cropping import crop_to_objects
from rotomask.evaluation.measures.region import similarity_of_planes
from rotomask.evaluation.measures.stability import temporal_stability
from rotomask.evaluation.measures.statistics import mean_of_known, summarize
from rotomask.evaluation.protocols.predictions import FramePair, ResultFolder
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore
from rotomask.masks import object_ids as ids_in

MEASURES = ("J", "F", "T")

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TrackProtocol:
    """How labelled objects are measured."""

    measures: tuple[str, ...] = ("J", "F")
    """Of "J", "F" and, for objects whose ids are given, "T" (temporal stability: slow)."""
    tolerance: float = DAVIS_TOLERANCE
    """Of F: share of the diagonal, or pixels from 1 on."""

    def __post_init__(self) -> None:
        unknown = set(self.measures) - set(MEASURES)
        if unknown or not self.measures:
            raise OptionError(
                f"measures are of J, F and T, got {', '.join(self.measures) or 'none'}"
            )


@dataclass(kw_only=True)
class Tracks:
    """Collects the values of one sequence's objects, a frame at a time."""

    object_ids: tuple[int, ...]
    protocol: TrackProtocol
    steady: bool = True
    """Whether T is measured where the protocol has it."""
    merged: bool = False
    """Whether every label but 0 of a result is the one object."""
    void_label: int | None = None
    values: dict[int, dict[str, list[float]]] = field(init=False)
    frames: dict[int, list[str]] = field(init=False)
    extra_ids: set[int] = field(default_factory=set)
    white_frames: int = 0
    """Frames of a one-object sequence whose mask was 0/255."""

    def __post_init__(self) -> None:
        measures = self.protocol.measures
        self.values = {k: {measure: [] for measure in measures} for k in self.object_ids}
        self.frames = {k: [] for k in self.object_ids}
        self._last: dict[int, BoolMask] = {}

    def add(self, pair: FramePair, counted: Collection[int]) -> None:
        """Measure the objects that count in this frame."""
        prediction = self._identified(pair.prediction)
        void = None if self.void_label is None else pair.truth == self.void_label
        for object_id in counted:
            mask, truth = prediction == object_id, pair.truth == object_id
            for measure, value in measure_masks(mask, truth, void, self.protocol).items():
                self.values[object_id][measure].append(value)
            if "T" in self.protocol.measures:
                self.values[object_id]["T"].append(self._stability(object_id, mask))
            self.frames[object_id].append(pair.name)

    def _stability(self, object_id: int, mask: BoolMask) -> float:
        """T from the last frame that counted to this one; NaN in the first."""
        last = self._last.get(object_id)
        self._last[object_id] = mask
        if last is None or not self.steady:
            return math.nan
        return temporal_stability(last, mask)

    def _identified(self, prediction: Labels) -> Labels:
        """The result with the annotation's ids."""
        if self.merged:  # its one object always has id 1
            foreground: Labels = (prediction != 0).view(np.uint8)
            return foreground
        ids = set(ids_in(prediction))
        if len(self.object_ids) == 1 and ids == {255} and self.object_ids != (255,):
            self.white_frames += 1
            return np.where(prediction != 0, self.object_ids[0], 0)
        self.extra_ids |= ids - set(self.object_ids)
        return prediction

    def notes(self) -> tuple[str, ...]:
        """What was odd about the results."""
        notes = []
        if self.extra_ids:
            listed = ", ".join(map(str, sorted(self.extra_ids)))
            notes.append(f"ids that the annotation lacks were taken for background: {listed}")
        if self.white_frames:
            notes.append(
                f"0/255 masks in {self.white_frames} frames: 255 was taken for "
                f"object {self.object_ids[0]}"
            )
        return tuple(notes)

    def score(
        self, name: str, categories: Mapping[int, str] | None = None, notes: Sequence[str] = ()
    ) -> SequenceScore:
        """The score of the sequence: its figures are the means over its objects."""
        objects = tuple(
            ObjectScore(
                object_id=k,
                figures=figures_of(self.values[k]),
                frames=tuple(self.frames[k]),
                curves={m: np.array(series, float) for m, series in self.values[k].items()},
                category=(categories or {}).get(k),
            )
            for k in self.object_ids
        )
        all_notes = (*self.notes(), *notes)
        if not any(self.frames.values()):
            all_notes += ("no frame is scored: the sequence is left out of the means",)
        figures = average_figures([item.figures for item in objects])
        return SequenceScore(name=name, figures=figures, objects=objects, notes=all_notes)


def measure_masks(
    mask: BoolMask, truth: BoolMask, void: BoolMask | None, protocol: TrackProtocol
) -> dict[str, float]:
    """The protocol's J and F of one object in one frame; all masks H×W bool."""
    planes = crop_to_objects(mask, truth, void)
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
    """Score the stored masks of one sequence.

    Raises:
        DatasetError: If a scored frame has no result and the folder is not to allow that.
        MaskError: If a file is damaged or of the wrong size.
    """
    frames = sequence.scored_frames()
    missing = results.missing(sequence, frames)
    tracks = Tracks(
        object_ids=sequence.object_ids,
        protocol=protocol,
        merged=sequence.merged,
        steady=sequence.steady,
        void_label=sequence.void_label,
    )
    wanted = {k: frozenset(names) for k, names in sequence.scored.items()}
    for pair in results.pairs(sequence, frames):
        tracks.add(pair, [k for k in sequence.object_ids if pair.name in wanted[k]])
    notes = []
    if missing:
        notes.append(f"{len(missing)} of {len(frames)} frames have no result: scored as empty")
    return tracks.score(sequence.name, sequence.categories, notes)


def figures_of(values: Mapping[str, Sequence[float]]) -> Figures:
    """Mean, recall and decay of J and F, the mean of T, and J&F where both are there."""
    figures: Figures = {}
    for measure, series in values.items():
        if measure == "T":  # the benchmark has no recall and decay of it
            figures["T_mean"] = mean_of_known(series)
            continue
        statistics = summarize(series)
        figures[f"{measure}_mean"] = statistics.mean
        figures[f"{measure}_recall"] = statistics.recall
        figures[f"{measure}_decay"] = statistics.decay
    return with_mean_of_both(figures)


def average_figures(figures: Iterable[Figures]) -> Figures:
    """The unweighted mean of every figure; what is NaN counts for nothing."""
    collected: dict[str, list[float]] = {}
    for one in figures:
        for key, value in one.items():
            collected.setdefault(key, []).append(value)
    return {key: mean_of_known(values) for key, values in collected.items()}


def with_mean_of_both(figures: Figures) -> Figures:
    """Put J&F, the mean of J_mean and F_mean, in front if both are there."""
    if "J_mean" not in figures or "F_mean" not in figures:
        return figures
    return {"J&F": (figures["J_mean"] + figures["F_mean"]) / 2} | figures
