"""Images made from frames and masks by pure functions: overlay, cut-out, matte, contact sheet."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from rotomask.arrays import check_layer
from rotomask.errors import ShapeError
from rotomask.masks import object_colour, object_ids
from rotomask.masks.windows import window_around
from rotomask.matting import foreground_colours

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
"""RGB, 0-255."""

_EDGE_SIGMA_PX = 0.7
"""Blur that antialiases the edge of a label without moving it."""

_BLEED_SIGMA_PX = 3.0
"""Blur that extends the object's colours under and beyond its soft edge."""

_BAND = 128
"""Rows that are blended at once."""

BRIGHT_COLOURS: tuple[Colour, ...] = (
    *((255, 64, 64), (64, 230, 64), (80, 140, 255), (255, 225, 50), (255, 80, 255)),
    *((60, 235, 235), (255, 150, 40), (255, 255, 255)),
)
"""Colours for objects on which their own does not show."""

STANDS_OUT = 40.0
"""Distance in CIELAB from which a colour shows well on another."""

_SHEET_GREY = (24, 24, 27)
_CAPTION_GREY = (212, 212, 216)


def overlay(
    image: Pixels,
    labels: npt.NDArray[np.integer],
    *,
    opacity: float = 0.45,
    outline_px: float | None = None,
    colours: Mapping[int, Colour] | None = None,
) -> Pixels:
    """The frame with every object tinted and outlined in its colour.

    Args:
        image: H×W×3 uint8 RGB.
        labels: H×W integers, 0 background.
        opacity: Opacity of the tint, 0 to 1.
        outline_px: Width of the outline, which lies inside the object; 0 draws none. By default
            1/240 of the frame's height, at least 1.5 px.
        colours: Colour of objects, RGB 0-255; of others and by default their display colour.

    Returns:
        H×W×3 uint8 RGB, a new array.

    Raises:
        ShapeError: If the sizes differ.
    """
    check_layer(image, labels)
    width = max(1.5, image.shape[0] / 240) if outline_px is None else outline_px
    picture = image.copy()
    for object_id in object_ids(labels):
        mask = (labels == object_id).astype(np.uint8) * 255
        # Work on the object's box alone: a frame has a few small objects. `crop` is a view.
        box = window_around(mask, margin=math.ceil(width) + 4)
        crop, mask = picture[box], np.ascontiguousarray(mask[box])
        rgb = (colours or {}).get(object_id, display_colour(object_id))
        colour = np.array(rgb, np.float32)
        soft = _smooth(mask)
        if width > 0:
            inside = _eroded(mask, width)
            dilated = cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
            halo = _smooth(dilated)
        # In bands: blending takes twelve times the memory of the pixels, 300 MB for 4K.
        for top in range(0, len(crop), _BAND):
            rows = slice(top, top + _BAND)
            if width > 0:
                # From the outside in: a thin dark halo, so that the outline shows on any
                # background; the opaque outline; the tint.
                dark = (halo[rows] - soft[rows]).clip(0) * np.float32(0.5)
                outline = (soft[rows] - inside[rows]).clip(0)
                tint = inside[rows] * np.float32(opacity)
                base = (1 - dark) * (1 - outline) * (1 - tint)
                share = outline * (1 - tint) + tint
            else:
                share = soft[rows] * np.float32(opacity)
                base = 1 - share
            # One blend in place of one for each layer, channel by channel: NumPy takes three times
            # as long where the innermost of its loops has three steps.
            blended = []
            for channel, value in zip(cv2.split(crop[rows]), colour, strict=True):
                blend = channel * base  # h×w float32
                blend += share * value
                blended.append(cv2.convertScaleAbs(blend))  # rounded
            crop[rows] = cv2.merge(blended)
    return picture


class ContrastingColours:
    """Colours of a video's objects that differ from what lies under them and from each other.

    An object keeps the colour that it got in the first frame that shows it: its display colour
    where this stands out, else the one of `BRIGHT_COLOURS` that stands out most.
    """

    def __init__(self) -> None:
        self._colours: dict[int, Colour] = {}

    def of(self, image: Pixels, labels: npt.NDArray[np.integer]) -> Mapping[int, Colour]:
        """Colours of all objects up to this frame, by object id.

        Args:
            image: H×W×3 uint8 RGB.
            labels: H×W integers, 0 background.

        Raises:
            ShapeError: If the sizes differ.
        """
        check_layer(image, labels)
        for object_id in object_ids(labels):
            if object_id not in self._colours:
                taken = list(self._colours.values())
                self._colours[object_id] = _contrasting(
                    image, labels == object_id, object_id, taken
                )
        return self._colours


