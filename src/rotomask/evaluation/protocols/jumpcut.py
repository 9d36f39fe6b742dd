"""Scoring of JumpCut: the error of masks that were transferred from key frames.

Results are stored by key frame: ``RESULTS/SEQUENCE/KEY/FRAME.png`` is the mask of FRAME,
transferred from the true mask of KEY; both are frame names.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.jumpcut import DISTANCES, transfers
from rotomask.data.sequences import VideoSequence
from rotomask.errors import ShapeError
from rotomask.evaluation.measures.statistics import nan_mean
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore

BoolMask = npt.NDArray[np.bool_]


def transfer_error(mask: BoolMask, truth: BoolMask) -> float:
    """Wrong pixels in percent of the object's pixels; NaN if the truth has no object.

    Fan et al. 2015 (JumpCut), sec. 6. It can exceed 100.

    Args:
        mask: H×W bool.
        truth: H×W bool.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> truth = np.zeros((10, 10), bool)
        >>> truth[:4, :5] = True
        >>> transfer_error(np.roll(truth, 1, axis=1), truth)
        40.0
    """
    if mask.shape != truth.shape:
        raise ShapeError(f"both masks must be of the same size, got {mask.shape} and {truth.shape}")
    size = np.count_nonzero(truth)
    return float(100 * np.count_nonzero(mask != truth) / size) if size else math.nan


def score_transfers(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """The error of every transfer, and the mean error at each distance.

    Raises:
        DatasetError: If a transfer has no result and `results.on_missing` is "error".
        MaskError: If a file is damaged or has the wrong size.
    """
    objects, notes = [], []
    for distance in DISTANCES:
        errors, ends = [], []
        for key, end in transfers(len(sequence), distance):
            if sequence.frame_names[end] not in sequence.annotations:
                continue
            # Each key frame's results are read like those of a sequence of that name.
            folder = replace(results, root=results.root / sequence.name)
            transfer = replace(sequence, name=sequence.frame_names[key])
            frame = sequence.frame_names[end]
            if folder.missing(transfer, (frame,)):
                notes.append(f"no result from frame {transfer.name} to {frame}: scored as empty")
            (pair,) = folder.pairs(transfer, (frame,))
            errors.append(transfer_error(pair.prediction != 0, pair.truth != 0))
            ends.append(frame)
        objects.append(
            ObjectScore(
                object_id=1,
                figures={f"error_{distance}": nan_mean(errors)},
                frames=tuple(ends),
                curves={"error": np.array(errors, float)},
                category=f"{distance} frames on",
            )
        )
    figures = {key: value for item in objects for key, value in item.figures.items()}
    return SequenceScore(
        name=sequence.name, figures=figures, objects=tuple(objects), notes=tuple(notes)
    )


def summarize_transfers(sequences: Sequence[SequenceScore]) -> Figures:
    """The mean error at each distance over the sequences."""
    keys = [f"error_{distance}" for distance in DISTANCES]
    return {key: nan_mean([s.figures[key] for s in sequences]) for key in keys}
