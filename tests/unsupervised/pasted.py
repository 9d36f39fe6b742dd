"""Clips of the demo's dog before the demo's ground: what moves, and how, is known exactly."""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_mask
from rotomask.video import open_video

HEIGHT, WIDTH = 192, 320

Clip = tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]]
"""Frames H×W×3 and labels H×W: dog k has id k."""


@cache
def _material() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A wide ground, a dog, and the dog's mask."""
    image = open_video(demo_folder() / "clip.mp4").frame(0).image
    mask = (read_mask(demo_folder() / "truth" / "00000.png").labels > 0).astype(np.uint8)
    size = (480, 270)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    inside = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    grown = cv2.dilate(inside, np.ones((15, 15), np.uint8))
    ground = np.asarray(cv2.inpaint(small, grown, 5, cv2.INPAINT_TELEA), np.uint8)
    x, y, width, height = cv2.boundingRect(inside)
    box = (slice(y, y + height), slice(x, x + width))
    half = (width // 2, height // 2)
    dog = np.asarray(cv2.resize(small[box], half, interpolation=cv2.INTER_AREA), np.uint8)
    return ground, dog, np.asarray(cv2.resize(inside[box], half, interpolation=0), np.uint8)


def pasted_clip(
    frames: int,
    *dogs: tuple[tuple[int, int], tuple[int, int]],
    camera: tuple[int, int] = (0, 0),
    flip_second: bool = True,
) -> Clip:
    """A clip of dogs on the ground.

    Args:
        frames: How many.
        *dogs: Of each, its top left corner (x, y) in the first frame and its motion a frame, px.
        camera: The ground's motion a frame, px.
        flip_second: Whether the second dog looks the other way, in other colours.
    """
    ground, dog, mask = _material()
    images, labels = [], []
    for t in range(frames):
        left, top = 80 - camera[0] * t, 40 - camera[1] * t
        image = ground[top : top + HEIGHT, left : left + WIDTH].copy()
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, (corner, motion) in enumerate(dogs, start=1):
            picture, inside = dog, mask
            if k == 2 and flip_second:
                picture, inside = 255 - dog[:, ::-1], mask[:, ::-1]
            x, y = corner[0] + motion[0] * t, corner[1] + motion[1] * t
            area = (slice(y, y + inside.shape[0]), slice(x, x + inside.shape[1]))
            image[area][inside == 1] = picture[inside == 1]
            label[area][inside == 1] = k
        images.append(cv2.GaussianBlur(image, (3, 3), 0).astype(np.uint8))
        labels.append(label)
    return images, labels
