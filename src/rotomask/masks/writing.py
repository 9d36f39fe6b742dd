"""Writing of mask files, and exact, fast reading of the files written here."""

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rotomask.arrays import as_labels
from rotomask.errors import MaskError, ShapeError
from rotomask.files import Commit, complete_or_absent, replace_file
from rotomask.masks.pages import IMAGE_ERRORS
from rotomask.masks.palette import davis_palette
from rotomask.memory import check_memory

LARGEST_ID = 65535
"""Largest object id in a mask file, which has 16 bits per pixel."""

LABELS_KEY = "rotomask"
"""Key of the PNG text that marks 16-bit files written here. Without it, a mask of 0 and 65535 is
black and white: object 1."""


def write_mask(
    path: str | Path,
    labels: npt.NDArray[np.integer] | npt.NDArray[np.bool_],
    commit: Commit = replace_file,
) -> None:
    """Write labels as an indexed PNG with the DAVIS palette, or as 16-bit grey above id 255.

    Args:
        path: The file to write. Its folder is created if needed; the file is written atomically.
        labels: H×W integers, 0 background, k = object id k, at most 65535; or bool: object 1.
        commit: Gives the complete file its name.

    Raises:
        ShapeError: If labels are not H×W integers from 0 to 65535.
        OutputError: If the folder cannot be written or the disk is full.
    """
    labels = as_labels(labels)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer) or labels.size == 0:
        raise ShapeError(
            f"labels must be H×W integers, got {labels.shape} {labels.dtype}; "
            "use argmax over objects first"
        )
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0 or largest > LARGEST_ID:
        raise ShapeError(
            f"object ids in a mask file must be 0 to {LARGEST_ID}, got {smallest} to {largest}; "
            "renumber them with compact_ids"
        )
    if largest <= 255:
        text, method = None, zlib.Z_RLE
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(davis_palette().tobytes())  # makes it indexed, mode P
    else:
        text, method = PngInfo(), zlib.Z_DEFAULT_STRATEGY
        text.add_text(LABELS_KEY, "labels")
        image = Image.fromarray(labels.astype(np.uint16))  # mode I;16
    with complete_or_absent(Path(path), commit) as temporary:
        # Runs are all there is in 8-bit labels: a third of the time of level 6, and no larger.
        image.save(temporary, "PNG", compress_level=6, compress_type=method, pnginfo=text)


def is_written_mask(path: Path) -> bool:
    """Whether a file is a mask as `write_mask` makes them: of its palette, or 16-bit labels."""
    try:
        with Image.open(path) as image:
            if image.mode == "P":
                return bytes(image.getpalette() or ()) == davis_palette().tobytes()
            return image.info.get(LABELS_KEY) == "labels"
    except IMAGE_ERRORS:
        return False


def read_labels(path: str | Path) -> npt.NDArray[np.int32]:
    """Labels of a mask written by `write_mask`: H×W int32. Use `read_mask` for other files.

    Raises:
        MaskError: If the file is missing, damaged, or neither indexed nor grey.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "I;16", "I", "1"):
                raise MaskError(
                    f"{path} is a {image.mode} image, not labels; read it with read_mask"
                )
            return np.asarray(image).astype(np.int32)
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise MaskError(f"{path} is not a readable image: {error}") from error
