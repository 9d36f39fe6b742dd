"""Images made from frames and masks by pure functions: overlay, cut-out, matte, contact sheet."""

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
"""Blur that antialiases the edge of a label without moving it."""

_BLEED_SIGMA_PX = 3.0
"""Blur that extends the object's colours under and beyond its soft edge."""

_SHEET_GREY = (24, 24, 27)
_CAPTION_GREY = (212, 212, 216)


def overlay(
    image: Pixels,
    labels: npt.NDArray[np.integer],
    *,
    opacity: float = 0.45,
    outline_px: float | None = None,
) -> Pixels:
    """The frame with every object tinted and outlined in its colour.

    Args:
        image: H×W×3 uint8 RGB.
        labels: H×W integers, 0 background.
        opacity: Opacity of the tint, 0 to 1.
        outline_px: Width of the outline, which lies inside the object; 0 draws none. By default
            1/240 of the frame's height, at least 1.5 px.

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
        # Work on the object's box alone: a frame has a few small objects. `crop` is a view.
        box = _box_around(mask, margin=math.ceil(width) + 4)
        crop, mask = picture[box], np.ascontiguousarray(mask[box])
        colour = np.array(display_colour(object_id), np.float32)
        soft = _smooth(mask)
        if width > 0:
            inside = _eroded(mask, width)
            dilated = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
            halo = _smooth(dilated)
            # From the outside in: a thin dark halo, so that the outline shows on any background;
            # the opaque outline; the tint.
            blend = _mix(crop, np.zeros(3, np.float32), (halo - soft).clip(0) * np.float32(0.5))
            blend = _mix(blend, colour, (soft - inside).clip(0))
            crop[:] = _mix(blend, colour, inside * opacity).round().astype(np.uint8)
        else:
            crop[:] = _mix(crop, colour, soft * opacity).round().astype(np.uint8)
    return picture


def display_colour(object_id: int) -> tuple[int, int, int]:
    """The palette colour of an object, brightened to stand out on video: RGB, 0-255."""
    red, green, blue = (round(255 * math.sqrt(v / 255)) for v in object_colour(object_id))
    lift = 40 if max(red, green, blue) else 0  # pure primaries look harsh
    return min(255, red + lift), min(255, green + lift), min(255, blue + lift)


def matte(labels: npt.NDArray[np.integer], ids: Sequence[int] | None = None) -> Pixels:
    """Opacity of the objects together, with antialiased edges: H×W uint8, 255 inside.

    A matte made from the model's probabilities is more exact where there is one.

    Args:
        labels: H×W integers.
        ids: The objects to include; by default all.
    """
    foreground = np.isin(labels, list(ids)) if ids is not None else labels > 0
    return (_smooth(foreground.astype(np.uint8) * 255) * 255).round().astype(np.uint8)


def cutout(image: Pixels, alpha: Pixels) -> Pixels:
    """The object on transparency: H×W×4 uint8 RGBA, straight (not premultiplied) alpha.

    Under the soft edge and a few pixels beyond it, the colours are those of the object's opaque
    pixels. So neither the old background nor black shows as a fringe on a new background, even
    after chroma subsampling. Farther out the image is black: the old background is not stored.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W uint8, 255 opaque.

    Raises:
        ShapeError: If the sizes differ.
    """
    _check_same_size(image, alpha)
    result = np.zeros((*alpha.shape, 4), np.uint8)
    if not alpha.any():
        return result
    box = _box_around(alpha, margin=math.ceil(4 * _BLEED_SIGMA_PX))
    crop, opacity = image[box].astype(np.float32), alpha[box].astype(np.float32)[..., None] / 255
    # Normalized convolution: the blurred colours of the opaque pixels over the blurred mask of
    # these pixels is their weighted mean, with no weight on the background. h×w×3 over h×w×1.
    opaque = (alpha[box] >= 250).astype(np.float32)
    weight = cv2.GaussianBlur(opaque, (0, 0), _BLEED_SIGMA_PX)[..., None]
    weighted = cv2.GaussianBlur(crop * opaque[..., None], (0, 0), _BLEED_SIGMA_PX)
    near = weight > 1e-3  # a thin object may have no opaque pixel near: keep its own colours
    extended = np.where(near, weighted / np.maximum(weight, 1e-3), crop * (opacity > 0))
    colours = crop * opacity + extended * (1 - opacity)
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
    """Images in rows on dark grey, each with its name below: H×W×3 uint8 RGB.

    Args:
        images: H×W×3 uint8 RGB, of any sizes; scaled to one width.
        names: The caption of each image.
        columns: Images per row.
        cell_width_px: Width of an image.

    Raises:
        ShapeError: If there are no images, or not as many names as images.
    """
    if not images or len(images) != len(names):
        raise ShapeError(
            "a contact sheet needs at least one image, with a name for each image; "
            f"got {len(images)} images and {len(names)} names"
        )
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
    for index, (image, name, height) in enumerate(zip(images, names, heights, strict=True)):
        x = gap + (index % columns) * (cell_width_px + gap)
        y = gap + (index // columns) * (row_height + gap)
        thumbnail = cv2.resize(image, (cell_width_px, height), interpolation=cv2.INTER_AREA)
        sheet.paste(Image.fromarray(thumbnail), (x, y))
        draw.text((x, y + height + caption * 0.15), name, fill=_CAPTION_GREY, font=font)
    return np.asarray(sheet)


def _smooth(mask: Pixels) -> npt.NDArray[np.float32]:
    """A 0/255 mask with antialiased edges: H×W float32, 0 to 1."""
    soft = cv2.GaussianBlur(mask, (0, 0), _EDGE_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    return (soft / np.float32(255)).astype(np.float32)


def _eroded(mask: Pixels, width: float) -> npt.NDArray[np.float32]:
    """A 0/255 mask without a rim of `width` px, with antialiased edges: H×W float32, 0 to 1.

    Subpixel widths need the distance to the edge, not cv2.erode.
    """
    # Objects are not eroded where they leave the frame: there the border repeats the mask, so the
    # edge is as far as it would be in a larger frame.
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside: npt.NDArray[np.float32] = (distance - width).clip(0, 1).astype(np.float32)
    return inside


def _mix(
    base: npt.NDArray[np.uint8 | np.float32],
    colour: npt.NDArray[np.float32],
    opacity: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """A colour (3) over an image (H×W×3) with this opacity (H×W, 0 to 1): H×W×3 float32."""
    mixed: npt.NDArray[np.float32] = base + (colour - base) * opacity[..., None]
    return mixed


def _box_around(mask: Pixels, margin: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels that are not 0, with a margin in px, inside the frame."""
    x, y, width, height = cv2.boundingRect(mask)
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )


def _check_same_size(image: Pixels, labels: npt.NDArray[np.generic]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[:2] != labels.shape:
        raise ShapeError(
            f"expected an H×W×3 image and an H×W mask of the same size, got {image.shape} and "
            f"{labels.shape}; resize the mask to the image"
        )
