"""Masks as people have them: says what the file was taken for, refuses what it cannot know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from rotomask.errors import MaskError
from rotomask.files import natural_key, trailing_number
from rotomask.masks.colours import Colour
from rotomask.masks.interpret import MaskKind, interpret
from rotomask.masks.labels import object_ids

__all__ = ["LabelMask", "MaskKind", "read_mask"]

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".tga"),
    *(".pgm", ".ppm", ".jp2"),
)
"""Names in a folder that end so are taken for masks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelMask:
    """A mask that was read, and what it was taken for."""

    labels: npt.NDArray[np.int32]
    """H×W: 0 background, k = object id k."""
    kind: MaskKind | Literal["one file per object"]
    """What the file was taken for."""
    description: str
    """The same in one line for people, with the mapping of colours to ids."""
    colours: Mapping[Colour, int] = field(default_factory=dict)
    """Object id of each colour of a coloured mask (black is 0); empty for the other kinds."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The ids that appear, rising."""
        return object_ids(self.labels)


def read_mask(
    source: str | Path | Sequence[str | Path],
    size: tuple[int, int] | None = None,
    *,
    allow_empty: bool = False,
    colours: Mapping[Colour, int] | None = None,
) -> LabelMask:
    """Read a mask of any common format, saying what it was taken for.

    - Indexed: the palette index is the id.
    - Grey, 8 or 16 bit: black and white is object 1; flat regions of other values are ids.
    - Black and white with noisy (JPEG) or antialiased edges: object 1, cut at mid grey.
    - RGB: flat colours on black; DAVIS palette colours have their ids, others are numbered in
      falling order of RGB value (red 1, green 2, blue 3). Noisy or antialiased ones are snapped.
    - RGBA: flat colours on transparency as in RGB; anything else is object 1 where alpha > 127.
    - A folder or a list of files: one object a file, its id the number at the end of its name if
      every name has one, else counted from 1 in natural order. Where objects overlap by at most 1 %
      of the smaller, the smaller is in front; more is an error.

    Args:
        source: An image file, a folder of them, or several files.
        size: (height, width) of the frame that the mask is for, which it must have.
        allow_empty: Take a mask without objects, as result folders have them.
        colours: Object ids that colours had in earlier masks of the same video.

    Raises:
        MaskError: If it is missing, unreadable, of another size, empty, or cannot be understood.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        files = _files_of(path) if path.is_dir() else [path]
    else:
        files = [Path(file) for file in source]
    if not files:
        raise MaskError("no mask file was given")
    if len(files) > 1:
        mask = _one_file_per_object(files, size)
    else:
        mask = _read_file(files[0], size, colours)
    if not allow_empty and not mask.labels.any():
        raise MaskError(
            f"{files[0]} is empty: every pixel is background (taken for: {mask.description}); "
            "draw the object on it"
        )
    return mask


def _files_of(folder: Path) -> list[Path]:
    try:
        files = [
            file
            for file in sorted(folder.iterdir(), key=lambda file: natural_key(file.name))
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ]
    except OSError as error:
        raise MaskError(f"cannot read the folder {folder}: {error.strerror}") from error
    if not files:
        raise MaskError(f"{folder} holds no mask images (PNG, JPEG, TIFF, ...)")
    return files


def _read_file(
    path: Path, size: tuple[int, int] | None, colours: Mapping[Colour, int] | None
) -> LabelMask:
    try:
        with Image.open(path) as opened:
            lossy = opened.format in ("JPEG", "JPEG2000") or _is_lossy_webp(opened)
            image = ImageOps.exif_transpose(opened) if opened.format == "JPEG" else opened
            have = image.height, image.width
            meaning = interpret(image, lossy, colours) if size in (None, have) else None
    except MaskError as error:
        raise MaskError(f"{path} cannot be a mask: {error}") from error
    except FileNotFoundError as error:
        raise MaskError(f"{path} does not exist") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for a damaged file
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise MaskError(f"{path} is not a readable image{detail}") from error
    check_size(path, have, size)
    if meaning is None:
        raise MaskError(
            f"{path} cannot be a mask: it has neither flat labels nor black and white regions; "
            "give an indexed PNG, or flat colours or white on black"
        )
    return LabelMask(
        labels=meaning.labels,
        kind=meaning.kind,
        description=meaning.description,
        colours=meaning.colours,
    )


def check_size(path: Path, have: tuple[int, int], want: tuple[int, int] | None) -> None:
    """Raise unless the mask's (height, width) is the frame's."""
    if want is None or have == want:
        return
    aspect = have[0] / have[1] / (want[0] / want[1])
    advice = (
        "it has the same aspect: export it at the frame's size, or scale it by nearest neighbour"
        if abs(aspect - 1) < 0.01
        else "the sides are swapped: rotate it as the video is"
        if have == want[::-1]
        else "its aspect differs too: it was made for another video or crop"
    )
    raise MaskError(f"{path} is {have[1]}x{have[0]} but the frame {want[1]}x{want[0]}; {advice}")


def _is_lossy_webp(image: Image.Image) -> bool:
    if image.format != "WEBP":
        return False
    with Path(image.filename).open("rb") as file:  # type: ignore[attr-defined]
        head = file.read(1 << 16)
    return b"VP8L" not in head


def _one_file_per_object(files: list[Path], size: tuple[int, int] | None) -> LabelMask:
    numbers = [trailing_number(file.stem) for file in files]
    named = all(numbers) and len(set(numbers)) == len(numbers)  # an id of 0 does not count
    ids = [int(n or 0) for n in numbers] if named else list(range(1, len(files) + 1))
    masks: list[npt.NDArray[np.bool_]] = []
    for file in files:
        mask = _read_file(file, size or (masks[0].shape if masks else None), None)
        if len(mask.object_ids) > 1:
            raise MaskError(
                f"{file} has {len(mask.object_ids)} objects, but of several files each is to hold "
                "one; give one mask with all objects, or split it"
            )
        masks.append(mask.labels > 0)
    labels = np.zeros(masks[0].shape, np.int32)
    areas = [int(mask.sum()) for mask in masks]
    for index in sorted(
        range(len(masks)), key=lambda i: -areas[i]
    ):  # the smallest comes last, on top
        _check_overlap(labels, masks[index], files[index])
        labels[masks[index]] = ids[index]
    by = "the number at the end of its name" if named else "its place in natural order"
    listed = ", ".join(f"{file.name} = {k}" for file, k in zip(files[:6], ids, strict=False))
    more = ", ..." if len(files) > 6 else ""
    return LabelMask(
        labels=labels,
        kind="one file per object",
        description=f"one file per object, its id {by}: {listed}{more}",
    )


def _check_overlap(labels: npt.NDArray[np.int32], mask: npt.NDArray[np.bool_], file: Path) -> None:
    covered = int(np.count_nonzero(labels[mask]))
    if covered > 0.01 * mask.sum():
        other = int(np.bincount(labels[mask])[1:].argmax()) + 1
        raise MaskError(
            f"{file} overlaps object {other} on {covered} pixels; a pixel belongs to one object: "
            "cut the front object out of the one behind"
        )
