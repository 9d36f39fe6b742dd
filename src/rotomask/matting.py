"""Soft edges of a cut-out: opacity from a mask and its picture, and colours without background."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import check_layer
from rotomask.errors import OptionError
from rotomask.masks.windows import window_around

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

MOST_EDGE_PX = 200.0
"""Largest feather or choke, px."""

_CERTAIN = 0.05
"""Opacity nearer than this to 0 or 1 is certain, if no less certain pixel is near."""
_LEAST_PX = 0.1
"""A narrower feather is none; OpenCV does not take any."""
_HAZE = 0.1
"""Opacity from a guided filter below this, or as near to 1, is stretched to 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class EdgeControls:
    """How the edge of a cut-out is changed; the default leaves it as it is."""

    feather_px: float = 0.0
    """Width of the soft edge that is added, half of it on either side, px of the video."""
    choke_px: float = 0.0
    """How far the edge moves inwards, px of the video; negative: outwards."""
    despill: bool = False
    """Whether the background's colour is removed from the edge."""
    matting: bool = False
    """Whether the opacity at the edge follows the picture (guided filter): hair, motion blur."""

    def __post_init__(self) -> None:
        if not 0 <= self.feather_px <= MOST_EDGE_PX:
            raise OptionError(f"feather goes from 0 to {MOST_EDGE_PX:g} px, got {self.feather_px}")
        if not abs(self.choke_px) <= MOST_EDGE_PX:
            raise OptionError(
                f"choke goes from {-MOST_EDGE_PX:g} to {MOST_EDGE_PX:g} px, got {self.choke_px}"
            )

    @property
    def changes_alpha(self) -> bool:
        """Whether opacity is changed, and not the colours alone."""
        return bool(self.feather_px or self.choke_px or self.matting)

    def scaled(self, scale: float) -> "EdgeControls":
        """The same controls for a picture of another size."""
        return EdgeControls(
            feather_px=self.feather_px * scale,
            choke_px=self.choke_px * scale,
            despill=self.despill,
            matting=self.matting,
        )


def edge_alpha(image: Pixels, alpha: Array, controls: EdgeControls) -> Array:
    """Opacity after matting, choke and feather, in this order: H×W float32, 0 to 1.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W, 0 to 1.
        controls: What is done; the default returns `alpha` itself.

    Raises:
        ShapeError: If the sizes differ.
    """
    if controls.matting:
        alpha = guided_alpha(image, alpha)
    if controls.choke_px:
        alpha = choke(alpha, controls.choke_px)
    if controls.feather_px:
        alpha = feather(alpha, controls.feather_px)
    return alpha


def feather(alpha: Array, width_px: float) -> Array:
    """Opacity with an edge that is softer by about a width: H×W float32, 0 to 1."""
    if width_px < _LEAST_PX:
        return alpha
    # A Gaussian step rises from 2 % to 98 % over 4 sigma.
    soft = cv2.GaussianBlur(alpha, (0, 0), width_px / 4, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32).clip(0, 1)


def choke(alpha: Array, radius_px: float) -> Array:
    """Opacity whose edge lies further in by a radius (negative: out): H×W float32, 0 to 1.

    Grey erosion or dilation by a disc; the edge stays as soft as it was. Nothing is eroded where
    the object leaves the frame.
    """
    radius = abs(radius_px)
    whole = int(radius)
    operation = cv2.erode if radius_px > 0 else cv2.dilate

    def moved(steps: int) -> Array:
        if steps == 0:
            return alpha
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * steps + 1, 2 * steps + 1))
        edge = cv2.BORDER_REPLICATE
        return np.asarray(operation(alpha, disc, borderType=edge), np.float32)

    near = moved(whole)
    fraction = np.float32(radius - whole)
    if fraction == 0:
        return near
    mixed: Array = near * (1 - fraction) + moved(whole + 1) * fraction  # between two whole radii
    return mixed


