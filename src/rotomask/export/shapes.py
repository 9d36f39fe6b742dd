"""One object's mask as run lengths and as polygons."""

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
    """Runs in column order, in COCO's own ASCII compression; `pycocotools.mask.decode` reads it."""


class Ring(TypedDict):
    """An outline with the holes in it; each a list of [x, y] pixel centres."""

    outer: list[list[int]]
    holes: list[list[list[int]]]


def to_rle(mask: npt.NDArray[np.bool_]) -> RLE:
    """Run lengths of an H×W boolean mask."""
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def bounding_box(mask: npt.NDArray[np.bool_]) -> list[int]:
    """[x, y, width, height] of the pixels that are set; zeros if none is."""
    return [int(n) for n in cv2.boundingRect(mask.astype(np.uint8))]


def to_polygons(mask: npt.NDArray[np.bool_], tolerance_px: float = 0.5) -> list[Ring]:
    """Outlines of an H×W boolean mask, one ring for each connected part.

    Points are centres of the object's own edge pixels, a hole's too. So `cv2.fillPoly` of a ring's
    outline and holes together, which fills between them and draws both, gives back the mask up to
    the tolerance.

    Args:
        mask: H×W bool.
        tolerance_px: How far the outline may stray from the edge, to save points; 0 keeps all.
    """
    contours, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    if hierarchy is None:
        return []
    rings: dict[int, Ring] = {}
    parents = hierarchy[0][:, 3]
    for place in np.argsort(parents >= 0, kind="stable"):  # outlines before their holes
        points = cv2.approxPolyDP(contours[place], tolerance_px, closed=True)
        ring = [[int(x), int(y)] for x, y in points[:, 0]]
        if parents[place] < 0:
            rings[int(place)] = {"outer": ring, "holes": []}
        else:
            rings[int(parents[place])]["holes"].append(ring)
    return list(rings.values())
