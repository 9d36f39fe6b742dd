"""Still scenes with several instances, composed of cut-out objects: what embeddings learn from.

An image is taken as it is, or objects of other images are pasted on it. Every object is an instance
of its own, the image's own ones too.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.simulation.motion import affine
from rotomask.data.training.images import Image, Labels
from rotomask.data.training.looks import random_blur, random_colour, random_jpeg
from rotomask.data.training.stills import Stills

Scene = tuple[Image, Labels]
"""A picture S×S×3 uint8 RGB and its instances S×S uint8: 0 background, 1, 2, ..."""

MOST_INSTANCES = 250


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """How scenes are composed."""

    size: int = 256
    """Side of the square picture, px."""
    paste: float = 0.55
    """Part of the scenes on which objects of other images are pasted."""
    most_pasted: int = 3
    """Most objects pasted on one."""
    extent: tuple[float, float] = (0.12, 0.85)
    """Longer side of a pasted object, as a part of the picture's."""
    smallest_part: float = 0.08
    """Where an image's objects are one mask, its connected parts are instances; those below this
    share of the largest belong to it: a hand behind a pole."""


def separate_parts(mask: npt.NDArray[np.bool_], smallest: float) -> Labels:
    """Labels 1, 2, ... of the large connected parts of a mask, largest first.

    Args:
        mask: H×W.
        smallest: Parts with less than this share of the largest one's area join it.
    """
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    table = np.zeros(len(areas) + 1, np.uint8)
    for rank, part in enumerate(order[:MOST_INSTANCES]):
        table[1 + part] = rank + 1 if areas[part] >= smallest * areas[order[0]] else 1
    labels: Labels = table[parts]
    return labels


def compose_scene(stills: Stills, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """One random scene.

    Args:
        stills: Where pictures and objects come from.
        config: How.
        rng: Every random choice.
    """
    image, labels = _view(*_draw(stills, config, rng), config, rng)
    if rng.random() < config.paste:
        image = random_colour(rng, 0.5)(image)
        for _ in range(int(rng.integers(1, config.most_pasted + 1))):
            image, labels = _paste(image, labels, _draw(stills, config, rng), config, rng)
    image = random_colour(rng, 0.6)(image)
    if rng.random() < 0.15:
        image = random_blur(rng, image)
    if rng.random() < 0.2:
        image = random_jpeg(rng, image)
    return image, _numbered(labels)


def _draw(stills: Stills, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A random image and its instances."""
    image, labels = stills[int(rng.integers(len(stills)))]
    if labels.max(initial=0) <= 1:
        return image, separate_parts(labels > 0, config.smallest_part)
    return image, np.minimum(labels, MOST_INSTANCES)


def _view(image: Image, labels: Labels, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A crop of the image, from all of its height to half, anywhere in it."""
    size = config.size
    height, width = labels.shape
    scale = size / min(height, width) * float(np.exp(rng.uniform(-0.1, 0.5)))
    half = size / 2 / scale
    limits = np.array([width, height], float)
    low, high = np.minimum(half, limits / 2), np.maximum(limits - half, limits / 2)
    centre = rng.uniform(low, high)
    return _warp_both(image, labels, centre, np.full(2, size / 2), scale, config, rng)


def _paste(
    image: Image, labels: Labels, other: Scene, config: SceneConfig, rng: np.random.Generator
) -> Scene:
    """The scene with one random instance of another image in front."""
    source, source_labels = other
    ids = [k for k in np.unique(source_labels) if k]
    if not ids or labels.max() >= MOST_INSTANCES:
        return image, labels
    mask = (source_labels == ids[int(rng.integers(len(ids)))]).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    scale = config.size * float(rng.uniform(*config.extent)) / max(width, height)
    centre = np.array([x + width / 2, y + height / 2])
    target = config.size * rng.uniform(0.1, 0.9, 2)
    cutout, alpha = _warp_both(source, mask * 255, centre, target, scale, config, rng, cut=True)
    cutout = random_colour(rng, 0.5)(cutout)
    weight = cv2.GaussianBlur(alpha, (3, 3), 0)[..., None].astype(np.float32) / 255
    blend = image.astype(np.float32) * (1 - weight) + cutout * weight
    front = np.where(alpha > 127, np.uint8(labels.max() + 1), labels)
    return blend.round().astype(np.uint8), front


def _warp_both(
    image: Image,
    labels: Labels,
    centre: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    scale: float,
    config: SceneConfig,
    rng: np.random.Generator,
    *,
    cut: bool = False,
) -> Scene:
    """Image and labels under one random affine map: a cut-out's mask soft, a view's labels kept."""
    matrix = affine(
        centre,
        target,
        scale=scale,
        rotation_rad=float(rng.normal(0, 0.25 if cut else 0.08)),
        shear=float(rng.normal(0, 0.08)),
        flip=bool(rng.random() < 0.5),
    )
    side = (config.size, config.size)
    reflect, nothing = cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT
    linear = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, matrix, side, flags=linear, borderMode=reflect)
    if cut:
        moved = cv2.warpAffine(labels, matrix, side, flags=linear, borderMode=nothing)
    else:  # reflected like the picture: what repeats at the border is an instance there too
        nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(labels, matrix, side, flags=nearest, borderMode=reflect)
    return picture.astype(np.uint8, copy=False), moved.astype(np.uint8, copy=False)


def _numbered(labels: Labels) -> Labels:
    """The same instances, numbered 1, 2, ... without gaps."""
    _, inverse = np.unique(np.append(labels, 0), return_inverse=True)
    return inverse[:-1].reshape(labels.shape).astype(np.uint8)
