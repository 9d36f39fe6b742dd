"""How good boxes are: average precision and recall, as pure functions.

A detection is right if its intersection over union with an object's box that no better detection
has taken reaches a threshold (Everingham et al. 2010, PASCAL VOC). Precision is interpolated at
every recall, as COCO and VOC since 2010 have it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rotomask.detection.boxes import Boxes, box_iou
from rotomask.detection.detector import Detections
from rotomask.errors import ShapeError


def average_precision(
    found: Sequence[Detections], truths: Sequence[Boxes], overlap: float = 0.5
) -> float:
    """Area under precision over recall, of all images' detections in the order of their scores.

    Classes are not looked at.

    Args:
        found: Detections of each image.
        truths: The objects' boxes of each, N×4 px.
        overlap: Least intersection over union of a right detection.

    Returns:
        0 to 1; NaN where no image has an object.

    Raises:
        ShapeError: If there are not as many truths as detections.
    """
    _check(found, truths)
    objects = sum(len(boxes) for boxes in truths)
    if not objects:
        return float("nan")
    right = np.concatenate([matches(d, t, overlap) for d, t in zip(found, truths, strict=True)])
    scores = np.concatenate([d.scores for d in found])
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0) / objects
    return float((envelope * gained).sum())


def recall(
    found: Sequence[Detections], truths: Sequence[Boxes], most: int = 10, overlap: float = 0.5
) -> float:
    """Part of the objects that one of an image's best `most` detections finds.

    Args:
        found: Detections of each image.
        truths: The objects' boxes of each, N×4 px.
        most: Detections of an image that count.
        overlap: Least intersection over union of a right detection.

    Returns:
        0 to 1; NaN where no image has an object.

    Raises:
        ShapeError: If there are not as many truths as detections.
    """
    _check(found, truths)
    objects = sum(len(boxes) for boxes in truths)
    if not objects:
        return float("nan")
    best = [d.take(np.argsort(-d.scores, kind="stable")[:most]) for d in found]
    pairs = zip(best, truths, strict=True)
    return float(sum(matches(d, t, overlap).sum() for d, t in pairs) / objects)


def matches(found: Detections, truth: Boxes, overlap: float) -> npt.NDArray[np.bool_]:
    """Which detections of an image are right, N bool: best score first, each object once."""
    overlaps = box_iou(found.boxes, truth)
    right = np.zeros(len(found), bool)
    for i in np.argsort(-found.scores, kind="stable"):
        if overlaps.shape[1] and overlaps[i].max() >= overlap:
            right[i] = True
            overlaps[:, overlaps[i].argmax()] = -1
    return right


def _check(found: Sequence[Detections], truths: Sequence[Boxes]) -> None:
    if len(found) != len(truths):
        raise ShapeError(
            f"every image has detections and true boxes, got {len(found)} and {len(truths)}"
        )
