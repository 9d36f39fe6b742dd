"""Training samples of an interactive network: a picture, the object asked for, first prompts.

Objects are salient in DUTS, and a network that learns from it alone ignores its prompts. So some
pictures get a second object pasted in, and sometimes a part, or the background, is asked for. The
prompts are those of Sofiiuk et al. 2021 (RITM, sec. 3.2), boxes as in Kirillov et al. 2023 (SAM,
appendix A), strokes, and masks that are spoilt, as they come from propagation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation.motion import affine
from rotomask.data.training.images import Image
from rotomask.data.training.looks import random_blur, random_colour, random_jpeg
from rotomask.data.training.stills import Stills
from rotomask.prompts.regions import BoolMask, interior_distance

Maps = npt.NDArray[np.uint8]
"""Prompts as maps 4×H×W, 0..255: positive, negative, filled box, previous mask."""

POSITIVE, NEGATIVE, BOX, PREVIOUS = range(4)
CLICK_RADIUS_PX = 5
TRIES = 20


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Settings of drawing samples; fractions are probabilities."""

    size: int = 256
    """Side of the square pictures, px; a multiple of 32."""
    real: float = 0.15
    """Part of the samples that are frames of videos; the others are stills."""
    paste: float = 0.3
    """Part of the stills that get a second object in front."""
    part: float = 0.1
    """Part of the samples that ask for a part of the object."""
    background: float = 0.05
    """Part of the samples that ask for the background."""
    object_crop: float = 0.6
    """Part of the samples that show the object's surroundings; the others any view."""
    click: float = 0.5
    """Part of the samples that begin with clicks, ..."""
    box: float = 0.2
    """... with a box, ..."""
    stroke: float = 0.15
    """... with strokes; the others begin with a spoilt mask and a click that corrects it."""
    smallest_px: int = 200
    """Objects of fewer pixels are not asked for."""


@dataclass(frozen=True)
class Sample:
    """One picture with the object asked for and the prompts of the first round."""

    image: Image
    """S×S×3 uint8 RGB."""
    truth: BoolMask
    """S×S."""
    maps: Maps
    """4×S×S."""


def draw_sample(
    stills: Stills,
    videos: Sequence[VideoSequence],
    config: SampleConfig,
    rng: np.random.Generator,
) -> Sample:
    """A random sample.

    Args:
        stills: Pictures with objects.
        videos: Videos with objects; may be empty.
        config: How.
        rng: Every random number comes from it.
    """
    for _ in range(TRIES):
        scene = _draw_scene(stills, videos, config, rng)
        if scene is not None:
            image, truth = scene
            return Sample(_change_looks(image, rng), truth, first_prompts(truth, config, rng))
    # No view with a large enough object: an empty one, where a negative click is right.
    blank = np.full((config.size, config.size, 3), 127, np.uint8)
    truth = np.zeros((config.size, config.size), bool)
    return Sample(blank, truth, first_prompts(truth, config, rng))


def _draw_scene(
    stills: Stills,
    videos: Sequence[VideoSequence],
    config: SampleConfig,
    rng: np.random.Generator,
) -> tuple[Image, BoolMask] | None:
    """A view and the object asked for in it; None if too little of the object is seen."""
    is_still = not videos or rng.random() >= config.real
    if is_still:
        image, labels = stills[int(rng.integers(len(stills)))]
    else:
        video = videos[int(rng.integers(len(videos)))]
        image, labels = video.read(int(rng.integers(len(video))))
    ids = np.unique(labels[labels > 0])
    if len(ids) == 0:
        return None
    matrix = _view(labels == rng.choice(ids), config, rng)
    view, objects = _warp(image, labels, matrix, config.size)
    visible = np.unique(objects[objects > 0])
    if len(visible) == 0:
        return None
    truth = np.asarray(objects == rng.choice(visible))
    if is_still and rng.random() < config.paste:
        view, truth = _paste_second(view, truth, stills, config, rng)
    choice = rng.random()
    if choice < config.part:
        truth = _part_of(truth, config.smallest_px, rng)
    elif choice < config.part + config.background:
        truth = ~truth
    area = int(truth.sum())
    return None if area < config.smallest_px or area > 0.95 * truth.size else (view, truth)


