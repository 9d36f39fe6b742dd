"""Pictures from frames and masks, as pure functions: overlay, cut-out, matte, contact sheet."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from rotomask.errors import ShapeError
from rotomask.masks import object_colour, object_ids

Pixels = npt.NDArray[np.uint8]

_EDGE_SIGMA_PX = 0.7
"""Blur that turns the steps of a label edge into a smooth one without moving it."""

_BLEED_SIGMA_PX = 3.0
"""Reach of the object's colours under its soft edge and beyond."""

_SHEET_GREY = (24, 24, 27)
_CAPTION_GREY = (212, 212, 216)


def overlay(
    image: Pixels,
    labels: npt.NDArray[np.integer],
    *,
    opacity: float = 0.45,
    outline_px: float | None = None,
) -> Pixels:
    """The frame with every object tinted in its colour and outlined.

    Args:
        image: H×W×3 uint8 RGB.
        labels: H×W integers, 0 background.
        opacity: Of the tint, 0 to 1.
        outline_px: Width of the outline, inside the object; by default 1 px for every 240 lines of
            the frame, at least 1.5. 0 draws none.

    Returns:
        H×W×3 uint8 RGB, a new array.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(image, labels)
    width = max(1.5, image.shape[0] / 240) if outline_px is None else outline_px
    picture = image.copy()
    for object_id in object_ids(labels):
        mask = (labels == object_id).astype(np.uint8) * 255
        box = _box_around(mask, margin=math.ceil(width) + 4)
        part, mask = picture[box], np.ascontiguousarray(mask[box])
        colour = np.array(display_colour(object_id), np.float32)
        soft = _smooth(mask)
        if width > 0:
            inside = _shrunk(mask, width)
            grown = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
            halo = _smooth(grown)
            blend = _mix(part, np.zeros(3, np.float32), (halo - soft).clip(0) * np.float32(0.5))
            blend = _mix(blend, colour, (soft - inside).clip(0))
            part[:] = _mix(blend, colour, inside * opacity).round().astype(np.uint8)
        else:
            part[:] = _mix(part, colour, soft * opacity).round().astype(np.uint8)
    return picture


def display_colour(object_id: int) -> tuple[int, int, int]:
    """The palette colour of an object, brightened so that it shows on film: RGB, 0-255."""
    red, green, blue = (round(255 * math.sqrt(v / 255)) for v in object_colour(object_id))
    lift = 40 if max(red, green, blue) else 0  # pure primaries look harsh
    return min(255, red + lift), min(255, green + lift), min(255, blue + lift)


def matte(labels: npt.NDArray[np.integer], ids: Sequence[int] | None = None) -> Pixels:
    """Alpha of the objects together, its label edges antialiased: H×W uint8, 255 inside.

    Where a soft matte from the model's probabilities exists, that is better.

    Args:
        labels: H×W integers.
        ids: The objects wanted; by default all.
    """
    wanted = np.isin(labels, list(ids)) if ids is not None else labels > 0
    return (_smooth(wanted.astype(np.uint8) * 255) * 255).round().astype(np.uint8)


def cutout(image: Pixels, alpha: Pixels) -> Pixels:
    """The object alone, with transparency: H×W×4 uint8 RGBA, straight (not premultiplied) alpha.

    Under its soft edge, and a few pixels beyond, the picture takes the colours of the object's
    solid part, so that neither the old background nor black shows as a fringe on the new one, also
    after chroma subsampling. Farther out it is black, so the file says nothing of the background.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W uint8.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(image, alpha)
    result = np.zeros((*alpha.shape, 4), np.uint8)
    if not alpha.any():
        return result
    box = _box_around(alpha, margin=math.ceil(4 * _BLEED_SIGMA_PX))
    part, opacity = image[box].astype(np.float32), alpha[box].astype(np.float32)[..., None] / 255
    solid = (alpha[box] >= 250).astype(np.float32)
    weight = cv2.GaussianBlur(solid, (0, 0), _BLEED_SIGMA_PX)[..., None]
    spread = cv2.GaussianBlur(part * solid[..., None], (0, 0), _BLEED_SIGMA_PX)
    near = weight > 1e-3
    inner = np.where(near, spread / np.maximum(weight, 1e-3), part * (opacity > 0))
    colours = part * opacity + inner * (1 - opacity)
    result[(*box, slice(0, 3))] = colours.clip(0, 255).round().astype(np.uint8)
    result[..., 3] = alpha
    return result


def contact_sheet(
    images: Sequence[Pixels],
    names: Sequence[str],
    *,
    columns: int = 4,
    cell_width_px: int = 320,
) -> Pixels:
    """Pictures in rows on dark grey, each with its name below: H×W×3 uint8 RGB.

    Args:
        images: H×W×3 uint8 RGB, of any sizes; scaled to one width.
        names: A caption for each.
        columns: Pictures in a row.
        cell_width_px: Width of each.

    Raises:
        ShapeError: If there is no image, or not one name for each.
    """
    if not images or len(images) != len(names):
        raise ShapeError(f"a sheet needs a name for each image, got {len(images)}, {len(names)}")
    columns = min(columns, len(images))
    gap, caption = cell_width_px // 32, cell_width_px // 10
    heights = [max(1, round(cell_width_px * i.shape[0] / i.shape[1])) for i in images]
    row_height = max(heights) + caption
    rows = math.ceil(len(images) / columns)
    sheet = Image.new(
        "RGB",
        (gap + columns * (cell_width_px + gap), gap + rows * (row_height + gap)),
        _SHEET_GREY,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=caption * 0.55)
    for place, (image, name, height) in enumerate(zip(images, names, heights, strict=True)):
        x = gap + (place % columns) * (cell_width_px + gap)
        y = gap + (place // columns) * (row_height + gap)
        small = cv2.resize(image, (cell_width_px, height), interpolation=cv2.INTER_AREA)
        sheet.paste(Image.fromarray(small), (x, y))
        draw.text((x, y + height + caption * 0.15), name, fill=_CAPTION_GREY, font=font)
    return np.asarray(sheet)


def _smooth(mask: Pixels) -> npt.NDArray[np.float32]:
    """A 0/255 mask as 0-1 with antialiased edges."""
    soft = cv2.GaussianBlur(mask, (0, 0), _EDGE_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    return (soft / np.float32(255)).astype(np.float32)


def _shrunk(mask: Pixels, width: float) -> npt.NDArray[np.float32]:
    """The mask less an edge of this width, 0-1, its new edge antialiased; frame borders stay."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside: npt.NDArray[np.float32] = (distance - width).clip(0, 1).astype(np.float32)
    return inside


def _mix(
    base: npt.NDArray[np.uint8 | np.float32],
    colour: npt.NDArray[np.float32],
    share: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    mixed: npt.NDArray[np.float32] = base + (colour - base) * share[..., None]
    return mixed


def _box_around(mask: Pixels, margin: int) -> tuple[slice, slice]:
    x, y, width, height = cv2.boundingRect(mask)
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )


def _check_same_size(image: Pixels, labels: npt.NDArray[np.generic]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[:2] != labels.shape:
        raise ShapeError(
            f"an H×W×3 image and an H×W mask of one size are needed, got {image.shape} and "
            f"{labels.shape}"
        )