def guided_alpha(
    image: Pixels,
    alpha: Array,
    radius_px: float | None = None,
    epsilon: float = 1e-4,
    *,
    scale: float = 1.0,
) -> Array:
    """Opacity that follows the picture near the edge of a mask: H×W float32, 0 to 1.

    A guided filter with the picture as the guide, an approximation of closed-form matting (He et
    al. 2010, "Guided Image Filtering", eqs. 11-13 and sec. 3.5). Away from the edge the mask is
    certain and stays.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W, 0 to 1: a mask, or probabilities.
        radius_px: Half the filter's window, and how far from the edge opacity may change; by
            default 1.2 % of the short side, at least 2 px.
        epsilon: Smaller values follow the picture more closely; colours are 0 to 1.
        scale: Solve for the filter's coefficients on a picture reduced by this factor, and apply
            them to the whole one (He and Sun 2015, "Fast Guided Filter"): for opacity that is no
            finer than that, in a fraction of the time.

    Raises:
        ShapeError: If the sizes differ.
    """
    check_layer(image, alpha)
    radius = max(2, round(0.012 * min(alpha.shape) if radius_px is None else radius_px))
    # Three radii: the window of a window, and the change itself. Elsewhere nothing can change.
    opaque = alpha > _CERTAIN
    if not opaque.any():
        return alpha.astype(np.float32)
    box = window_around(opaque, 3 * radius)
    result = alpha.astype(np.float32, copy=True)
    crop = result[box]
    guide = (image[box] / np.float32(255)).astype(np.float32)
    if scale == 1:
        filtered = _apply(guide, *_guided_filter(guide, crop, radius, epsilon))
    else:
        filtered = _guided_filter_at(scale, guide, crop, radius, epsilon)
    # A guided filter leaves a few percent of opacity over even ground, which shows as haze.
    stretched = ((filtered - _HAZE) / (1 - 2 * _HAZE)).clip(0, 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    edge = cv2.BORDER_REPLICATE
    # Beyond the radius from the edge the mask is taken at its word on both sides.
    inside = cv2.erode((crop >= 1 - _CERTAIN).astype(np.uint8), disc, borderType=edge) > 0
    outside = cv2.dilate((crop > _CERTAIN).astype(np.uint8), disc, borderType=edge) == 0
    result[box] = np.where(inside | outside, crop, stretched)
    return result


def foreground_colours(image: Pixels, alpha: Array, radius_px: float | None = None) -> Pixels:
    """The object's own colours, without what the background adds at a soft edge: H×W×3 uint8.

    Solves image = alpha F + (1 - alpha) B for F, from smooth continuations of what is certain on
    either side, by blur fusion (Forte 2021, "Approximate Fast Foreground Colour Estimation",
    algorithm 1). Opaque pixels keep their colour; far from the object the colour means nothing.

    Args:
        image: H×W×3 uint8 RGB.
        alpha: H×W, 0 to 1.
        radius_px: How far around the object colours are wanted; by default 6 % of the short side.

    Raises:
        ShapeError: If the sizes differ.
    """
    check_layer(image, alpha)
    wide = max(6, round(0.06 * min(alpha.shape) if radius_px is None else radius_px))
    result = image.copy()
    visible = alpha > 0
    if not visible.any():
        return result
    box = window_around(visible, wide)
    crop, opacity = image[box].astype(np.float32), alpha[box].astype(np.float32)
    # Weights from nearly opaque pixels, squared: a pixel that is half background says little of the
    # object's colour.
    colours = fill_smoothly(crop, ((opacity - 0.6) / 0.4).clip(0, 1) ** 2)
    background = fill_smoothly(crop, ((0.4 - opacity) / 0.4).clip(0, 1) ** 2)
    for _ in range(2):
        colours, background = _blur_fusion(crop, colours, background, opacity, max(1, wide // 12))
    result[box] = np.where(opacity[..., None] >= 1, crop, colours).round().astype(np.uint8)
    return result


def fill_smoothly(picture: Array, weight: Array) -> Array:
    """A picture whose unknown pixels continue the known ones smoothly (pull-push pyramid).

    Gortler et al. 1996, "The Lumigraph", sec. 3.4: averages of known pixels at ever coarser levels
    fill what finer levels do not know.

    Args:
        picture: H×W×C.
        weight: H×W, 0 to 1: how far each pixel is known; 1 stays exactly.

    Returns:
        H×W×C float32; zeros if nothing is known.
    """
    weighted, weights = [picture * weight[..., None]], [weight]
    # Until a level has no unknown pixel; cells of 2×2, odd sides rounded up.
    while min(weights[-1].shape) > 1 and not (weights[-1] >= 1).all():
        height, width = weights[-1].shape
        half = ((width + 1) // 2, (height + 1) // 2)
        area = cv2.INTER_AREA
        weighted.append(_planes(cv2.resize(weighted[-1], half, interpolation=area), picture))
        weights.append(np.asarray(cv2.resize(weights[-1], half, interpolation=area), np.float32))
    # Pull: averages of the known pixels of each cell. Push: from coarse to fine.
    filled = weighted[-1] / np.maximum(weights[-1], 1e-6)[..., None]
    for level in range(len(weights) - 2, -1, -1):
        height, width = weights[level].shape
        coarse = _planes(
            cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), picture
        )
        # Gortler's push: a pixel that is known for sure keeps its colour, others take the coarser
        # level's by what is missing.
        trust = weights[level].clip(0, 1)[..., None]
        own = weighted[level] / np.maximum(weights[level], 1e-6)[..., None]
        filled = own * trust + coarse * (1 - trust)
    return np.asarray(filled, np.float32)


def _planes(resized: npt.NDArray[np.generic], picture: Array) -> Array:
    """A resized picture with its last axis, which OpenCV drops when it is of length 1."""
    return np.asarray(resized, np.float32).reshape(*resized.shape[:2], picture.shape[2])


def _blur_fusion(
    image: Array, colours: Array, background: Array, alpha: Array, radius: int
) -> tuple[Array, Array]:
    """One round: foreground and background colours h×w×3, 0 to 255."""
    size = (2 * radius + 1, 2 * radius + 1)
    opacity = alpha[..., None]
    weight = cv2.blur(alpha, size)[..., None]
    # Where a window has nothing of one side, the continuation counts.
    front = (cv2.blur(colours * opacity, size) + 1e-3 * colours) / (weight + 1e-3)
    back = (cv2.blur(background * (1 - opacity), size) + 1e-3 * background) / (1 - weight + 1e-3)
    rest = image - opacity * front - (1 - opacity) * back
    fused = (front + opacity * rest).clip(0, 255).astype(np.float32)
    return fused, back.clip(0, 255).astype(np.float32)


def _guided_filter_at(
    scale: float, guide: Array, values: Array, radius: int, epsilon: float
) -> Array:
    """The guided filter with coefficients from a reduced picture: h×w float32."""
    height, width = values.shape
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    slope, offset = _guided_filter(
        np.asarray(cv2.resize(guide, small, interpolation=cv2.INTER_AREA), np.float32),
        np.asarray(cv2.resize(values, small, interpolation=cv2.INTER_AREA), np.float32),
        max(1, round(radius * scale)),
        epsilon,
    )
    both = np.dstack([slope, offset]).astype(np.float32)  # h'×w'×4
    full = np.asarray(cv2.resize(both, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return _apply(guide, full[..., :3], full[..., 3])


def _apply(
    guide: Array, slope: npt.NDArray[np.floating[Any]], offset: npt.NDArray[np.floating[Any]]
) -> Array:
    """Values that depend linearly on the guide's colours: h×w float32, 0 to 1."""
    filtered = (slope * guide.astype(slope.dtype)).sum(-1) + offset
    return np.asarray(filtered.clip(0, 1), np.float32)


def _guided_filter(
    guide: Array, values: Array, radius: int, epsilon: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coefficients of the guided filter for a colour guide h×w×3, 0 to 1: h×w×3 and h×w."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.blur(x, size, borderType=cv2.BORDER_REFLECT_101), np.float64)

    colours, target = guide.astype(np.float64), values.astype(np.float64)
    colour_mean, target_mean = mean(colours), mean(target)
    # Per window: covariance of the colours (symmetric 3×3) and of colours and values (3).
    red, green, blue = (np.ascontiguousarray(colours[..., k]) for k in range(3))
    mean_r, mean_g, mean_b = (colour_mean[..., k] for k in range(3))
    rr = mean(red * red) - mean_r * mean_r + epsilon
    gg = mean(green * green) - mean_g * mean_g + epsilon
    bb = mean(blue * blue) - mean_b * mean_b + epsilon
    rg = mean(red * green) - mean_r * mean_g
    rb = mean(red * blue) - mean_r * mean_b
    gb = mean(green * blue) - mean_g * mean_b
    cross = mean(colours * target[..., None]) - colour_mean * target_mean[..., None]
    # The inverse by cofactors: a general solver takes five times as long.
    inverse = (
        (gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb),
        (gb * rb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb),
        (rg * gb - gg * rb, rb * rg - rr * gb, rr * gg - rg * rg),
    )
    determinant = rr * inverse[0][0] + rg * inverse[1][0] + rb * inverse[2][0]
    slope = np.dstack(
        [sum(row[k] * cross[..., k] for k in range(3)) / determinant for row in inverse]
    )  # h×w×3
    offset = target_mean - (slope * colour_mean).sum(-1)
    return mean(slope), mean(offset)