def _view(
    target: BoolMask, config: SampleConfig, rng: np.random.Generator
) -> npt.NDArray[np.floating]:
    """Matrix 2×3 from a square view to the picture."""
    height, width = target.shape
    ys, xs = np.nonzero(target)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
    limits = np.array([width, height], float)
    # Two kinds of views, as in use: the user has zoomed to an object, or sees much of the picture.
    if rng.random() < config.object_crop:
        extent = high - low
        side = max(24.0, float(extent.max()) * rng.uniform(1.1, 2.2))
        centre = (low + high) / 2 + rng.uniform(-0.3, 0.3, 2) * extent
    else:
        side = min(height, width) * rng.uniform(0.6, 1.6)
        centre = rng.uniform(0, limits)
    # Little of what lies beyond the picture: at use a view ends at the picture's border.
    side = min(side, (1.1 if rng.random() < 0.8 else 1.6) * min(height, width))
    half = side / 2
    centre = np.clip(centre, np.minimum(half, limits / 2), np.maximum(limits - half, limits / 2))
    return affine(
        centre,
        np.full(2, config.size / 2),
        scale=config.size / side,
        rotation_rad=float(rng.normal(0, 0.08)),
        shear=float(rng.normal(0, 0.05)),
        flip=bool(rng.random() < 0.5),
    )


