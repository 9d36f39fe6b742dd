"""From the pixels of an image file to labels, or None when they could mean anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import MaskError
from rotomask.masks.colours import Colour, flat_colours, number_colours
from rotomask.masks.grey import flatness, grey_meaning
from rotomask.masks.palette import davis_palette

MaskKind = Literal[
    "indexed",
    "grey 0/255",
    "grey ids",
    "grey 16-bit",
    "antialiased binary",
    "jpeg-noisy binary",
    "rgb colours",
    "jpeg-noisy colours",
    "rgba",
]

_SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")


@dataclass(frozen=True, kw_only=True, eq=False)
class Meaning:
    """Labels (H×W int32) and what the image was taken for."""

    labels: npt.NDArray[np.int32]
    kind: MaskKind
    description: str
    colours: Mapping[Colour, int] = field(default_factory=dict)


def interpret(
    image: Image.Image, lossy: bool, known: Mapping[Colour, int] | None
) -> Meaning | None:
    """What the image means as a mask, or None when that cannot be known.

    Args:
        image: Of any Pillow mode.
        lossy: Whether its codec changes values.
        known: Object ids of colours that are settled already.

    Raises:
        MaskError: If it is a mask but cannot be used; the message does not name the file.
    """
    if image.mode == "P":
        return _indexed(image, known)
    if image.mode == "1":
        return _binary(np.asarray(image), "grey 0/255", "1-bit: object 1 where it is white")
    if image.mode in _SIXTEEN_BIT:
        return _grey(np.asarray(image), 65535, lossy)
    if image.mode == "L":
        return _grey(np.asarray(image), 255, lossy)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        pixels = np.asarray(image.convert("RGBA"))
        if pixels[..., 3].min() == 255:
            return _rgb(pixels[..., :3], lossy, known)
        return _rgba(pixels, known)
    return _rgb(np.asarray(image.convert("RGB")), lossy, known)


def _indexed(image: Image.Image, known: Mapping[Colour, int] | None) -> Meaning | None:
    indices = np.asarray(image).astype(np.int32)
    palette = np.frombuffer(bytes(image.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
    if len(palette) > 1 and np.array_equal(palette, davis_palette()[: len(palette)]):
        return Meaning(labels=indices, kind="indexed", description="indexed, in the DAVIS palette")
    used = [int(i) for i in np.unique(indices)]
    black = [i for i in used if i < len(palette) and not palette[i].any()]
    if used == [0, 255] and len(palette) == 256 and palette[255].min() == 255 and black == [0]:
        return _binary(indices > 0, "grey 0/255", "indexed black and white: object 1 is white")
    if black and 0 not in black:  # so 0 is not the background, and indices are not ids
        return _rgb(np.asarray(image.convert("RGB")), False, known)
    if flatness(indices) < 0.5 and len(used) > 16:
        return None  # a photo in a palette
    return Meaning(
        labels=indices, kind="indexed", description="indexed: the palette index is the object id"
    )


def _grey(pixels: npt.NDArray[np.generic], white: int, lossy: bool) -> Meaning | None:
    grey = pixels.astype(np.int64)
    if not np.array_equal(grey, pixels) or grey.min() < 0 or grey.max() > white:
        return None  # floats between integers, or out of range
    meaning = grey_meaning(grey, white, lossy)
    if meaning == "binary":
        return _binary(grey > 0, "grey 0/255", "black and white: object 1 is white")
    if meaning == "soft binary" and lossy:
        text = "black and white with JPEG noise: object 1 where it is brighter than mid grey"
        return _binary(grey > white // 2, "jpeg-noisy binary", text)
    if meaning == "soft binary":
        text = "black and white with soft edges: object 1 where it is brighter than mid grey"
        return _binary(grey > white // 2, "antialiased binary", text)
    if meaning is None:
        return None
    ids = np.unique(grey[grey > 0])
    text = f"grey values as object ids ({', '.join(map(str, ids[:8]))}{', ...' * (len(ids) > 8)})"
    kind: MaskKind = "grey ids" if white == 255 else "grey 16-bit"
    return Meaning(labels=grey.astype(np.int32), kind=kind, description=text)


def _binary(object_: npt.NDArray[np.generic], kind: MaskKind, description: str) -> Meaning:
    return Meaning(labels=object_.astype(np.int32), kind=kind, description=description)


def _rgb(
    pixels: npt.NDArray[np.uint8], lossy: bool, known: Mapping[Colour, int] | None
) -> Meaning | None:
    spread = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
    if spread.max() <= (16 if lossy else 0):
        return _grey(pixels[..., 1], 255, lossy)
    flat = flat_colours(pixels)
    if flat is None:
        return None
    index, colours, snapped = flat
    if (0, 0, 0) not in colours:
        raise MaskError(
            f"it has {len(colours)} flat colours but no pixel is black, so nothing says which is "
            "the background; paint that black"
        )
    numbers = number_colours(colours, known)
    kind: MaskKind = "jpeg-noisy colours" if snapped else "rgb colours"
    prefix = "colours with noisy or soft edges, snapped" if snapped else "colours"
    return _coloured(index, colours, numbers, kind, prefix)


def _rgba(pixels: npt.NDArray[np.uint8], known: Mapping[Colour, int] | None) -> Meaning:
    opaque = pixels[..., 3] > 127
    flat = flat_colours(np.where(opaque[..., None], pixels[..., :3], 0).astype(np.uint8))
    if flat is not None and opaque.any():
        index, colours, snapped = flat
        numbers = number_colours(colours, known)
        if len(numbers) > 2 and not snapped:
            return _coloured(index, colours, numbers, "rgba", "colours on transparency")
    return _binary(opaque, "rgba", "a cut-out: object 1 where alpha is above 127")


def _coloured(
    index: npt.NDArray[np.int32],
    colours: list[Colour],
    numbers: Mapping[Colour, int],
    kind: MaskKind,
    prefix: str,
) -> Meaning:
    labels = np.array([numbers[colour] for colour in colours], np.int32)[index]
    used = sorted((k, colour) for colour, k in numbers.items() if k and colour in colours)
    listed = ", ".join("#{:02x}{:02x}{:02x} = {}".format(*colour, k) for k, colour in used[:8])
    more = ", ..." if len(used) > 8 else ""
    return Meaning(
        labels=labels, kind=kind, description=f"{prefix}: {listed}{more}", colours=dict(numbers)
    )
