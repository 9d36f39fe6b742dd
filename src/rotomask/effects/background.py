"""Effects on the background: blur, grey, another background."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects import options
from rotomask.effects.compositing import (
    disc,
    from_light,
    gaussian,
    grey,
    over,
    to_light,
)
from rotomask.effects.options import Settings
from rotomask.matting import fill_smoothly

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

BLUR_LEVELS = 4
"""Pictures of rising blur between which each pixel is interpolated."""


@dataclass(frozen=True, kw_only=True)
class BlurBackground(Settings):
    """Settings of `blur_background`."""

    radius: float = options.number(
        2.5, 0, 10, "Radius of the blur where it is strongest.", unit="%"
    )
    falloff: float = options.number(
        0.7, 0, 1, "How much sharper the ground at the object's feet stays than what is far."
    )
    highlights: float = options.number(0.5, 0, 1, "How much bright points grow into discs.")
    squeeze: float = options.number(
        1, 0.4, 1, "Width of the discs over their height; below 1 anamorphic."
    )


@dataclass(frozen=True, kw_only=True)
class GreyBackground(Settings):
    """Settings of `grey_background`."""

    amount: float = options.number(1, 0, 1, "How much colour is taken from the background.")
    dim: float = options.number(0.15, 0, 1, "How much darker it gets.")
    contrast: float = options.number(1, 0.2, 2, "Contrast of the grey.")


@dataclass(frozen=True, kw_only=True)
class NewBackground(Settings):
    """Settings of `new_background`."""

    background: str = options.media("#1f6f54", "A colour, an image, a video or a folder of frames.")
    blur: float = options.number(0, 0, 10, "Blur of the new background.", unit="%")
    light_wrap: float = options.number(
        0.35, 0, 1, "How much its light bleeds over the object's edge."
    )
    match_light: float = options.number(
        0.3, 0, 1, "How far the object takes on its brightness and tint."
    )
    loop: bool = options.flag(
        True, "Start a shorter video again at its end; otherwise it stops there."
    )


def blur_background(
    image: Pixels,
    alpha: Array,
    colours: Pixels,
    settings: BlurBackground,
    *,
    ground_row: float | None = None,
) -> Pixels:
    """The frame with a background out of focus, as by a lens: H×W×3 uint8.

    The blur averages light, not stored values, over a disc, and of background pixels alone, so that
    no halo of the object surrounds it. Without a depth map the ground is taken for a plane: it is
    in focus where the object stands, and what lies above or below that row is ever farther from it.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W, 0 to 1.
        colours: H×W×3: the object's own colours at its edge.
        settings: How.
        ground_row: The row on which the object stands; None: the lowest of the object.
    """
    radius = settings.radius / 100 * min(alpha.shape)
    if radius < 0.5:
        return image.copy()
    row = lowest_row(alpha) if ground_row is None else ground_row
    strength = _strength(alpha.shape[0], row, settings.falloff)  # H
    levels = _blurred(image, alpha, radius, settings)
    position = (strength * BLUR_LEVELS)[:, None, None]
    # Linear interpolation between the two levels nearest to each row's strength: hat functions of
    # width 1 that add up to 1. H×1×1 against H×W×3.
    light = levels[0] * (1 - position).clip(0, 1)
    for k in range(1, BLUR_LEVELS + 1):
        light += levels[k] * (1 - abs(position - k)).clip(0, 1)
    return over(colours, alpha, from_light(light))


def grey_background(image: Pixels, alpha: Array, settings: GreyBackground) -> Pixels:
    """The frame with a background without colour: H×W×3 uint8."""
    luma = grey(image)
    luma = (luma - 128) * settings.contrast + 128
    flat = image + (luma[..., None] - image) * settings.amount
    return over(image, alpha, (flat * (1 - settings.dim)).clip(0, 255))


def new_background(
    alpha: Array, colours: Pixels, background: Pixels, settings: NewBackground
) -> Pixels:
    """The object over another background: H×W×3 uint8.

    Args:
        alpha: H×W, 0 to 1.
        colours: H×W×3: the object's own colours.
        background: H×W×3.
        settings: How.
    """
    short = min(alpha.shape)
    behind = gaussian(background, settings.blur / 100 * short)
    front = colours.astype(np.float32)
    if settings.match_light > 0:
        front = _matched(front, alpha, behind, settings.match_light)
    if settings.light_wrap > 0:
        # Light from behind grazes the object: the blurred background, where it is bright, is
        # screened over a rim inside the edge.
        width = 0.012 * short
        rim = (gaussian(1 - alpha, width) * alpha)[..., None]
        light = gaussian(behind, 4 * width) / 255
        front = 255 - (255 - front) * (1 - (settings.light_wrap * rim * light).clip(0, 1))
    return over(front, alpha, behind)


def lowest_row(alpha: Array) -> float:
    """The row below which 2 % of the object lie; the picture's lowest without an object."""
    # By 2 % from below, so that a speck under the object does not move the ground.
    rows = alpha.sum(axis=1)
    total = float(rows.sum())
    if total <= 0:
        return float(alpha.shape[0] - 1)
    return float(np.searchsorted(np.cumsum(rows), 0.98 * total))


