"""Layers over pictures."""

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

GAMMA = 2.2
"""Exponent from stored values to light."""


def over(colours: Pixels | Array, alpha: Array, background: Pixels | Array) -> Pixels:
    """Colours with an opacity over a background: H×W×3 uint8.

    Args:
        colours: H×W×3, 0 to 255.
        alpha: H×W, 0 to 1; where it is 0 the background is returned exactly.
        background: H×W×3, 0 to 255.
    """
    opacity = alpha[..., None]
    mixed = background + (np.asarray(colours, np.float32) - background) * opacity
    return mixed.clip(0, 255).round().astype(np.uint8)


def to_light(image: Pixels) -> Array:
    """Linear light, 0 to 1, of stored values 0 to 255."""
    return _LIGHT[image]


def from_light(light: Array) -> Pixels:
    """Stored values of linear light; above 1 is clipped."""
    return (255 * light.clip(0, 1) ** np.float32(1 / GAMMA)).round().astype(np.uint8)


def grey(image: Pixels) -> Array:
    """Luma of a picture, H×W float32, 0 to 255."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def gaussian(picture: npt.NDArray[np.generic], sigma: float) -> Array:
    """A picture blurred, as float32; unchanged by a sigma of 0."""
    floats = picture.astype(np.float32)
    if sigma < 0.05:  # OpenCV does not take any smaller one
        return floats
    # Wide blurs cost as little as narrow ones on a smaller picture.
    factor = max(1, int(sigma / 6))
    if factor > 1 and min(picture.shape[:2]) >= 4 * factor:
        height, width = picture.shape[:2]
        small = cv2.resize(
            floats, (width // factor, height // factor), interpolation=cv2.INTER_AREA
        )
        edge = cv2.BORDER_REPLICATE
        soft = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=edge)
        return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(cv2.GaussianBlur(floats, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def disc(radius: float) -> Array:
    """A disc that adds up to 1, with an antialiased rim: K×K float32, K odd."""
    half = int(np.ceil(radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = (radius + 0.5 - np.hypot(y, x)).clip(0, 1).astype(np.float32)
    normalised: Array = kernel / kernel.sum()
    return normalised


_LIGHT = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)
