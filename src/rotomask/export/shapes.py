"""Encoding of one object's mask as run lengths and as polygons."""

from typing import Any, TypedDict

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask


class RLE(TypedDict):
    """COCO's compressed run lengths."""

    size: list[int]
    """[height, width]."""
    counts: str
    """Runs in column order in COCO's ASCII compression, which `pycocotools.mask.decode` reads."""


class Ring(TypedDict):
    """An outline and the holes in it, each a list of [x, y] pixel centres."""

    outer: list[list[int]]
    holes: list[list[list[int]]]


def to_rle(mask: npt.NDArray[np.bool_]) -> RLE:
    """Run lengths of an H×W boolean mask."""
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def bounding_box(mask: npt.NDArray[np.bool_]) -> list[int]:
    """[x, y, width, height] of an H×W boolean mask, px; zeros if it is empty."""
    return [int(n) for n in cv2.boundingRect(mask.astype(np.uint8))]


def to_polygons(mask: npt.NDArray[np.bool_], tolerance_px: float = 0.5) -> list[Ring]:
    """Outlines of a mask, one ring per connected component.

    The points are centres of pixels on the object's edge, for holes too. `cv2.fillPoly` of a ring's
    outline and holes together fills the area between them and draws both, so it restores the mask
    up to the tolerance.

    Args:
        mask: H×W bool.
        tolerance_px: Largest distance between the simplified outline and the edge; 0 keeps all
            points.
    """
    contours, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    if hierarchy is None:
        return []
    rings: dict[int, Ring] = {}  # by the index of the outer contour
    # The hierarchy is 1×N×4: next, previous, first child, parent. RETR_CCOMP has two levels, so a
    # contour without a parent is an outline and any other is a hole in its parent.
    parents = hierarchy[0][:, 3]
    for i in np.argsort(parents >= 0, kind="stable"):  # outlines before their holes
        points = cv2.approxPolyDP(contours[i], tolerance_px, closed=True)  # K×1×2
        ring = [[int(x), int(y)] for x, y in points[:, 0]]
        if parents[i] < 0:
            rings[int(i)] = {"outer": ring, "holes": []}
        else:
            rings[int(parents[i])]["holes"].append(ring)
    return list(rings.values())
