"""Still images with one mask each: what simulated clips are made from."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import DatasetError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}

Image = npt.NDArray[np.uint8]
ObjectMask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stills:
    """Images and the mask of the one object in each, read when asked for."""

    pairs: tuple[tuple[Path, Path], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Image, ObjectMask]:
        """The image H×W×3 uint8 RGB and its object's mask H×W."""
        image_path, mask_path = self.pairs[index]
        image = cv2.imread(str(image_path), cv2.IMREAD_COLOR_RGB)
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None:
            raise DatasetError(f"cannot read {image_path if image is None else mask_path}")
        return image.astype(np.uint8, copy=False), mask > 127


def find_stills(root: Path) -> Stills:
    """The images under a folder that holds an image folder and a mask folder.

    DUTS-TR has them as ``DUTS-TR-Image`` and ``DUTS-TR-Mask``; ``images`` and ``masks`` do as well.

    Raises:
        DatasetError: If a folder is missing, or no image has a mask of the same stem.
    """
    folders = [p for p in sorted(root.iterdir()) if p.is_dir()] if root.is_dir() else []
    images = [p for p in folders if "image" in p.name.lower()]
    masks = [p for p in folders if "mask" in p.name.lower()]
    if not images or not masks:
        raise DatasetError(
            f"{root} must hold a folder of images and a folder of masks "
            "(DUTS-TR-Image and DUTS-TR-Mask, or images and masks)"
        )
    by_stem = {p.stem: p for p in masks[0].iterdir() if p.suffix.lower() in IMAGE_SUFFIXES}
    found = sorted(p for p in images[0].iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    pairs = tuple((p, by_stem[p.stem]) for p in found if p.stem in by_stem)
    if not pairs:
        raise DatasetError(f"no image of {images[0]} has a mask of the same name in {masks[0]}")
    return Stills(pairs)
