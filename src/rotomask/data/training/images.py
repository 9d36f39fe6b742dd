"""Images and label masks of training data: fast for the common files, any mask format otherwise."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import DatasetError, MaskError
from rotomask.masks import read_mask

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_ID = 255

Image = npt.NDArray[np.uint8]
"""H×W×3 uint8 RGB."""
Labels = npt.NDArray[np.uint8]
"""H×W uint8: 0 background, k = object id k."""


def read_image(path: Path) -> Image:
    """An image file as H×W×3 uint8 RGB.

    Raises:
        DatasetError: If it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DatasetError(f"cannot read the image {path}; it is missing, damaged or no image")
    return image.astype(np.uint8, copy=False)


def read_labels(path: Path) -> Labels:
    """A mask file of any format that `read_mask` knows, with ids up to 255.

    Raises:
        DatasetError: If it cannot be read, or holds a larger id.
    """
    try:
        found = read_mask(path, allow_empty=True)
    except MaskError as error:
        raise DatasetError(f"cannot use a mask of the training data: {error}") from error
    if found.labels.max(initial=0) > MAX_ID:
        raise DatasetError(f"{path} holds object {found.labels.max()}; training takes ids to 255")
    return found.labels.astype(np.uint8)


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
