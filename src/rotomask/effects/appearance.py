"""Effects on the object: outline and glow, anonymised, as a sticker."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects import options
from rotomask.effects.compositing import gaussian, over
from rotomask.effects.options import Settings, parse_colour

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Outline(Settings):
    """Settings of `outline`."""

    colour: str = options.colour("#ffffff", "Colour of the line.")
    width: float = options.number(0.8, 0, 10, "Width of the line.", unit="%")
    gap: float = options.number(0, 0, 5, "Distance from the object to the line.", unit="%")
    glow: float = options.number(6, 0, 20, "How far the glow reaches; 0: none.", unit="%")
    glow_colour: str = options.colour("#39c5ff", "Colour of the glow.")
    glow_strength: float = options.number(1, 0, 2, "Strength of the glow.")
    dim: float = options.number(0.25, 0, 1, "How much darker the background gets.")


@dataclass(frozen=True, kw_only=True)
class Anonymise(Settings):
    """Settings of `anonymise`."""

    style: str = options.choice("pixels", ("pixels", "blur", "fill"), "What replaces the object.")
    size: float = options.number(
        4, 0.5, 25, "Side of a pixel block, or radius of the blur; larger shows less.", unit="%"
    )
    margin: float = options.number(
        1, 0, 10, "How far beyond the object's edge it reaches.", unit="%"
    )
    colour: str = options.colour("#808080", "Colour of the fill.")


@dataclass(frozen=True, kw_only=True)
class Sticker(Settings):
    """Settings of `sticker`."""

    border: float = options.number(2, 0, 10, "Width of the border.", unit="%")
    colour: str = options.colour("#ffffff", "Colour of the border.")
    shadow: float = options.number(0.35, 0, 1, "Darkness of the shadow; 0: none.")
    shadow_size: float = options.number(
        1.5, 0.1, 10, "How soft and how far below the shadow lies.", unit="%"
    )
    crop: bool = options.flag(True, "Crop all frames to where the object is in any of them.")
    side: int = options.whole(
        0, 0, 4096, "Longest side of the sticker, px; 0: as it is in the video."
    )


def outline(image: Pixels, alpha: Array, colours: Pixels, settings: Outline) -> Pixels:
    """The frame with a line and a glow around the object: H×W×3 uint8.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W, 0 to 1.
        colours: H×W×3: the object's own colours at its edge.
        settings: How.
    """
    short = min(alpha.shape)
    behind = image * np.float32(1 - settings.dim)
    gap, width = (settings.gap * short / 100, settings.width * short / 100)
    if settings.glow > 0 and settings.glow_strength > 0:
        reach = settings.glow * short / 100
        body = around(alpha, gap + width)
        # Two blurs: a bright rim and a wide haze; screened, so that bright pictures do not clip.
        haze = gaussian(body, reach / 6) + 0.8 * gaussian(body, reach / 2)
        light = (settings.glow_strength * haze).clip(0, 1)[..., None]
        tint = np.array(parse_colour(settings.glow_colour), np.float32)
        # Screen: 1 - (1 - a)(1 - b) in values of 0..255.
        behind = 255 - (255 - behind) * (1 - light * tint / 255)
    if width > 0:
        # A ring: what the wider shape covers and the narrower one does not.
        line = (around(alpha, gap + width) - around(alpha, gap)).clip(0, 1)
        if gap == 0:  # under the soft edge lies the line, not the old background
            line = around(alpha, width)
        behind = (
            behind
            + (np.array(parse_colour(settings.colour), np.float32) - behind) * (line[..., None])
        )
    return over(colours if width > 0 and gap == 0 else image, alpha, behind)


def anonymise(image: Pixels, alpha: Array, settings: Anonymise) -> Pixels:
    """The frame with an object nobody can recognise: H×W×3 uint8.

    Pixels and blur are made of the object's own colours; filling leaves nothing of it. Small
    blocks and weak blurs can be undone in part: faces need blocks of at least a tenth of their
    width (Hill et al. 2016, "On the (In)effectiveness of Mosaicing and Blurring").
    """
    short = min(alpha.shape)
    cover = around((alpha > 0.05).astype(np.float32), settings.margin * short / 100)
    side = max(2, round(settings.size * short / 100))
    if settings.style == "fill":
        flat = np.broadcast_to(_rgb(settings.colour), image.shape).astype(np.float32)
        return over(flat, cover, image)
    if settings.style == "blur":
        weight = gaussian(cover, side)[..., None]
        # Blurred premultiplied and divided by the blurred cover: nothing of the background comes
        # in.
        soft = gaussian(image * cover[..., None], side) / np.maximum(weight, 1e-3)
        return over(soft.astype(np.float32), cover, image)
    height, width = alpha.shape
    rows, columns = -(-height // side), -(-width // side)
    # Blocks lie on a grid of the frame; a block of which a part is covered is replaced whole.
    pad = ((0, rows * side - height), (0, columns * side - width))
    covered = np.pad(cover, pad, mode="edge")
    picture = np.pad(image, (*pad, (0, 0)), mode="edge")
    mean = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    # rows·side×columns·side -> rows×side×columns×side: the largest cover within each block.
    touched = covered.reshape(rows, side, columns, side).max(axis=(1, 3)) > 0.05
    blocks = cv2.resize(mean, (columns * side, rows * side), interpolation=cv2.INTER_NEAREST)
    where = np.repeat(np.repeat(touched, side, axis=0), side, axis=1)
    return np.where(where[:height, :width, None], blocks[:height, :width], image).astype(np.uint8)


def sticker(alpha: Array, colours: Pixels, settings: Sticker) -> Pixels:
    """The object with a border and a shadow on transparency: H×W×4 uint8 RGBA, straight alpha.

    Args:
        alpha: H×W, 0 to 1.
        colours: H×W×3: the object's own colours.
        settings: How.
    """
    short = min(alpha.shape)
    border = settings.border * short / 100
    body = np.maximum(around(_smooth_shape(alpha, border), border), alpha)
    size = settings.shadow_size * short / 100
    shifted = np.zeros_like(body)
    down = min(round(size), body.shape[0] - 1)
    shifted[down:] = body[: body.shape[0] - down]
    shadow = gaussian(shifted, size / 1.5).clip(0, 1) * settings.shadow
    # From below: shadow (black), border, object.
    # Two layers over each other let through what both let through.
    opacity = 1 - (1 - shadow) * (1 - body)
    picture = _rgb(settings.colour) + (colours - _rgb(settings.colour)) * alpha[..., None]
    # The shadow is black, so of the mixture only the body has colour; divided by the opacity, for
    # PNG stores straight alpha.
    straight = picture * (body / np.maximum(opacity, 1e-4))[..., None]
    result = np.dstack([straight, 255 * opacity]).clip(0, 255).round().astype(np.uint8)
    # Colours that nobody sees would only make the file larger.
    result[result[..., 3] == 0] = 0
    return result


def around(alpha: Array, radius: float) -> Array:
    """Opacity grown by a radius in px, with an antialiased edge: H×W float32, 0 to 1."""
    if radius <= 0:
        return alpha
    outside = (alpha < 0.5).astype(np.uint8)
    if outside.all():
        return np.zeros_like(alpha)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, 5)
    # The edge lies where the opacity is a half, between pixels: distances count from centres.
    grown = (radius + 0.5 - distance).clip(0, 1)
    return np.maximum(gaussian(grown, 0.6), alpha).clip(0, 1)


def _smooth_shape(alpha: Array, border: float) -> Array:
    """The object's shape with small gaps closed, as scissors would cut it."""
    radius = round(border * 0.75)
    if radius < 1:
        return alpha
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, disc)
    soft = gaussian(closed, radius / 2)
    return np.asarray(((soft - 0.5) * 2 + 0.5).clip(0, 1), np.float32)


def _rgb(text: str) -> Array:
    return np.array(parse_colour(text), np.float32)
