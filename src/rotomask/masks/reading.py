"""Masks in any common image format, with a description of how the file was interpreted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from rotomask.errors import MaskError
from rotomask.files import access_fault, natural_key, trailing_number
from rotomask.masks.colours import Colour
from rotomask.masks.interpret import MaskKind, interpret
from rotomask.masks.labels import has_aspect, object_ids, scale_labels
from rotomask.masks.pages import IMAGE_ERRORS, page_count, upright
from rotomask.masks.writing import LARGEST_ID
from rotomask.memory import check_memory

__all__ = ["LabelMask", "MaskKind", "read_grey", "read_mask"]

MASK_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".tga"),
    *(".pgm", ".ppm", ".jp2"),
)
"""Suffixes of the files in a folder that are read as masks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelMask:
    """A mask, and the kind of file it was read from."""

    labels: npt.NDArray[np.int32]
    """H×W: 0 background, k = object id k."""
    kind: MaskKind | Literal["one file per object"]
    """Interpretation of the file."""
    description: str
    """The interpretation in one line for users, with the object id of each colour or value."""
    colours: Mapping[Colour, int] = field(default_factory=dict)
    """Object id of each colour (black is 0); empty for masks without colours."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The object ids in the mask, in rising order."""
        return object_ids(self.labels)


def read_mask(
    source: str | Path | Sequence[str | Path],
    size: tuple[int, int] | None = None,
    *,
    allow_empty: bool = False,
    colours: Mapping[Colour, int] | None = None,
) -> LabelMask:
    """Read a mask of any common format.

    - Indexed: the palette index is the object id.
    - Grey, 8 or 16 bit: white on black is object 1; flat regions of other values are object ids.
    - Black and white with noisy (JPEG) or antialiased edges: object 1, thresholded at mid grey.
    - RGB: flat colours on black. Colours of the DAVIS palette have its ids, others are numbered in
      falling order of RGB value (red 1, green 2, blue 3). Noisy and antialiased colours are snapped
      to flat ones.
    - RGBA: flat colours on transparency as in RGB; anything else is object 1 where alpha > 127.
    - A folder or a list of files: one file per object. Its id is the number at the end of the file
      name if every name has one from 1 to 65535, else files are numbered from 1 in natural order.
      Objects may overlap by at most 1 % of the smaller one, which is then in front.

    Args:
        source: An image file, a folder of image files, or a list of files.
        size: (height, width) of the frame. A mask of another size and the same aspect is scaled to
            it, and its description says so.
        allow_empty: Accept a mask without objects.
        colours: Object ids of colours in earlier masks of the same video.

    Raises:
        MaskError: If it is missing, unreadable, ambiguous, empty, or of another aspect.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if fault := access_fault(path):
            raise MaskError(f"{path} {fault}")
        files = _files_of(path) if path.is_dir() else [path]
    else:
        files = [Path(file) for file in source]
    if not files:
        raise MaskError("no mask file was given; give an image file or a folder of them")
    if len(files) > 1:
        mask = _one_file_per_object(files, size)
    else:
        mask = _read_file(files[0], size, colours)
    if not allow_empty and not mask.labels.any():
        raise MaskError(
            f"{files[0]} is empty: every pixel is background (read as: {mask.description}); "
            "draw the object on it"
        )
    return mask


def read_grey(path: str | Path) -> npt.NDArray[np.uint8]:
    """Brightness of an image of any type and mode: H×W uint8, white is 255.

    Raises:
        MaskError: If the file is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(upright(image).convert("L"))
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise MaskError(f"{path} is not a readable image: {error}") from error


def _files_of(folder: Path) -> list[Path]:
    try:
        files = [
            file
            for file in sorted(folder.iterdir(), key=lambda file: natural_key(file.name))
            if file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")
        ]
    except OSError as error:
        raise MaskError(f"cannot read the folder {folder}: {error.strerror}") from error
    if not files:
        raise MaskError(f"{folder} has no mask images (PNG, JPEG, TIFF, ...)")
    return files


