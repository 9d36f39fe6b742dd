"""Scoring of masks in memory, without files or a data set."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal

import numpy as np

from rotomask.data.benchmarks.label_files import Labels
from rotomask.errors import OptionError, ShapeError
from rotomask.evaluation.protocols.predictions import FramePair
from rotomask.evaluation.protocols.tracks import TrackProtocol, Tracks
from rotomask.evaluation.results import SequenceScore
from rotomask.masks import object_ids as ids_in

Dropped = Literal["ends", "first", "none"]
"""Frames that are not scored: the first and last (as in DAVIS), the first, or none."""


def score_sequence(
    predictions: Iterable[Labels],
    truths: Iterable[Labels],
    *,
    name: str = "",
    object_ids: Sequence[int] | None = None,
    frame_names: Sequence[str] | None = None,
    dropped: Dropped = "ends",
    merged: bool = False,
    void_label: int | None = None,
    protocol: TrackProtocol | None = None,
) -> SequenceScore:
    """J and F of one video; frames are read lazily.

    Args:
        predictions: The mask of every frame, H×W integers.
        truths: The annotation of every frame, H×W integers.
        name: Name of the sequence, for reports.
        object_ids: The objects to score; by default those of the first annotation.
        frame_names: Names of the frames; by default 00000, 00001, ...
        dropped: Frames that are not scored.
        merged: Score all labels but 0, in both, as one object of id 1.
        void_label: Label of annotated pixels to ignore.
        protocol: Measures and tolerance; by default J and F as in DAVIS.

    Returns:
        Figures J&F, J_mean, J_recall, J_decay, F_mean, F_recall and F_decay of every object and,
        as means over the objects, of the sequence; and the values in each frame.

    Raises:
        ShapeError: If the number of frames or their sizes differ, or there are no frames.
        OptionError: If `dropped` is not one of the three.

    Example:
        >>> truths = np.zeros((4, 20, 30), np.uint8)
        >>> truths[:, 5:15, 5:15] = 1
        >>> score_sequence(truths, truths).figures["J&F"]
        1.0
    """
    if dropped not in ("ends", "first", "none"):
        raise OptionError(f"dropped must be ends, first or none, got {dropped!r}")
    tracks: Tracks | None = None
    # Scored one frame late: only the next frame shows that it is not the last.
    previous: FramePair | None = None
    # Not `zip`: it would score the frames that both have, and hide that some are missing.
    for index, (prediction, truth) in enumerate(zip_longest(predictions, truths)):
        pair = _pair(index, prediction, truth, frame_names)
        if tracks is None:
            tracks = Tracks(
                object_ids=_ids(pair.truth, object_ids, merged, void_label),
                protocol=protocol or TrackProtocol(),
                merged=merged,
                void_label=void_label,
            )
        if merged:
            pair = pair._replace(truth=_merge(pair.truth, void_label))
        if previous is not None:
            tracks.add(previous, tracks.object_ids)
        previous = None if index == 0 and dropped != "none" else pair
    if tracks is None:
        raise ShapeError("there is no frame to score; give at least one prediction and truth")
    if previous is not None and dropped != "ends":
        tracks.add(previous, tracks.object_ids)
    return tracks.score(name)


def _pair(
    index: int,
    prediction: Labels | None,
    truth: Labels | None,
    frame_names: Sequence[str] | None,
) -> FramePair:
    if prediction is None or truth is None:
        shorter = "predictions" if prediction is None else "truths"
        raise ShapeError(f"there are only {index} {shorter}; give one for every frame")
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise ShapeError(
            f"prediction and truth must be H×W of the same size, got {prediction.shape} and "
            f"{truth.shape} in frame {index}"
        )
    name = f"{index:05d}" if frame_names is None else frame_names[index]
    return FramePair(name, prediction, truth)


def _ids(
    first: Labels, object_ids: Sequence[int] | None, merged: bool, void_label: int | None
) -> tuple[int, ...]:
    if merged:
        return (1,)
    ids = ids_in(first) if object_ids is None else tuple(object_ids)
    return tuple(k for k in ids if k != void_label)


def _merge(truth: Labels, void_label: int | None) -> Labels:
    """The annotation with all objects as object 1, and void pixels unchanged."""
    # -1 is no label, so that without void pixels the comparisons below are false everywhere.
    void = -1 if void_label is None else void_label
    return np.where((truth != 0) & (truth != void), 1, np.where(truth == void, void, 0))
