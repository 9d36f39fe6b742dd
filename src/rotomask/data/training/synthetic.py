"""Synthetic clips of moving shapes with exact masks, for tests."""

import cv2
import numpy as np
import numpy.typing as npt


def moving_shapes(
    seed: int, *, frames: int = 8, size: tuple[int, int] = (96, 128), objects: int = 1
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A clip of textured ellipses that move over a textured background.

    Args:
        seed: Seed of all random numbers.
        frames: Number of frames, T.
        size: (height, width), px.
        objects: Number of ellipses, each of its own colour; later ones are in front.

    Returns:
        Frames T×H×W×3 uint8 RGB and labels T×H×W uint8, ids 1..objects.

    Example:
        >>> frames, labels = moving_shapes(0, frames=2, objects=2)
        >>> frames.shape, labels.max()
        ((2, 96, 128, 3), np.uint8(2))
    """
    rng = np.random.default_rng(seed)
    height, width = size
    short = min(size)
    ground = _texture(rng, size)
    shapes = [_Ellipse(rng, size) for _ in range(objects)]
    images = np.empty((frames, height, width, 3), np.uint8)
    labels = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        image = ground.copy()
        for k, shape in enumerate(shapes):
            inside = np.zeros(size, np.uint8)
            centre = shape.start + t * shape.velocity * short
            axes = (int(shape.axes[0] * short), int(shape.axes[1] * short))
            angle = shape.angle_deg + 4 * t * shape.spin
            at = (round(float(centre[0])), round(float(centre[1])))
            cv2.ellipse(inside, at, axes, angle, 0, 360, 1, -1)
            image[inside == 1] = shape.texture[inside == 1]
            labels[t][inside == 1] = k + 1
        images[t] = cv2.GaussianBlur(image, (3, 3), 0)
    return images, labels


class _Ellipse:
    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.start = rng.uniform(0.3, 0.7, 2) * (size[1], size[0])
        self.velocity = rng.uniform(-0.03, 0.03, 2)
        self.axes = rng.uniform(0.12, 0.28, 2)
        self.angle_deg = float(rng.uniform(0, 180))
        self.spin = float(rng.uniform(-1, 1))
        self.texture = _texture(rng, size, rng.integers(0, 256, 3))


def _texture(
    rng: np.random.Generator,
    size: tuple[int, int],
    colour: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.uint8]:
    """Blurred noise around a colour, by default a random one: H×W×3 uint8."""
    noise = rng.normal(0, 60, (*size, 3))
    soft = cv2.GaussianBlur(noise, (7, 7), 0)
    base = rng.integers(60, 200, 3) if colour is None else colour
    return np.asarray(np.clip(soft + base, 0, 255), np.uint8)
