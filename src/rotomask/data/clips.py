"""Training clips from real, annotated video in the DAVIS layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.simulated import Clip
from rotomask.data.stills import IMAGE_SUFFIXES
from rotomask.data.transforms import Motion, affine, random_colour, warp
from rotomask.errors import DatasetError


@dataclass(frozen=True)
class AnnotatedVideo:
    """One sequence: its frames and the mask of each."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """How clips are cut out of videos."""

    frames: int = 3
    """Frames a clip."""
    size: int = 256
    """Side of the square frames, px."""
    max_gap: int = 5
    """Most frames between two that follow each other in the clip."""
    min_scale: float = 0.55
    max_scale: float = 1.4
    """Magnification of the stored frames, drawn evenly in its logarithm."""


def find_videos(root: Path, exclude: Sequence[str] = ()) -> tuple[AnnotatedVideo, ...]:
    """Sequences of a folder with ``JPEGImages/<size>/<name>`` and ``Annotations/<size>/<name>``.

    Raises:
        DatasetError: If a folder is missing or no sequence has both frames and masks.
    """
    for part in ("JPEGImages", "Annotations"):
        if not (root / part).is_dir():
            raise DatasetError(f"{root / part} is missing; {root} must be a DAVIS-like data set")
    resolution = sorted(p.name for p in (root / "JPEGImages").iterdir() if p.is_dir())[0]
    videos = []
    for folder in sorted((root / "JPEGImages" / resolution).iterdir()):
        masks = {p.stem: p for p in (root / "Annotations" / resolution / folder.name).glob("*.png")}
        frames = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        frames = [p for p in frames if p.stem in masks]
        if frames and folder.name not in exclude:
            found = tuple(masks[p.stem] for p in frames)
            videos.append(AnnotatedVideo(folder.name, tuple(frames), found))
    if not videos:
        raise DatasetError(f"{root} holds no sequence with both frames and masks")
    return tuple(videos)


def sample_clip(
    videos: Sequence[AnnotatedVideo], config: ClipConfig, rng: np.random.Generator
) -> Clip:
    """A clip of a random video: skipped frames, either direction, one crop for all frames.

    Returns:
        Frames and labels, object 1 visible in the first frame.
    """
    while True:
        video = videos[int(rng.integers(len(videos)))]
        gaps = rng.integers(1, config.max_gap + 1, config.frames - 1)
        offsets = np.concatenate([[0], np.cumsum(gaps)])
        if offsets[-1] >= len(video.frames):
            continue
        indices = int(rng.integers(len(video.frames) - offsets[-1])) + offsets
        if rng.random() < 0.5:
            indices = indices[::-1]
        clip = _crop_clip(video, indices, config, rng)
        if clip is not None:
            return clip


def _crop_clip(
    video: AnnotatedVideo,
    indices: npt.NDArray[np.int64],
    config: ClipConfig,
    rng: np.random.Generator,
) -> Clip | None:
    masks = [_read_mask(video.masks[i]) for i in indices]
    y, x = np.nonzero(masks[0])
    if len(x) < 100:
        return None
    pick = int(rng.integers(len(x)))
    low, high = np.log(config.min_scale), np.log(config.max_scale)
    scale = float(np.exp(rng.uniform(low, high)))
    height, width = masks[0].shape
    scale = max(scale, 0.7 * config.size / height)
    half = config.size / 2 / scale
    # The crop shows a random pixel of the object near its middle, and stays inside the frame.
    aim = np.array([x[pick], y[pick]]) + rng.normal(0, 0.35 * half, 2)
    bounds = np.maximum(np.array([width, height]) - half, half)
    centre = np.minimum(np.maximum(aim, half), bounds)
    motion = Motion(
        matrix=affine(
            (float(centre[0]), float(centre[1])),
            (config.size / 2, config.size / 2),
            scale=scale,
            rotation_rad=float(rng.normal(0, 0.1)),
            shear=float(rng.normal(0, 0.05)),
            flip=bool(rng.random() < 0.5),
        ),
        bending=np.zeros((2, 2, 2), np.float32),
    )
    labels = np.stack([warp(m, motion, config.size) > 127 for m in masks]).astype(np.uint8)
    if labels[0].mean() < 0.004:
        return None
    change = random_colour(rng, 0.6)
    frames = []
    for i in indices:
        image = cv2.imread(str(video.frames[i]), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise DatasetError(f"cannot read {video.frames[i]}")
        image = warp(image.astype(np.uint8), motion, config.size, border=cv2.BORDER_REFLECT_101)
        frames.append(change(image))
    return np.stack(frames), labels


def _read_mask(path: Path) -> npt.NDArray[np.uint8]:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise DatasetError(f"cannot read {path}")
    return ((mask > 0) * 255).astype(np.uint8)
