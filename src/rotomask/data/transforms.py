"""Random changes of geometry and colour, all drawn from a generator that the caller seeds."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One position of a layer: an affine map and a smooth bending, from output to source pixels."""

    matrix: npt.NDArray[np.float64]
    """2×3, output (x, y, 1) -> source (x, y)."""
    bending: Array
    """g×g×2 displacements in output pixels on a coarse grid over the output."""


def affine(
    source_centre: tuple[float, float],
    output_centre: tuple[float, float],
    *,
    scale: float,
    rotation_rad: float,
    shear: float,
    flip: bool,
) -> npt.NDArray[np.float64]:
    """The 2×3 map from output to source pixels.

    The source, scaled by `scale`, turned and sheared, has its point `source_centre` at
    `output_centre`.
    """
    cos, sin = np.cos(rotation_rad), np.sin(rotation_rad)
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]) * scale
    if flip:
        forward[:, 0] *= -1
    inverse = np.linalg.inv(forward)
    shift = np.array(source_centre) - inverse @ np.array(output_centre)
    return np.concatenate([inverse, shift[:, None]], axis=1)


def warp(image: Image, motion: Motion, size: int, *, border: int = cv2.BORDER_CONSTANT) -> Image:
    """The image, H×W or H×W×3 uint8, seen through a motion: size×size."""
    bending = cv2.resize(motion.bending, (size, size), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = x + bending[..., 0], y + bending[..., 1]
    m = motion.matrix.astype(np.float32)
    map_x = m[0, 0] * x + m[0, 1] * y + m[0, 2]
    map_y = m[1, 0] * x + m[1, 1] * y + m[1, 2]
    warped = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
    return warped.astype(np.uint8, copy=False)


@dataclass(frozen=True, kw_only=True)
class ColourChange:
    """Gains and offsets in RGB, a gamma, and a part of grey."""

    gain: Array
    offset: Array
    gamma: float
    grey: float

    def __call__(self, image: Image) -> Image:
        """H×W×3 uint8 -> the same."""
        x = np.arange(256, dtype=np.float32) / 255
        table = (x[:, None] ** self.gamma) * self.gain + self.offset
        table = np.clip(table * 255, 0, 255).astype(np.uint8)
        changed = cv2.LUT(image, table.reshape(1, 256, 3))
        if self.grey > 0:
            grey = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)[..., None]
            changed = cv2.addWeighted(changed, 1 - self.grey, np.repeat(grey, 3, 2), self.grey, 0)
        return changed.astype(np.uint8, copy=False)


def random_colour(rng: np.random.Generator, strength: float) -> ColourChange:
    """A colour change; strength 1 is a strong one, 0 none."""
    common = rng.normal(0, 0.2 * strength)
    gain = 1 + common + rng.normal(0, 0.1 * strength, 3)
    grey = rng.uniform(0, 1) if rng.random() < 0.15 * strength else 0.0
    return ColourChange(
        gain=gain.astype(np.float32),
        offset=rng.normal(0, 0.06 * strength, 3).astype(np.float32),
        gamma=float(np.exp(rng.normal(0, 0.2 * strength))),
        grey=float(grey),
    )


def random_blur(rng: np.random.Generator, image: Image) -> Image:
    """Motion blur in a random direction, 3 to 11 pixels long."""
    length = int(rng.integers(3, 12))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    half = (length - 1) / 2
    end = half + half * np.array([np.cos(angle), np.sin(angle)])
    begin = 2 * half - end
    cv2.line(kernel, tuple(begin.round().astype(int)), tuple(end.round().astype(int)), (1.0,))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1)).astype(np.uint8, copy=False)


def random_jpeg(rng: np.random.Generator, image: Image) -> Image:
    """JPEG noise of quality 30 to 90."""
    quality = int(rng.integers(30, 91))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
