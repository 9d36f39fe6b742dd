"""Functions on label arrays: object ids, the mask of one object, consecutive ids, scaling."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt


def object_ids(labels: npt.NDArray[np.integer]) -> tuple[int, ...]:
    """The object ids in a mask, in rising order, without the background.

    Args:
        labels: Integers of any shape; 0 is background.
    """
    if labels.size == 0:
        return ()
    largest = int(labels.max())
    if int(labels.min()) >= 0 and largest < 1 << 16:
        # OpenCV counts small types five times as fast as np.bincount counts large ones, and that
        # is ten times as fast as np.unique.
        small = labels.astype(np.uint8) if largest < 1 << 8 else labels.astype(np.uint16)
        row = small.reshape(1, -1)  # of any shape
        counts = cv2.calcHist([row], [0], None, [largest + 1], [0, largest + 1])
        ids = np.flatnonzero(counts)
    else:
        ids = np.unique(labels)
    return tuple(int(label) for label in ids if label != 0)


def object_mask(labels: npt.NDArray[np.integer], object_id: int) -> npt.NDArray[np.bool_]:
    """The mask of one object: H×W bool."""
    mask: npt.NDArray[np.bool_] = labels == object_id
    return mask


def compact_ids(
    labels: npt.NDArray[np.integer], ids: Sequence[int] | None = None
) -> tuple[npt.NDArray[np.int32], tuple[int, ...]]:
    """Renumber the objects 1, 2, ... without gaps.

    Args:
        labels: H×W integers.
        ids: The ids to renumber, in this order; others become background. By default all ids in
            the mask, in rising order.

    Returns:
        The new labels, H×W int32, and the old ids: old = ids[new - 1].

    Example:
        >>> compact_ids(np.array([[0, 7], [300, 7]]))[0].tolist()
        [[0, 1], [2, 1]]
    """
    old_ids = object_ids(labels) if ids is None else tuple(ids)
    compact = np.zeros(labels.shape, np.int32)
    for index, object_id in enumerate(old_ids, start=1):
        compact[labels == object_id] = index
    return compact, old_ids


def has_aspect(size: tuple[int, int], frame_size: tuple[int, int]) -> bool:
    """True if a (height, width) is a frame's but for its scale, up to rounding to whole pixels."""
    (height, width), (frame_height, frame_width) = size, frame_size
    # A side that was rounded is off by at most half a pixel, or by one where it was made even.
    return (
        abs(height - width * frame_height / frame_width) <= 1
        or abs(width - height * frame_width / frame_height) <= 1
    )


def scale_labels(labels: npt.NDArray[np.integer], size: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Labels at another size, with smooth edges between objects: H×W int32.

    Each object's mask is scaled linearly, and a pixel gets the label that is largest there;
    nearest neighbour would give stairs.

    Args:
        labels: h×w integers.
        size: (height, width) to scale to.
    """
    ids = (0, *object_ids(labels))
    scaled = np.zeros(size, np.int32)
    best = np.zeros(size, np.float32)
    shrinks = size[0] * size[1] < labels.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    for object_id in ids:
        own = cv2.resize((labels == object_id).astype(np.float32), size[::-1], interpolation=method)
        larger = own > best
        scaled[larger], best[larger] = object_id, own[larger]
    return scaled
