"""Reading of images and masks of training data."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from rotomask.errors import DatasetError, MaskError
from rotomask.masks import read_mask
from rotomask.masks.pages import IMAGE_ERRORS, is_torn_png
from rotomask.memory import check_memory

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_ID = 255
ORIENTATION = 274
"""Number of the EXIF tag; values above 4 swap width and height."""

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
    is_torn = path.suffix.lower() == ".png" and path.is_file()
    is_torn = is_torn and is_torn_png(np.fromfile(path, np.uint8))
    image = None if is_torn else cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        check_memory(path)
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


def check_pair(image: Path, mask: Path | tuple[int, int]) -> None:
    """Check by their headers, before a run, that two files are images of the same size.

    It takes a millisecond a pair, where decoding would take hours for a large data set. A file that
    is damaged behind its header is an error when it is read.

    Args:
        image: An image file.
        mask: The file of its mask, or (height, width) that the image must have.

    Raises:
        DatasetError: If a file is missing or not an image, or the sizes differ.
    """
    sizes = [_size(image), mask if isinstance(mask, tuple) else _size(mask)]
    if sizes[0] == sizes[1]:
        return
    (height, width), (h, w) = sizes
    if isinstance(mask, Path):
        difference = f"{mask} is {w}×{h}, its image {width}×{height}"
    else:
        difference = f"{image} is {width}×{height}, its annotation {w}×{h}"
    raise DatasetError(f"{difference}; they must be of one size")


def _size(path: Path) -> tuple[int, int]:
    """(height, width) of an image as it is read: after its EXIF orientation."""
    try:
        with PIL.Image.open(path) as image:
            height, width = image.height, image.width
            # Pillow gives a TIFF's size after its orientation, that of other types before.
            turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) > 4
            return (width, height) if turned else (height, width)
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise DatasetError(
            f"cannot read {path}; it is missing, damaged or not an image; leave it out"
        ) from error


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
