"""Fast reading of label images of data sets and results, with the labels as stored."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import MaskError
from rotomask.masks import read_mask
from rotomask.masks.pages import IMAGE_ERRORS, is_torn_png
from rotomask.memory import check_memory

Labels = npt.NDArray[np.integer]
"""H×W integers: 0 background, k = object id k; some data sets use 255 for void."""

_LABEL_MODES = ("P", "L", "1", "I;16", "I")


def read_label_image(path: Path) -> Labels:
    """Stored labels of an indexed or grey image; a coloured image is read by `read_mask`.

    255 stays 255, as it may be an object or void, depending on the data set.

    Returns:
        H×W, uint8 if the file has 8 bits, else int32.

    Raises:
        MaskError: If the file is missing, damaged or not a mask.
    """
    grey = _grey_png(path)
    if grey is not None:
        return grey
    try:
        with Image.open(path) as image:
            if image.mode in _LABEL_MODES:
                stored = np.asarray(image)
                return stored.astype(np.int32 if stored.itemsize > 1 else np.uint8)
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise MaskError(f"{path} is not a readable image: {error}") from error
    return read_mask(path, allow_empty=True).labels


def read_foreground(path: Path) -> Labels:
    """The only object of a label image, H×W uint8: 1 where the stored value is not 0."""
    return (read_label_image(path) > 0).astype(np.uint8)


def _grey_png(path: Path) -> npt.NDArray[np.uint8] | None:
    """Pixels of an 8-bit grey PNG, read by OpenCV (a third faster than Pillow), else None."""
    if path.suffix.lower() != ".png":
        return None
    try:
        stored = np.fromfile(path, np.uint8)
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except OSError as error:
        raise MaskError(f"{path} cannot be read: {error.strerror}") from error
    # Bytes 24 and 25 of a PNG are the bit depth and the colour type, 0 for grey. OpenCV would
    # replace the indices of an indexed PNG by colours.
    if stored.size < 26 or stored[24] != 8 or stored[25] != 0 or is_torn_png(stored):
        return None
    decoded = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 2:
        return None
    return np.asarray(decoded, np.uint8)
