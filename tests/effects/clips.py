"""A short clip with its cut: a textured disc that crosses a textured wall."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.masks import write_mask
from rotomask.video import Video, open_video

SIZE = (72, 96)
FRAMES = 12

Pixels = npt.NDArray[np.uint8]


def wall(size: tuple[int, int] = SIZE) -> Pixels:
    """A background with detail everywhere, H×W×3."""
    noise = np.random.default_rng(7).integers(0, 256, (*size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.5)
    spread = (soft - soft.mean()) * 2.5 + 120
    return np.asarray(spread.clip(0, 255), np.uint8)


def labels_of(index: int) -> npt.NDArray[np.int32]:
    """The disc, 1, and a small square, 4, in its upper left corner."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels: npt.NDArray[np.int32] = np.zeros(SIZE, np.int32)
    labels[np.hypot(y - 36, x - 20 - 5 * index) < 12] = 1
    labels[4:10, 4:10] = 4
    return labels


def image_of(index: int) -> Pixels:
    """A frame: the wall, a red disc and a green square."""
    image, labels = wall(), labels_of(index)
    image[labels == 1] = (220, 40, 30)
    image[labels == 4] = (20, 200, 40)
    return image


def write_cut(folder: Path, frames: int = FRAMES) -> tuple[Video, Path]:
    """Frames in ``folder/video`` and masks in ``folder/cut``."""
    (folder / "video").mkdir(parents=True)
    for index in range(frames):
        cv2.imwrite(str(folder / "video" / f"{index:05d}.png"), image_of(index)[..., ::-1])
        write_mask(folder / "cut" / "masks" / f"{index:05d}.png", labels_of(index))
    return open_video(folder / "video"), folder / "cut"