def _read_file(
    path: Path, size: tuple[int, int] | None, colours: Mapping[Colour, int] | None
) -> LabelMask:
    try:
        with Image.open(path) as opened:
            lossy = opened.format in ("JPEG", "JPEG2000") or _is_lossy_webp(opened)
            _check_single(opened)
            image = upright(opened)
            image_size = image.height, image.width
            # Looked at before the pixels: a mask of another video needs no interpretation.
            fits = size is None or has_aspect(image_size, size)
            mask = interpret(image, lossy, colours) if fits else None
    except MaskError as error:
        raise MaskError(f"{path} cannot be a mask: {error}") from error
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except Image.DecompressionBombError as error:
        raise MaskError(
            f"{path} is larger than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels; "
            "scale it to the frame's size"
        ) from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise MaskError(f"{path} is not a readable image{detail}") from error
    _check_size(path, image_size, size)
    if mask is None:
        raise MaskError(
            f"{path} cannot be a mask: it has neither flat labels nor black and white regions; "
            "use an indexed PNG, flat colours on black, or white on black"
        )
    labels, description = mask.labels, mask.description
    if size not in (None, image_size):
        assert size is not None
        labels = scale_labels(labels, size)
        description += (
            f"; scaled from {image_size[1]}x{image_size[0]} to the frame's {size[1]}x{size[0]}"
        )
    return LabelMask(labels=labels, kind=mask.kind, description=description, colours=mask.colours)


def _check_size(path: Path, size: tuple[int, int], frame_size: tuple[int, int] | None) -> None:
    """Raise a MaskError if a mask's (height, width) has not the frame's aspect."""
    if frame_size is None or has_aspect(size, frame_size):
        return
    advice = (
        "the sides are swapped: rotate it like the video"
        if size == frame_size[::-1]
        else "its aspect differs too: it was made for another video or crop"
    )
    raise MaskError(
        f"{path} is {size[1]}x{size[0]} but the frame {frame_size[1]}x{frame_size[0]}; {advice}"
    )


def _check_single(image: Image.Image) -> None:
    """Raise a MaskError for an animation or a file of several pages."""
    count = page_count(image)
    if count > 1:
        raise MaskError(
            f"it has {count} frames or pages, but a mask is one image; save the one that belongs "
            "to the frame"
        )


def _is_lossy_webp(image: Image.Image) -> bool:
    # Pillow does not say; a lossless WebP has a chunk "VP8L", behind any metadata chunks.
    if image.format != "WEBP":
        return False
    with Path(image.filename).open("rb") as file:  # type: ignore[attr-defined]
        # Metadata chunks in front of it are short.
        head = file.read(1 << 16)
    return b"VP8L" not in head


def _one_file_per_object(files: list[Path], size: tuple[int, int] | None) -> LabelMask:
    numbers = [trailing_number(file.stem) for file in files]
    # 0 is not an object id, nor is a date such as 20240501.
    numbered = all(n and n <= LARGEST_ID for n in numbers) and len(set(numbers)) == len(numbers)
    ids = [int(n or 0) for n in numbers] if numbered else list(range(1, len(files) + 1))
    masks: list[npt.NDArray[np.bool_]] = []
    for file in files:
        mask = _read_file(file, size or (masks[0].shape if masks else None), None)
        if len(mask.object_ids) > 1:
            raise MaskError(
                f"{file} has {len(mask.object_ids)} objects, but several files must have one "
                "each; give one mask with all objects, or split it"
            )
        # Whatever id a file of one object uses.
        masks.append(mask.labels > 0)
    labels = np.zeros(masks[0].shape, np.int32)
    areas = [int(mask.sum()) for mask in masks]
    for index in sorted(range(len(masks)), key=lambda i: -areas[i]):  # smallest last, in front
        _check_overlap(labels, masks[index], files[index])
        labels[masks[index]] = ids[index]
    by = "the number at the end of its name" if numbered else "its position in natural order"
    listed = ", ".join(f"{file.name} = {k}" for file, k in zip(files[:6], ids, strict=False))
    more = ", ..." if len(files) > 6 else ""
    return LabelMask(
        labels=labels,
        kind="one file per object",
        description=f"one file per object, its id {by}: {listed}{more}",
    )


def _check_overlap(labels: npt.NDArray[np.int32], mask: npt.NDArray[np.bool_], file: Path) -> None:
    covered = int(np.count_nonzero(labels[mask]))
    # Masks that were thresholded each by itself overlap a little along a common edge.
    if covered > 0.01 * mask.sum():
        other = int(np.bincount(labels[mask])[1:].argmax()) + 1
        raise MaskError(
            f"{file} overlaps object {other} on {covered} pixels, but a pixel belongs to one "
            "object; erase the pixels of the object behind"
        )
