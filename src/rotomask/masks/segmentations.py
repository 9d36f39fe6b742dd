"""COCO segmentations: polygons and run lengths (RLE), plain or compressed.

pycocotools checks nothing. A polygon with a coordinate of 1e9 or infinity makes it draw an outline
of as many points (22 GB), and run lengths of another sum than the image's area give pixels from
beyond its memory.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

MOST_PIXELS = 178_956_970
"""Area of an image, px; Pillow refuses larger ones as well."""

OUTSIDE = 1.0
"""Maximum distance of a polygon's corners from the image, as a fraction of its longer side."""


def segmentation_fault(segmentation: object, height: int, width: int) -> str | None:
    """What is wrong with a segmentation of an image, in words; None if nothing is.

    Args:
        segmentation: A list of polygons [x0, y0, x1, y1, ...], px, or an RLE as a mapping with
            ``size`` [height, width] and ``counts``, a list or compressed text.
        height: Height of the image, px.
        width: Width, px.
    """
    if height * width > MOST_PIXELS:
        return f"an image of {width}x{height} has more than {MOST_PIXELS // 10**6} megapixels"
    if isinstance(segmentation, list):
        faults = (_polygon_fault(polygon, height, width) for polygon in segmentation)
        return next((fault for fault in faults if fault), None)
    if not isinstance(segmentation, Mapping):
        return f"a segmentation must be polygons or an RLE, got {type(segmentation).__name__}"
    if segmentation.get("size") not in ([height, width], (height, width)):
        return f"its RLE is of size {segmentation.get('size')}, the image {[height, width]}"
    counts = segmentation.get("counts")
    if isinstance(counts, str | bytes):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        return "its RLE has no counts of 0 and above"
    if sum(counts) != height * width:
        return f"the counts of its RLE add up to {sum(counts)}, the image has {height * width}"
    return None


def decode_segmentation(segmentation: object, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The mask H×W of a segmentation in which `segmentation_fault` finds nothing wrong.

    Args:
        segmentation: Polygons or run lengths, as for `segmentation_fault`.
        height: Height of the image, px.
        width: Width, px.
    """
    if isinstance(segmentation, list):
        if not segmentation:
            return np.zeros((height, width), bool)
        parts = coco_mask.frPyObjects(segmentation, height, width)
        return np.asarray(coco_mask.decode(coco_mask.merge(parts)), bool)
    assert isinstance(segmentation, Mapping)
    counts = segmentation["counts"]
    if isinstance(counts, list):  # runs of 0 and 1 in turn, down the columns
        values = np.arange(len(counts)) % 2 == 1
        return np.repeat(values, counts).reshape((height, width), order="F")
    return np.asarray(coco_mask.decode(segmentation), bool)


def _polygon_fault(polygon: object, height: int, width: int) -> str | None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return "a polygon must be a list of x and y of three points or more"
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in polygon):
        return "a polygon has a coordinate that is not a finite number"
    margin = OUTSIDE * max(height, width)
    if any(not -margin <= v <= max(height, width) + margin for v in polygon):
        return f"a polygon reaches far outside the image of {width}x{height}"
    return None


def _decompressed(text: str | bytes) -> list[int] | None:
    """Counts of a compressed RLE, or None if it ends early; see rleFrString in COCO's maskApi.c.

    Five bits of a number are in a character, lowest first; bit 5 says that more follow, and the
    highest bit of the last is the sign. From the third on, a number is a difference to that two
    before.
    """
    counts: list[int] = []
    value = shift = 0
    for code in text.encode("ascii", "replace") if isinstance(text, str) else text:
        bits = code - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts
