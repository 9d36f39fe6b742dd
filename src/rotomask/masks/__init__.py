"""Label masks: reading any format, writing indexed PNG, the palette.

A mask is H×W integers: 0 background, k = object id k.
"""

from rotomask.masks.labels import compact_ids, object_ids, object_mask
from rotomask.masks.palette import davis_palette, object_colour
from rotomask.masks.reading import LabelMask, MaskKind, read_grey, read_mask
from rotomask.masks.writing import LARGEST_ID, is_written_mask, read_labels, write_mask

__all__ = [
    "LARGEST_ID",
    "LabelMask",
    "MaskKind",
    "compact_ids",
    "davis_palette",
    "is_written_mask",
    "object_colour",
    "object_ids",
    "object_mask",
    "read_grey",
    "read_labels",
    "read_mask",
    "write_mask",
]