def _warp(
    image: Image, labels: npt.NDArray[np.uint8], matrix: npt.NDArray[np.floating], size: int
) -> tuple[Image, npt.NDArray[np.uint8]]:
    """Picture and labels as the view shows them; grey and 0 beyond the picture."""
    # The matrix maps output to source. Far reductions alias under bilinear sampling, so the
    # picture is reduced by areas first, to twice the scale of the view.
    scale = 1 / float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.5:
        height, width = image.shape[:2]
        small = (max(1, round(width * 2 * scale)), max(1, round(height * 2 * scale)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        labels = cv2.resize(labels, small, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        # Rows of the map give x and y in the source: each is scaled to the reduced picture, whose
        # sides were rounded to whole pixels.
        matrix = matrix * np.array([[small[0] / width], [small[1] / height]])
    inverse = cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR | inverse, borderValue=(127,) * 3
    )
    moved = cv2.warpAffine(labels, matrix, (size, size), flags=cv2.INTER_NEAREST | inverse)
    return view.astype(np.uint8, copy=False), moved.astype(np.uint8, copy=False)


def _paste_second(
    view: Image,
    truth: BoolMask,
    stills: Stills,
    config: SampleConfig,
    rng: np.random.Generator,
) -> tuple[Image, BoolMask]:
    """The view with another still's object in front, and one of the two objects, or both."""
    image, labels = stills[int(rng.integers(len(stills)))]
    ys, xs = np.nonzero(labels)
    if len(ys) == 0:
        return view, truth
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
    scale = config.size * rng.uniform(0.2, 0.7) / float((high - low).max())
    matrix = affine(
        (low + high) / 2,
        rng.uniform(0.05, 0.95, 2) * config.size,
        scale=scale,
        rotation_rad=float(rng.normal(0, 0.2)),
        shear=0.0,
        flip=bool(rng.random() < 0.5),
    )
    other, moved = _warp(image, (labels > 0).astype(np.uint8), matrix, config.size)
    front = moved > 0
    # One pixel of soft edge: a hard seam would be found by its sharpness alone.
    alpha = cv2.GaussianBlur(front.astype(np.float32), (3, 3), 0)[..., None]
    pasted = (other * alpha + view * (1 - alpha)).astype(np.uint8)
    behind = truth & ~front
    # Both as one object in 15 %, the one in front in 40 %, what is left of the one behind in 45 %.
    choice = rng.random()
    if choice < 0.15:
        return pasted, behind | front
    return pasted, front if choice < 0.55 else behind


def _part_of(truth: BoolMask, smallest_px: int, rng: np.random.Generator) -> BoolMask:
    """One component of an object, or what lies on one side of a random line through it."""
    count, components, stats, _ = cv2.connectedComponentsWithStats(truth.astype(np.uint8))
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest_px]
    if len(large) > 1:
        return np.asarray(components == rng.choice(large))
    ys, xs = np.nonzero(truth)
    if len(ys) == 0:
        return truth
    point = int(rng.integers(len(ys)))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices(truth.shape)
    # Signed distance of each pixel from the line through a point of the object, H×W.
    side = (x - xs[point]) * np.cos(angle) + (y - ys[point]) * np.sin(angle) > 0
    return np.asarray(truth & side)


def _change_looks(image: Image, rng: np.random.Generator) -> Image:
    changed = random_colour(rng, 0.7)(image)
    if rng.random() < 0.1:
        changed = random_blur(rng, changed)
    return random_jpeg(rng, changed) if rng.random() < 0.2 else changed


def first_prompts(truth: BoolMask, config: SampleConfig, rng: np.random.Generator) -> Maps:
    """The prompts a user might begin with, as maps 4×H×W."""
    maps = np.zeros((4, *truth.shape), np.uint8)
    if not truth.any():
        _click_at_random(maps[NEGATIVE], ~truth, rng)
        return maps
    kind = rng.random()
    if kind < config.click:
        _first_clicks(maps, truth, rng)
    elif kind < config.click + config.box:
        draw_box(maps[BOX], _jittered_box(truth, rng))
        if rng.random() < 0.3:
            _first_clicks(maps, truth, rng)
    elif kind < config.click + config.box + config.stroke:
        draw_random_stroke(maps[POSITIVE], truth, rng)
        if rng.random() < 0.5:
            draw_random_stroke(maps[NEGATIVE], _surroundings(truth), rng)
    else:
        spoilt = spoil_mask(truth, float(rng.uniform(0.4, 0.95)), rng)
        maps[PREVIOUS] = np.where(spoilt, 255, 0)
        click_error(maps, truth, spoilt, rng)
    return maps


def _first_clicks(maps: Maps, truth: BoolMask, rng: np.random.Generator) -> None:
    """One click in the middle of the object; in half of the samples more of both signs."""
    distance = interior_distance(truth)
    if rng.random() < 0.5:
        y, x = np.unravel_index(int(distance.argmax()), distance.shape)
        draw_click(maps[POSITIVE], int(x), int(y))
    else:
        # Users click near the middle, not in it: anywhere at least 1 / 1.7 as deep as the deepest
        # point.
        _click_at_random(maps[POSITIVE], distance > distance.max() / 1.7, rng)
    if rng.random() < 0.5:
        return
    inner = distance > 3
    for _ in range(_geometric(0.7, rng)):
        _click_at_random(maps[POSITIVE], inner if inner.any() else truth, rng)
    border = _surroundings(truth)
    for _ in range(_geometric(0.7, rng)):
        _click_at_random(maps[NEGATIVE], border if rng.random() < 0.6 else ~truth, rng)


def click_error(
    maps: Maps, truth: BoolMask, predicted: BoolMask, rng: np.random.Generator, stroke: float = 0.0
) -> None:
    """Add the prompt that corrects the larger error, somewhere in its inner half.

    Args:
        maps: 4×H×W, changed in place.
        truth: The object, H×W.
        predicted: The mask so far, H×W.
        rng: Every random number comes from it.
        stroke: Part of the corrections that are strokes.
    """
    # Distances to the border of each error: the deepest point tells how large it is across, which
    # is what a user sees, rather than its number of pixels.
    missed, extra = truth & ~predicted, predicted & ~truth
    inside_missed, inside_extra = interior_distance(missed), interior_distance(extra)
    # A tie goes to the negative click, as in RITM's robot.
    is_missed = inside_missed.max() > inside_extra.max()
    distance = inside_missed if is_missed else inside_extra
    # Only a line of pixels is wrong; nobody would click there.
    if distance.max() < 1:
        return
    canvas = maps[POSITIVE if is_missed else NEGATIVE]
    if rng.random() < stroke:
        draw_random_stroke(canvas, missed if is_missed else extra, rng)
    else:
        _click_at_random(canvas, distance > distance.max() / 2, rng)


def spoil_mask(truth: BoolMask, iou: float, rng: np.random.Generator) -> BoolMask:
    """A wrong mask of about the given IoU: displaced, then bitten into and grown at its border."""
    size = np.array(truth.shape[::-1])
    area = max(1.0, float(truth.sum()))
    spoilt = truth
    if rng.random() < 0.4:  # as from another frame
        shift = rng.normal(0, 0.15 * (1 - iou) * np.sqrt(area), 2)
        matrix = affine(
            size / 2,
            size / 2 + shift,
            scale=float(np.exp(rng.normal(0, 0.2 * (1 - iou)))),
            rotation_rad=float(rng.normal(0, 0.2 * (1 - iou))),
            shear=0.0,
            flip=False,
        )
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(truth.astype(np.uint8), matrix, tuple(size.tolist()), flags=flags)
        spoilt = np.asarray(moved > 0)
    # Each bite costs a little IoU; thirty are enough for the lowest one that is asked for, and end
    # the loop where bites grow the overlap again.
    for _ in range(30):
        overlap = (spoilt & truth).sum() / max(1, (spoilt | truth).sum())
        if overlap <= iou:
            break
        spoilt = _bite(spoilt, np.sqrt(area), rng)
    return spoilt


def _bite(mask: BoolMask, extent: float, rng: np.random.Generator) -> BoolMask:
    """The mask with one ellipse at its border added or removed."""
    canvas = mask.astype(np.uint8)
    edge = cv2.morphologyEx(canvas, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    ys, xs = np.nonzero(edge)
    if len(ys) == 0:
        return mask
    at = int(rng.integers(len(ys)))
    axes = np.maximum(2, extent * rng.uniform(0.04, 0.25, 2)).astype(int)
    centre, angle = (int(xs[at]), int(ys[at])), float(rng.uniform(0, 180))
    value = (int(rng.random() < 0.5),)
    cv2.ellipse(canvas, centre, tuple(axes.tolist()), angle, 0, 360, value, -1)
    return np.asarray(canvas > 0)


def draw_click(canvas: npt.NDArray[np.uint8], x: int, y: int) -> None:
    """Draw a click as a disk, in place."""
    cv2.circle(canvas, (x, y), CLICK_RADIUS_PX, (255,), -1)


def draw_box(canvas: npt.NDArray[np.uint8], box: npt.NDArray[np.float64]) -> None:
    """Fill a box x0, y0, x1, y1 (px, exclusive end), in place."""
    height, width = canvas.shape
    x0, y0, x1, y1 = (round(v) for v in box.tolist())
    canvas[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)] = 255


def draw_random_stroke(
    canvas: npt.NDArray[np.uint8], region: BoolMask, rng: np.random.Generator
) -> None:
    """Draw a quadratic Bézier curve between points of a region, in place, 3 to 7 px wide.

    It may leave the region by 3 px, as a hand does, and is cut off beyond.
    """
    ys, xs = np.nonzero(region)
    if len(ys) == 0:
        return
    indices = rng.integers(len(ys), size=3)
    a, b, c = (np.array([xs[i], ys[i]], float) for i in indices)
    t = np.linspace(0, 1, 40)[:, None]
    # Bernstein polynomials of degree 2: 40×2 points (x, y).
    curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    stroke = np.zeros(region.shape, np.uint8)
    width = int(rng.integers(3, 8))
    cv2.polylines(stroke, [curve.round().astype(np.int32)], False, (255,), width)
    reach = cv2.dilate(region.astype(np.uint8), np.ones((7, 7), np.uint8))
    np.maximum(canvas, np.where(reach > 0, stroke, 0), out=canvas)


def _click_at_random(
    canvas: npt.NDArray[np.uint8], region: BoolMask, rng: np.random.Generator
) -> None:
    positions = np.flatnonzero(region)
    if len(positions):
        y, x = divmod(int(positions[int(rng.integers(len(positions)))]), region.shape[1])
        draw_click(canvas, x, y)


def _surroundings(truth: BoolMask) -> BoolMask:
    """Band around the object, a tenth of its extent wide."""
    width = max(3, int(np.ceil(0.1 * np.sqrt(truth.sum()))))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return np.asarray((cv2.dilate(truth.astype(np.uint8), kernel) > 0) & ~truth)


def _jittered_box(truth: BoolMask, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Box of a mask with each side moved at random, by at most 20 px, as users draw it."""
    ys, xs = np.nonzero(truth)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
    extent = np.tile(box[2:] - box[:2], 2)  # width, height, width, height
    moved = box + np.clip(rng.normal(0, 0.06, 4) * extent, -20, 20)
    # The middle stays inside: opposite sides never cross.
    middle = (box[:2] + box[2:]) / 2
    return np.concatenate([np.minimum(moved[:2], middle - 1), np.maximum(moved[2:], middle + 1)])


def _geometric(ratio: float, rng: np.random.Generator) -> int:
    """Count n with probability proportional to ratio^n, at most 12."""
    return min(12, int(rng.geometric(1 - ratio)) - 1)
