"""Short clips simulated from still images: the first stage of training.

RGMP (Oh et al. 2018), sec. 3.2: an object and its background move independently, by random affine
and smooth deformations. Here over several frames, with smooth motion, so that the same clips serve
networks that remember more than one frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.stills import Image, ObjectMask, Stills
from rotomask.data.transforms import (
    Motion,
    affine,
    random_blur,
    random_colour,
    random_jpeg,
    warp,
)

Clip = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""Frames T×S×S×3 uint8 RGB and labels T×S×S uint8."""


@dataclass(frozen=True, kw_only=True)
class SimulatedConfig:
    """How clips are simulated."""

    frames: int = 3
    """Frames a clip."""
    size: int = 256
    """Side of the square frames, px."""
    paste: float = 0.6
    """Part of the clips whose object is pasted on another image (strategy 2 of RGMP)."""
    motion: float = 1.0
    """Strength of the motion between frames."""


def simulate_clip(
    stills: Stills, config: SimulatedConfig, rng: np.random.Generator, *, objects: int = 1
) -> Clip:
    """A clip with one or two objects.

    Args:
        stills: Where objects and backgrounds come from.
        config: How.
        rng: Every random choice.
        objects: With 2, two objects of other images are pasted on the background.

    Returns:
        Frames and labels (0 background, 1, 2 objects). Object 1 is visible in the first frame.
    """
    while True:
        frames, labels = _simulate(stills, config, rng, objects)
        if all((labels[0] == k + 1).mean() > 0.004 for k in range(objects)):
            return frames, labels


def _simulate(
    stills: Stills, config: SimulatedConfig, rng: np.random.Generator, objects: int
) -> Clip:
    size, count = config.size, config.frames
    pasted = objects > 1 or rng.random() < config.paste
    background, background_mask = stills[int(rng.integers(len(stills)))]
    scene = _Layer(background, background_mask, rng, config, is_scene=True)
    cutouts = [
        _Layer(*stills[int(rng.integers(len(stills)))], rng, config, is_scene=False)
        for _ in range(objects if pasted else 0)
    ]
    # The background's own object may pass in front of the pasted one.
    occludes = pasted and rng.random() < 0.25
    change, noisy = random_colour(rng, 1.0), rng.random() < 0.2
    frames = np.empty((count, size, size, 3), np.uint8)
    labels = np.zeros((count, size, size), np.uint8)
    for t in range(count):
        image, scene_object = scene.render(t)
        label = (
            np.zeros((size, size), np.uint8) if pasted else (scene_object > 127).astype(np.uint8)
        )
        canvas = image.astype(np.float32)
        for k, layer in enumerate(cutouts):
            cutout, alpha = layer.render(t)
            weight = cv2.GaussianBlur(alpha, (3, 3), 0)[..., None].astype(np.float32) / 255
            canvas += weight * (cutout - canvas)
            label[alpha > 127] = k + 1
        if occludes:
            weight = scene_object[..., None].astype(np.float32) / 255
            canvas += weight * (image - canvas)
            label[scene_object > 127] = 0
        frame = random_colour(rng, 0.15)(change(canvas.astype(np.uint8)))
        if rng.random() < 0.1:
            frame = random_blur(rng, frame)
        frames[t] = random_jpeg(rng, frame) if noisy else frame
        labels[t] = label
    return frames, labels


class _Layer:
    """A still image on its way through the clip."""

    def __init__(
        self,
        image: Image,
        mask: ObjectMask,
        rng: np.random.Generator,
        config: SimulatedConfig,
        *,
        is_scene: bool,
    ) -> None:
        self.image, self.mask = image, mask.astype(np.uint8) * 255
        self.size, self.is_scene = config.size, is_scene
        y, x = np.nonzero(mask)
        if len(x) == 0:
            y, x = np.array([mask.shape[0] // 2]), np.array([mask.shape[1] // 2])
        self.motions = (
            _scene_motions(mask, x, y, rng, config)
            if is_scene
            else _object_motions(x, y, rng, config)
        )

    def render(self, t: int) -> tuple[Image, npt.NDArray[np.uint8]]:
        """The warped image and its object's alpha, 0..255, at frame t."""
        border = cv2.BORDER_REFLECT_101 if self.is_scene else cv2.BORDER_CONSTANT
        motion = self.motions[t]
        return (
            warp(self.image, motion, self.size, border=border),
            warp(self.mask, motion, self.size),
        )


def _scene_motions(
    mask: ObjectMask,
    x: npt.NDArray[np.int64],
    y: npt.NDArray[np.int64],
    rng: np.random.Generator,
    config: SimulatedConfig,
) -> list[Motion]:
    """A camera that looks near the object and covers most of the frame with the image."""
    height, width = mask.shape
    scale = config.size / min(height, width) * np.exp(rng.uniform(-0.3, 0.8))
    centre = rng.uniform(0.3, 0.7, 2) * (width, height)
    if rng.random() < 0.8:
        centre = np.array([x.mean(), y.mean()])
    target = config.size * rng.uniform(0.3, 0.7, 2)
    return _trajectory(centre, target, scale, rng, config, strength=0.6)


def _object_motions(
    x: npt.NDArray[np.int64],
    y: npt.NDArray[np.int64],
    rng: np.random.Generator,
    config: SimulatedConfig,
) -> list[Motion]:
    """An object of random size that starts anywhere in the frame."""
    extent = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    scale = config.size * rng.uniform(0.2, 0.9) / extent
    centre = np.array([(x.min() + x.max()) / 2, (y.min() + y.max()) / 2])
    target = config.size * rng.uniform(0.15, 0.85, 2)
    return _trajectory(centre, target, scale, rng, config, strength=1.0)


def _trajectory(
    centre: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    scale: float,
    rng: np.random.Generator,
    config: SimulatedConfig,
    *,
    strength: float,
) -> list[Motion]:
    """Smooth motion: a start, a velocity that persists, and a little noise in each frame."""
    strength *= config.motion
    velocity = rng.normal(0, 0.06 * config.size * strength, 2)
    state = np.array([rng.normal(0, 0.25), rng.normal(0, 0.1), np.log(scale)])
    drift = rng.normal(0, 1, 3) * np.array([0.12, 0.05, 0.1]) * strength
    bending = rng.normal(0, 0.015 * config.size * strength, (4, 4, 2))
    bend_drift = rng.normal(0, 0.012 * config.size * strength, (4, 4, 2))
    flip = bool(rng.random() < 0.5)
    motions = []
    for _ in range(config.frames):
        matrix = affine(
            (float(centre[0]), float(centre[1])),
            (float(target[0]), float(target[1])),
            scale=float(np.exp(state[2])),
            rotation_rad=float(state[0]),
            shear=float(state[1]),
            flip=flip,
        )
        motions.append(Motion(matrix=matrix, bending=bending.astype(np.float32)))
        target = target + velocity + rng.normal(0, 0.02 * config.size * strength, 2)
        state = state + drift + rng.normal(0, 0.03 * strength, 3)
        bending = bending + bend_drift
    return motions
