"""Reading of images and masks of training data."""

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
    """The pixels of an image file, H×W×3 uint8 RGB.

    OpenCV is faster than `rotomask.video.read_image`, but ignores alpha and rare types.

    Raises:
        DatasetError: If the file is missing or damaged.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DatasetError(f"cannot read {path}; it is missing, damaged or not an image")
    return image.astype(np.uint8, copy=False)


def read_labels(path: Path) -> Labels:
    """The labels of a mask file of any format that `read_mask` reads: H×W uint8.

    Raises:
        DatasetError: If the file cannot be read, or has an id above 255.
    """
    try:
        labels = read_mask(path, allow_empty=True).labels
    except MaskError as error:
        raise DatasetError(f"cannot use a mask of the training data: {error}") from error
    if labels.max(initial=0) > MAX_ID:
        raise DatasetError(
            f"{path} has object {labels.max()}, but ids in training data must be at most {MAX_ID}; "
            "renumber them with compact_ids"
        )
    return labels.astype(np.uint8)


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
