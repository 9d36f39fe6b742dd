"""Still images with their objects' masks: what simulated clips are made from."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rotomask.data.training.images import (
    Image,
    Labels,
    check_pair,
    images_in,
    read_image,
    read_labels,
)
from rotomask.errors import DatasetError
from rotomask.masks.segmentations import decode_segmentation, segmentation_fault

SYNSET = re.compile(r"(n\d{8})_")
"""Pattern of the names of ImageNet's images: ``n02123045_123``."""


def kind_of(name: str) -> str:
    """The synset in the name of an image; empty where there is none."""
    match = SYNSET.match(name)
    return match.group(1) if match else ""


class Stills(ABC):
    """Images and the objects in each, read when asked for."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        """The image H×W×3 uint8 RGB and its objects' labels H×W uint8."""

    @property
    def kinds(self) -> list[str]:
        """What kind of thing each image shows, by a name; empty where it is not known."""
        return [""] * len(self)


class FolderStills(Stills):
    """An image file and a mask file each."""

    def __init__(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        self.pairs = tuple(pairs)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        """One image and its labels; see `Stills`."""
        image, labels = read_image(self.pairs[index][0]), read_labels(self.pairs[index][1])
        if image.shape[:2] != labels.shape:
            raise DatasetError(
                f"{self.pairs[index][1]} is {labels.shape[1]}×{labels.shape[0]}, its image "
                f"{image.shape[1]}×{image.shape[0]}; they must be of one size"
            )
        return image, labels

    @property
    def kinds(self) -> list[str]:
        """The ImageNet synsets in the names of the files, as DUTS has them."""
        return [kind_of(image.stem) for image, _ in self.pairs]


class CocoStills(Stills):
    """Images with the instances of a COCO annotation file, polygons or RLE; crowds are left out."""

    def __init__(self, file: Path, images: Path | None = None) -> None:
        try:
            content = json.loads(file.read_text())
            sizes = {
                e["id"]: (str(e["file_name"]), int(e["height"]), int(e["width"]))
                for e in content["images"]
            }
            by_image: dict[int, list[object]] = {}
            for annotation in content["annotations"]:
                if not annotation.get("iscrowd") and annotation.get("segmentation"):
                    by_image.setdefault(annotation["image_id"], []).append(
                        annotation["segmentation"]
                    )
            order = sorted(by_image)  # a TypeError where ids are of several types
        except (
            *(OSError, ValueError, KeyError, TypeError),
            *(AttributeError, OverflowError, RecursionError),
        ) as error:
            raise DatasetError(
                f"{file} is not a COCO annotation file with images, annotations and segmentations "
                f"({type(error).__name__}: {error})"
            ) from error
        self.folder = images or _folder_of(file, [name for name, _, _ in sizes.values()])
        self.entries = [(*sizes[k], by_image[k]) for k in order if k in sizes]
        if not self.entries:
            raise DatasetError(f"{file} has no image with a segmented object")
        for name, height, width, segmentations in self.entries:
            for number, segmentation in enumerate(segmentations, start=1):
                fault = segmentation_fault(segmentation, height, width)
                if fault:
                    raise DatasetError(f"{file}: object {number} of {name}: {fault}; leave it out")
            check_pair(self.folder / name, (height, width))

    def __len__(self) -> int:
        """Number of images with an object."""
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        """One image and its labels; smaller instances lie over larger ones."""
        name, height, width, segmentations = self.entries[index]
        masks = [decode_segmentation(part, height, width) for part in segmentations]
        masks = sorted((m for m in masks if m.any()), key=lambda m: -int(m.sum()))[:255]
        labels = np.zeros((height, width), np.uint8)
        for number, mask in enumerate(masks, start=1):
            labels[mask] = number
        image = read_image(self.folder / name)
        if image.shape[:2] != labels.shape:
            raise DatasetError(f"{self.folder / name} is not of the size that the annotations say")
        return image, labels


class JoinedStills(Stills):
    """Several collections as one."""

    def __init__(self, parts: Sequence[Stills]) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        """Number of images in all parts."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> tuple[Image, Labels]:
        """One image of one of them; see `Stills`."""
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[part][index - (int(self._ends[part - 1]) if part else 0)]

    @property
    def kinds(self) -> list[str]:
        """Kinds of all images; see `Stills`."""
        return [kind for part in self.parts for kind in part.kinds]


def find_stills(root: Path) -> Stills:
    """Stills in a folder of images and a folder of masks, or in a COCO annotation file.

    DUTS-TR has them as ``DUTS-TR-Image`` and ``DUTS-TR-Mask``; ``images`` and ``masks`` do as well.

    Args:
        root: The folder that holds both, or a .json file. The images of a COCO file lie beside it,
            in a folder ``images`` beside it, or where its own paths say.

    Raises:
        DatasetError: If something is missing, no image has a mask of the same stem, a file is not
            an image, or a mask is not of its image's size.
    """
    if root.suffix.lower() == ".json":
        return CocoStills(root)
    folders = [p for p in sorted(root.iterdir()) if p.is_dir()] if root.is_dir() else []
    images = [p for p in folders if "image" in p.name.lower()]
    masks = [p for p in folders if "mask" in p.name.lower()]
    if not images or not masks:
        raise DatasetError(
            f"{root} must hold a folder of images and a folder of masks (DUTS-TR-Image and "
            "DUTS-TR-Mask, or images and masks), or be a COCO .json file"
        )
    by_stem = {p.stem: p for p in images_in(masks[0])}
    pairs = [(p, by_stem[p.stem]) for p in images_in(images[0]) if p.stem in by_stem]
    if not pairs:
        raise DatasetError(f"no image of {images[0]} has a mask of the same name in {masks[0]}")
    for image, mask in pairs:
        check_pair(image, mask)
    return FolderStills(pairs)


def _folder_of(file: Path, names: Sequence[str]) -> Path:
    """Where the images of a COCO file are."""
    places = [
        file.parent,
        file.parent / "images",
        file.parent.parent / "images",
        file.parent.parent,
    ]
    for place in places:
        if names and (place / names[0]).is_file():
            return place
    raise DatasetError(
        f"the images of {file} (such as {names[0] if names else 'none named'}) are neither beside "
        "it nor in a folder images; put them there"
    )