def cover(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture scaled and cropped in the middle to cover a size (height, width)."""
    height, width = size
    scale = max(height / picture.shape[0], width / picture.shape[1])
    shape = (
        max(width, round(picture.shape[1] * scale)),
        max(height, round(picture.shape[0] * scale)),
    )
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, shape, interpolation=way)
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return np.asarray(scaled[top : top + height, left : left + width], np.uint8)


def _strength(height: int, ground_row: float, falloff: float) -> Array:
    """Blur of each row, 0 to 1: H float32."""
    rows = np.arange(height, dtype=np.float32)
    # Below the feet the ground comes closer to the camera, fast; above them it recedes slowly.
    distance = np.where(rows < ground_row, (ground_row - rows) * 2.2, (rows - ground_row) * 1.6)
    far = (distance / height).clip(0, 1)
    # Smoothstep: no visible line where the blur begins or is full.
    smooth = far * far * (3 - 2 * far)
    strength: Array = (1 - falloff + falloff * smooth).astype(np.float32)
    return strength


def _blurred(image: Pixels, alpha: Array, radius: float, settings: BlurBackground) -> list[Array]:
    """The background's light at rising blur, from none to the full radius: H×W×3 each."""
    light = to_light(image)
    if settings.highlights > 0:
        peak = light.max(axis=2, keepdims=True)
        # Light above 1 cannot be stored in 8 bits: points near white are taken for up to four times
        # as bright as they look, so that they become discs rather than grey patches.
        light = light * (1 + 3 * settings.highlights * ((peak - 0.6) / 0.4).clip(0, 1) ** 2)
    # What is only partly background carries the object's colour: it has no weight.
    weight = (1 - alpha / 0.5).clip(0, 1)
    empty = fill_smoothly(light, weight)
    levels = [empty]
    for k in range(1, BLUR_LEVELS + 1):
        kernel = disc(radius * k / BLUR_LEVELS)
        if settings.squeeze < 1:
            size = max(1, round(kernel.shape[1] * settings.squeeze) | 1)
            narrow = cv2.resize(kernel, (size, kernel.shape[0]), interpolation=cv2.INTER_AREA)
            kernel = np.asarray(narrow / narrow.sum(), np.float32)
        edge = cv2.BORDER_REPLICATE
        # Normalised convolution: only background counts, and divided by how much of it there was.
        # Where there is little, behind the object, the smooth continuation takes over.
        share = cv2.filter2D(weight, cv2.CV_32F, kernel, borderType=edge)[..., None]
        blurred = cv2.filter2D(light * weight[..., None], cv2.CV_32F, kernel, borderType=edge)
        trust = (share / 0.1).clip(0, 1)
        levels.append(blurred / np.maximum(share, 1e-3) * trust + empty * (1 - trust))
    return levels


def _matched(front: Array, alpha: Array, behind: Array, amount: float) -> Array:
    """The object's colours moved towards the mean and spread of the background's."""
    inside = alpha > 0.5
    if not inside.any():
        return front
    mean = front[inside].mean(axis=0)
    target = behind.reshape(-1, 3).mean(axis=0)
    # Brightness and tint apart: a third of the one and a quarter of the other look like light, more
    # looks like paint.
    luma = float(target.mean() - mean.mean())
    tint = (target - target.mean()) - (mean - mean.mean())
    moved: Array = front + amount * (0.35 * luma + 0.25 * tint)
    return moved.clip(0, 255)
