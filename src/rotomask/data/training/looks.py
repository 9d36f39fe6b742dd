"""Random augmentation of an image's colours and sharpness."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ColourChange:
    """A change of gamma, gain and offset of RGB, and saturation."""

    gain: Array
    """Factor of each channel, 3 float32."""
    offset: Array
    """Offset of each channel, 3 float32, 1 for the full range."""
    gamma: float
    grey: float
    """Weight of the grey image, 0 to 1; 1 removes all colour."""

    def __call__(self, image: Image) -> Image:
        """The changed image, H×W×3 uint8 RGB."""
        # Every step before the saturation works on a channel alone, so that 256 values of each
        # channel are computed once instead of every pixel: 256×3.
        x = np.arange(256, dtype=np.float32) / 255
        # 256×1 against 3: one column a channel.
        table = (x[:, None] ** self.gamma) * self.gain + self.offset
        table = np.clip(table * 255, 0, 255).astype(np.uint8)
        changed = cv2.LUT(image, table.reshape(1, 256, 3))
        if self.grey > 0:
            grey = cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY)[..., None]
            # Saturation mixes the channels, so it cannot be in the table.
            changed = cv2.addWeighted(changed, 1 - self.grey, np.repeat(grey, 3, 2), self.grey, 0)
        return changed.astype(np.uint8, copy=False)


def random_colour(rng: np.random.Generator, strength: float) -> ColourChange:
    """A random colour change; a strength of 0 is none, 1 is strong."""
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
    """The image with motion blur of 3 to 11 px in a random direction."""
    length = int(rng.integers(3, 12))
    # The kernel is a line through its centre, normalized below.
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    half = (length - 1) / 2
    end = half + half * np.array([np.cos(angle), np.sin(angle)])
    begin = 2 * half - end
    cv2.line(kernel, tuple(begin.round().astype(int)), tuple(end.round().astype(int)), (1.0,))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1)).astype(np.uint8, copy=False)


def random_jpeg(rng: np.random.Generator, image: Image) -> Image:
    """The image with JPEG noise of a quality from 30 to 90."""
    quality = int(rng.integers(30, 91))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
