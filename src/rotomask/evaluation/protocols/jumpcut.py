"""JumpCut: how wrong a mask is after it was carried over a distance from a key frame.

Results are stored by key frame: ``RESULTS/SEQUENCE/KEY/FRAME.png`` is the mask of FRAME, carried
from the true mask of KEY; both are frame names.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.jumpcut import DISTANCES, transfers
from rotomask.data.benchmarks.sequences import VideoSequence
from rotomask.errors import ShapeError
from rotomask.evaluation.measures.statistics import mean_of_known
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import Figures, ObjectScore, SequenceScore

BoolMask = npt.NDArray[np.bool_]


def transfer_error(mask: BoolMask, truth: BoolMask) -> float:
    """Wrong pixels in percent of the object's pixels; NaN where the truth has no object.

    Fan et al. 2015 (JumpCut), sec. 6. It may be above 100.

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
        raise ShapeError(f"the masks differ in shape: {mask.shape} and {truth.shape}")
    size = np.count_nonzero(truth)
    return float(100 * np.count_nonzero(mask != truth) / size) if size else math.nan


def score_transfers(
    sequence: VideoSequence, results: ResultFolder, protocol: TrackProtocol
) -> SequenceScore:
    """The error of every transfer, and its mean for every distance.

    Raises:
        DatasetError: If a transfer has no result and the folder is not to allow that.
        MaskError: If a file is damaged or of the wrong size.
    """
    objects, notes = [], []
    for distance in DISTANCES:
        errors, ends = [], []
        for key, end in transfers(len(sequence), distance):
            if sequence.frame_names[end] not in sequence.annotations:
                continue
            one = replace(results, root=results.root / sequence.name)
            carried = replace(sequence, name=sequence.frame_names[key])
            frame = sequence.frame_names[end]
            if one.missing(carried, (frame,)):
                notes.append(f"no result from frame {carried.name} to {frame}: scored as empty")
            (pair,) = one.pairs(carried, (frame,))
            errors.append(transfer_error(pair.prediction != 0, pair.truth != 0))
            ends.append(frame)
        objects.append(
            ObjectScore(
                object_id=1,
                figures={f"error_{distance}": mean_of_known(errors)},
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
    """The mean of every distance over the sequences."""
    keys = [f"error_{distance}" for distance in DISTANCES]
    return {key: mean_of_known([s.figures[key] for s in sequences]) for key in keys}