def _contrasting(
    image: Pixels, mask: npt.NDArray[np.bool_], object_id: int, taken: Sequence[Colour]
) -> Colour:
    """Colour of an object that stands out from the pixels under and around it."""
    box = window_around(mask, margin=max(4, image.shape[0] // 40))
    crop, inside = image[box], mask[box]
    step = max(1, math.isqrt(inside.size // 10_000))  # about 10,000 pixels are enough
    crop, inside = crop[::step, ::step], inside[::step, ::step]
    near = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    under = _lab(crop[near])  # n×3
    choices = [display_colour(object_id), *BRIGHT_COLOURS]
    visible = []
    for colour, point in zip(choices, _lab(np.array(choices, np.uint8)), strict=True):
        # The tenth of the pixels that are most like the colour decide: there it would not show.
        contrast = float(np.percentile(np.linalg.norm(under - point, axis=1), 10))
        others = _lab(np.array([*taken, _SHEET_GREY], np.uint8))
        distinct = float(np.linalg.norm(others - point, axis=1).min())
        visible.append((min(contrast, distinct), colour))
    return choices[0] if visible[0][0] >= STANDS_OUT else max(visible, key=lambda pair: pair[0])[1]


def _lab(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Colours N×3 RGB in CIELAB, N×3 float32; distances there are about as seen."""
    scaled = colours.reshape(1, -1, 3).astype(np.float32) / 255
    lab: npt.NDArray[np.float32] = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB))[0]
    return lab


def beside(image: Pixels, picture: Pixels) -> Pixels:
    """Two pictures of one size side by side, the first on the left: H×2W×3 uint8 RGB.

    Raises:
        ShapeError: If the sizes differ.
    """
    if image.shape != picture.shape:
        raise ShapeError(
            f"pictures side by side must have one size, got {image.shape} and {picture.shape}"
        )
    return np.concatenate([image, picture], axis=1)


def display_colour(object_id: int) -> Colour:
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


def changed_matte(
    stored: Pixels, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
) -> Pixels:
    """A stored matte after its mask was changed: H×W uint8, 255 opaque.

    Edges that moved are those of the new mask, antialiased; the others stay as soft as they were.

    Args:
        stored: H×W, the matte of the mask before.
        before: H×W, where objects were.
        after: H×W, where they are.
    """
    changed = before != after
    if not changed.any():
        return stored
    # A soft edge belongs to the nearest pixel across it: if that one changed, the edge moved.
    moved = np.zeros_like(changed)
    for mask in (before, after):
        moved |= np.where(after, _at_nearest(~mask, changed), _at_nearest(mask, changed))
    return np.where(moved, matte(after.astype(np.uint8)), stored)


def _at_nearest(
    mask: npt.NDArray[np.bool_], values: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Each pixel's value at the nearest pixel of a mask, H×W; true where the mask is empty."""
    if not mask.any():
        return np.ones_like(values)
    outside = (~mask).astype(np.uint8)
    _, number = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_number: npt.NDArray[np.bool_] = np.zeros(int(number.max()) + 1, np.bool_)
    by_number[number[mask]] = values[mask]  # every pixel of the mask has a number of its own
    return np.asarray(by_number[number], np.bool_)


def cutout(image: Pixels, alpha: Pixels, *, despill: bool = False) -> Pixels:
    """The object on transparency: H×W×4 uint8 RGBA, straight (not premultiplied) alpha.

    Under the soft edge and a few pixels beyond it, the colours are those of the object's opaque
    pixels. So neither the old background nor black shows as a fringe on a new background, even
    after chroma subsampling. Farther out the image is black: the old background is not stored.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W uint8, 255 opaque.
        despill: Remove the background's colour from soft pixels (`matting.foreground_colours`),
            where they are otherwise mixed with that of opaque ones.

    Raises:
        ShapeError: If the sizes differ.
    """
    check_layer(image, alpha)
    result = np.zeros((*alpha.shape, 4), np.uint8)
    if not alpha.any():
        return result
    reach = math.ceil(4 * _BLEED_SIGMA_PX)  # OpenCV cuts the blur off there
    box = window_around(alpha, margin=reach)
    inside, opacity, colours = image[box], alpha[box], result[box]
    own = None
    if despill:
        soft = np.asarray(opacity, np.float32) / np.float32(255)
        own = foreground_colours(inside, soft)
    for top in range(0, len(inside), _BAND):  # floats of a 4K frame take 600 MB
        first, bottom = max(0, top - reach), min(len(inside), top + _BAND)
        rows = slice(first, bottom + reach)
        part = None if own is None else own[rows]
        extended = _extended_colours(inside[rows], opacity[rows], part)
        colours[top:bottom, :, :3] = extended[top - first : bottom - first]
    result[..., 3] = alpha
    return result


def _extended_colours(image: Pixels, alpha: Pixels, own: Pixels | None) -> Pixels:
    """Colours of the object, extended under and beyond its soft edge: h×w×3 uint8.

    Args:
        image: h×w×3 uint8 RGB.
        alpha: h×w uint8.
        own: The object's colours without the background's, h×w×3; None: those of the image.
    """
    crop, opacity = image.astype(np.float32), alpha.astype(np.float32)[..., None] / 255
    # Normalized convolution: the blurred colours of the opaque pixels over the blurred mask of
    # these pixels is their weighted mean, with no weight on the background. h×w×3 over h×w×1.
    opaque = (alpha >= 250).astype(np.float32)
    weight = cv2.GaussianBlur(opaque, (0, 0), _BLEED_SIGMA_PX)[..., None]
    blurred = cv2.GaussianBlur(crop * opaque[..., None], (0, 0), _BLEED_SIGMA_PX)
    weighted: npt.NDArray[np.float32] = np.asarray(blurred, np.float32)
    near = weight > 1e-3  # a thin object may have no opaque pixel near: keep its own colours
    # In place: each array of a band of a 4K frame takes 7 MB.
    weighted /= np.maximum(weight, 1e-3)
    np.multiply(crop, opacity > 0, out=weighted, where=~near)
    pure = crop if own is None else own.astype(np.float32)
    colours = pure * opacity
    weighted *= 1 - opacity
    colours += weighted
    if own is not None:  # they are the object's wherever it is seen at all
        np.copyto(colours, pure, where=opacity > 0)
    np.rint(colours.clip(0, 255, out=colours), out=colours)
    return colours.astype(np.uint8)


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
    # A gap before each row and column, and one after the last.
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
