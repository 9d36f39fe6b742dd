"""`supervision.Detections` (https://supervision.roboflow.com) from label masks, and back.

supervision is not needed to install rotomask; it is imported when a function is called.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rotomask.conversion.labelled_video import Labels
from rotomask.errors import MaskError
from rotomask.masks import object_ids

if TYPE_CHECKING:
    Detections = Any


def to_detections(labels: Labels, names: Mapping[int, str] | None = None) -> "Detections":
    """The objects of one frame as `supervision.Detections`.

    `tracker_id` is the object id, `class_id` the id less 1, ``data["class_name"]`` the name.

    Args:
        labels: H×W: 0 background, k = object id k.
        names: Object id -> name; by default ``object k``.

    Raises:
        ImportError: If supervision is not installed.
    """
    import supervision

    ids = object_ids(labels)
    if not ids:
        return supervision.Detections.empty()
    masks = np.stack([labels == k for k in ids])  # N×H×W
    listed = [(names or {}).get(k, f"object {k}") for k in ids]
    return supervision.Detections(
        xyxy=np.array([_corners(mask) for mask in masks], np.float32),
        mask=masks,
        class_id=np.array(ids) - 1,
        tracker_id=np.array(ids),
        data={"class_name": np.array(listed)},
    )


def from_detections(detections: "Detections", size: tuple[int, int]) -> Labels:
    """The label mask of detections with masks; where two overlap, the later counts.

    Args:
        detections: `supervision.Detections`; the object id is `tracker_id`, or the number of the
            detection from 1.
        size: Height and width of the frame, px.

    Raises:
        MaskError: If they have no masks, or of another size.
    """
    labels = np.zeros(size, np.int32)
    if len(detections) == 0:
        return labels
    if detections.mask is None:
        raise MaskError("the detections have boxes only; masks are needed")
    if detections.mask.shape[1:] != size:
        height, width = detections.mask.shape[1:]
        raise MaskError(f"masks of {width}x{height}, the frame is {size[1]}x{size[0]}")
    ids = detections.tracker_id
    for number, mask in enumerate(np.asarray(detections.mask, bool), start=1):
        labels[mask] = number if ids is None else int(ids[number - 1])
    return labels


def _corners(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask with a pixel at least; the last two one past it."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
