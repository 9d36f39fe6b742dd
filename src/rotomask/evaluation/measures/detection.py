"""Average precision and recall of detected boxes.

A detection is correct if its intersection over union with the box of an object that no detection
of a higher score matches reaches a threshold (Everingham et al. 2010, PASCAL VOC). Precision is
interpolated at every recall, as in COCO and in VOC since 2010.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rotomask.detection.boxes import Boxes, box_iou
from rotomask.detection.detector import Detections
from rotomask.errors import ShapeError


def average_precision(
    detections: Sequence[Detections], truths: Sequence[Boxes], overlap: float = 0.5
) -> float:
    """Area under the curve of precision over recall, of the detections of all images together.

    Classes are ignored.

    Args:
        detections: Detections of each image.
        truths: Boxes of each image's objects, N×4 px.
        overlap: Least intersection over union of a correct detection.

    Returns:
        0 to 1; NaN if no image has an object.

    Raises:
        ShapeError: If the number of images differs.
    """
    _check(detections, truths)
    objects = sum(len(boxes) for boxes in truths)
    if not objects:
        return float("nan")
    pairs = zip(detections, truths, strict=True)
    correct = np.concatenate([matches(d, t, overlap) for d, t in pairs])
    scores = np.concatenate([d.scores for d in detections])
    # By falling score; entry i is the state after the first i + 1 detections.
    true_positives = np.cumsum(correct[np.argsort(-scores, kind="stable")])
    precision = true_positives / np.arange(1, len(true_positives) + 1)
    # Interpolated precision at a recall: the largest precision at this or any higher recall.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    recall_steps = np.diff(true_positives, prepend=0) / objects
    return float((envelope * recall_steps).sum())


def recall(
    detections: Sequence[Detections],
    truths: Sequence[Boxes],
    per_image: int = 10,
    overlap: float = 0.5,
) -> float:
    """Fraction of the objects that match one of their image's best detections.

    Args:
        detections: Detections of each image.
        truths: Boxes of each image's objects, N×4 px.
        per_image: Number of detections of an image that count, by falling score.
        overlap: Least intersection over union of a correct detection.

    Returns:
        0 to 1; NaN if no image has an object.

    Raises:
        ShapeError: If the number of images differs.
    """
    _check(detections, truths)
    objects = sum(len(boxes) for boxes in truths)
    if not objects:
        return float("nan")
    best = [d.take(np.argsort(-d.scores, kind="stable")[:per_image]) for d in detections]
    pairs = zip(best, truths, strict=True)
    return float(sum(matches(d, t, overlap).sum() for d, t in pairs) / objects)


def matches(detections: Detections, truth: Boxes, overlap: float) -> npt.NDArray[np.bool_]:
    """The correct detections of an image, N bool; by falling score, each object matches once.

    Args:
        detections: N detections.
        truth: Boxes of the objects, M×4 px.
        overlap: Least intersection over union of a correct detection.
    """
    overlaps = box_iou(detections.boxes, truth)  # N×M
    correct = np.zeros(len(detections), bool)
    for i in np.argsort(-detections.scores, kind="stable"):
        if overlaps.shape[1] and overlaps[i].max() >= overlap:
            correct[i] = True
            overlaps[:, overlaps[i].argmax()] = -1  # the object is matched
    return correct


def _check(detections: Sequence[Detections], truths: Sequence[Boxes]) -> None:
    if len(detections) != len(truths):
        raise ShapeError(
            "give detections and true boxes of the same images, got "
            f"{len(detections)} and {len(truths)}"
        )
