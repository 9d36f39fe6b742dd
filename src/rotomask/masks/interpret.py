"""Interpretation of an image as a mask: labels and the kind of file, or None if ambiguous."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import MaskError
from rotomask.masks.colours import Colour, assign_ids, flat_colours
from rotomask.masks.grey import flatness, grey_meaning
from rotomask.masks.palette import davis_palette
from rotomask.masks.writing import LABELS_KEY

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
class Interpretation:
    """The labels of a mask, and the kind of file it was read from."""

    labels: npt.NDArray[np.int32]
    """H×W: 0 background, k = object id k."""
    kind: MaskKind
    description: str
    """One line for users, with the object id of each colour or value."""
    colours: Mapping[Colour, int] = field(default_factory=dict)
    """Object id of each colour; empty for masks without colours."""


def interpret(
    image: Image.Image, lossy: bool, colour_ids: Mapping[Colour, int] | None
) -> Interpretation | None:
    """The labels of an image, or None if it is ambiguous or a photo.

    Args:
        image: An image of any Pillow mode.
        lossy: True if its codec changes values.
        colour_ids: Object ids of colours in earlier masks of the same video.

    Raises:
        MaskError: If it is a mask that cannot be used; the message does not name the file.
    """
    if image.mode == "P":
        return _indexed(image, colour_ids)
    if image.mode == "1":
        return _binary(np.asarray(image), "grey 0/255", "1-bit: object 1 where it is white")
    if image.mode in _SIXTEEN_BIT and image.info.get(LABELS_KEY) == "labels":
        return _ids(np.asarray(image).astype(np.int64), "grey 16-bit")
    if image.mode in _SIXTEEN_BIT:
        return _grey(np.asarray(image), 65535, lossy)
    if image.mode == "L":
        return _grey(np.asarray(image), 255, lossy)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        pixels = np.asarray(image.convert("RGBA"))
        if pixels[..., 3].min() == 255:
            return _rgb(pixels[..., :3], lossy, colour_ids)
        return _rgba(pixels, colour_ids)
    return _rgb(np.asarray(image.convert("RGB")), lossy, colour_ids)


def _indexed(image: Image.Image, colour_ids: Mapping[Colour, int] | None) -> Interpretation | None:
    indices = np.asarray(image).astype(np.int32)
    palette = np.frombuffer(bytes(image.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
    if len(palette) > 1 and np.array_equal(palette, davis_palette()[: len(palette)]):
        return Interpretation(
            labels=indices, kind="indexed", description="indexed, in the DAVIS palette"
        )
    used = [int(i) for i in np.unique(indices)]
    black = [i for i in used if i < len(palette) and not palette[i].any()]
    if used == [0, 255] and len(palette) == 256 and palette[255].min() == 255 and black == [0]:
        return _binary(indices > 0, "grey 0/255", "indexed black and white: object 1 is white")
    # Index 0 is not black but another index is: 0 is not the background, so the indices are not
    # ids. Programs that reduce an image to 256 colours number them in any order.
    if black and 0 not in black:
        return _rgb(np.asarray(image.convert("RGB")), False, colour_ids)
    if flatness(indices) < 0.5 and len(used) > 16:
        return None  # a photo reduced to a palette
    return Interpretation(
        labels=indices, kind="indexed", description="indexed: the palette index is the object id"
    )


def _grey(pixels: npt.NDArray[np.generic], white: int, lossy: bool) -> Interpretation | None:
    grey = pixels.astype(np.int64)
    if not np.array_equal(grey, pixels) or grey.min() < 0 or grey.max() > white:
        return None  # fractional or out of range (32-bit and floating point images)
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
    return _ids(grey, "grey ids" if white == 255 else "grey 16-bit")


def _ids(grey: npt.NDArray[np.int64], kind: MaskKind) -> Interpretation:
    """Grey values H×W as object ids."""
    ids = np.unique(grey[grey > 0])
    text = f"grey values as object ids ({', '.join(map(str, ids[:8]))}{', ...' * (len(ids) > 8)})"
    return Interpretation(labels=grey.astype(np.int32), kind=kind, description=text)


def _binary(object_: npt.NDArray[np.generic], kind: MaskKind, description: str) -> Interpretation:
    return Interpretation(labels=object_.astype(np.int32), kind=kind, description=description)


def _rgb(
    pixels: npt.NDArray[np.uint8], lossy: bool, colour_ids: Mapping[Colour, int] | None
) -> Interpretation | None:
    # Saturation of each pixel, H×W: a grey image saved as RGB has none, or up to 16 after JPEG.
    saturation = pixels.max(axis=2).astype(np.int16) - pixels.min(axis=2)
    if saturation.max() <= (16 if lossy else 0):
        return _grey(pixels[..., 1], 255, lossy)
    flat = flat_colours(pixels)
    if flat is None:
        return None
    index, colours, snapped = flat
    if (0, 0, 0) not in colours:
        raise MaskError(
            f"it has {len(colours)} flat colours but no pixel is black, so the background is "
            "unknown; paint the background black"
        )
    id_of = assign_ids(colours, colour_ids)
    kind: MaskKind = "jpeg-noisy colours" if snapped else "rgb colours"
    prefix = "colours with noisy or soft edges, snapped" if snapped else "colours"
    return _coloured(index, colours, id_of, kind, prefix)


def _rgba(pixels: npt.NDArray[np.uint8], colour_ids: Mapping[Colour, int] | None) -> Interpretation:
    # Colours under transparent pixels mean nothing: make them the background.
    opaque = pixels[..., 3] > 127
    flat = flat_colours(np.where(opaque[..., None], pixels[..., :3], 0).astype(np.uint8))
    if flat is not None and opaque.any():
        index, colours, snapped = flat
        id_of = assign_ids(colours, colour_ids)
        if len(id_of) > 2 and not snapped:  # background and two objects; else it is a cut-out
            return _coloured(index, colours, id_of, "rgba", "colours on transparency")
    return _binary(opaque, "rgba", "a cut-out: object 1 where alpha is above 127")


def _coloured(
    index: npt.NDArray[np.int32],
    colours: list[Colour],
    id_of: Mapping[Colour, int],
    kind: MaskKind,
    prefix: str,
) -> Interpretation:
    labels = np.array([id_of[colour] for colour in colours], np.int32)[index]
    used = sorted((k, colour) for colour, k in id_of.items() if k and colour in colours)
    listed = ", ".join("#{:02x}{:02x}{:02x} = {}".format(*colour, k) for k, colour in used[:8])
    more = ", ..." if len(used) > 8 else ""
    return Interpretation(
        labels=labels, kind=kind, description=f"{prefix}: {listed}{more}", colours=dict(id_of)
    )
