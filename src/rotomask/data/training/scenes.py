"""Still scenes with several instances, on which embeddings are trained.

A scene is an image on which objects of other images may be pasted. Its own objects and the pasted
ones are all instances.
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
"""An image, S×S×3 uint8 RGB, and its instances, S×S uint8: 0 background, 1, 2, ..."""

MAX_INSTANCES = 250


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """Parameters of random scenes."""

    size: int = 256
    """Side of the square image, px."""
    paste: float = 0.55
    """Probability that objects of other images are pasted on a scene."""
    most_pasted: int = 3
    """Most objects pasted on a scene."""
    extent: tuple[float, float] = (0.12, 0.85)
    """Range of the longer side of a pasted object, as a fraction of the scene's side."""
    smallest_part: float = 0.08
    """Least area of an instance in an image with one mask for all objects, as a fraction of the
    largest component's. Smaller components belong to the largest: a hand behind a pole."""


def separate_components(mask: npt.NDArray[np.bool_], min_fraction: float) -> Labels:
    """Labels 1, 2, ... of the connected components of a mask, largest first: H×W uint8.

    Args:
        mask: H×W bool.
        min_fraction: Components with a smaller fraction of the largest one's area are joined to it.
    """
    _, components, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]  # component 0 is the background
    order = np.argsort(-areas, kind="stable")
    table = np.zeros(len(areas) + 1, np.uint8)  # component -> label
    for rank, i in enumerate(order[:MAX_INSTANCES]):
        # A component too small to be an object of its own belongs to the largest, label 1.
        table[1 + i] = rank + 1 if areas[i] >= min_fraction * areas[order[0]] else 1
    labels: Labels = table[components]
    return labels


def compose_scene(stills: Stills, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A random scene.

    Args:
        stills: Images and masks to compose the scene from.
        config: Parameters of the scene.
        rng: Source of all random numbers.
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
    # One mask for all objects (DUTS): its components are taken for instances.
    if labels.max(initial=0) <= 1:
        return image, separate_components(labels > 0, config.smallest_part)
    return image, np.minimum(labels, MAX_INSTANCES)


def _view(image: Image, labels: Labels, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A random crop of an image and its labels, scaled to the scene's size.

    The crop's side is about half to all of the image's shorter side.
    """
    size = config.size
    height, width = labels.shape
    scale = size / min(height, width) * float(np.exp(rng.uniform(-0.1, 0.5)))
    half = size / 2 / scale
    limits = np.array([width, height], float)
    # Range of centres whose crop lies in the image; its middle if the crop is larger.
    low, high = np.minimum(half, limits / 2), np.maximum(limits - half, limits / 2)
    centre = rng.uniform(low, high)
    return _warp_both(image, labels, centre, np.full(2, size / 2), scale, config, rng)


def _paste(
    image: Image, labels: Labels, other: Scene, config: SceneConfig, rng: np.random.Generator
) -> Scene:
    """The scene with one random instance of another image in front."""
    source, source_labels = other
    ids = [k for k in np.unique(source_labels) if k]
    if not ids or labels.max() >= MAX_INSTANCES:
        return image, labels
    mask = (source_labels == ids[int(rng.integers(len(ids)))]).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    scale = config.size * float(rng.uniform(*config.extent)) / max(width, height)
    centre = np.array([x + width / 2, y + height / 2])
    target = config.size * rng.uniform(0.1, 0.9, 2)
    cutout, alpha = _warp_both(source, mask * 255, centre, target, scale, config, rng, cut=True)
    cutout = random_colour(rng, 0.5)(cutout)
    weight = cv2.GaussianBlur(alpha, (3, 3), 0)[..., None].astype(np.float32) / 255
    # Colours are blended at the edge, labels have a hard one.
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
    """Image and labels under the same random affine map.

    Args:
        image: H×W×3 uint8 RGB.
        labels: H×W uint8; a mask of 0 and 255 if `cut`.
        centre: Point of the image, (x, y) px.
        target: Point of the scene that it is moved to, (x, y) px.
        scale: Scale from the image to the scene.
        config: Parameters of the scene.
        rng: Source of the rotation, shear and mirroring.
        cut: True for an object to paste: its mask is interpolated, as an alpha, and is 0 outside
            of the image. False for a whole image with labels.

    Returns:
        S×S×3 uint8 RGB and S×S uint8.
    """
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
    else:  # reflected like the image: a reflected object is a part of its instance
        nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(labels, matrix, side, flags=nearest, borderMode=reflect)
    return picture.astype(np.uint8, copy=False), moved.astype(np.uint8, copy=False)


def _numbered(labels: Labels) -> Labels:
    """The same instances, numbered 1, 2, ... without gaps."""
    # A 0 is appended so that the background is number 0 even where no pixel shows it.
    _, inverse = np.unique(np.append(labels, 0), return_inverse=True)
    return inverse[:-1].reshape(labels.shape).astype(np.uint8)
