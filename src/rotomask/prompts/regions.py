"""Regions of a mask: the distance inside them, whose maximum clicks aim at, and their overlap."""

import cv2
import numpy as np
import numpy.typing as npt

BoolMask = npt.NDArray[np.bool_]
Distance = npt.NDArray[np.float32]


def interior_distance(region: BoolMask) -> Distance:
    """Distance of each pixel of a region to the nearest pixel outside it, px; H×W, 0 outside.

    The image border counts as outside, as in RITM's and DAVIS's robots: a region cut by the border
    is clicked in the middle of its visible part.
    """
    # One pixel of outside all around, cut off again below: it makes the border count as outside.
    padded = cv2.copyMakeBorder(region.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance[1:-1, 1:-1], np.float32)


def iou(a: BoolMask, b: BoolMask) -> float:
    """Intersection over union of two regions H×W; 1 if both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def disk(radius: int) -> npt.NDArray[np.uint8]:
    """Filled circle in a square of side 2·radius + 1, uint8 0/1."""
    offset = np.arange(-radius, radius + 1)
    inside = offset[:, None] ** 2 + offset[None] ** 2 <= radius**2
    return inside.astype(np.uint8)
