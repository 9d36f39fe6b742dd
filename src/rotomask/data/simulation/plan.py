"""Every random choice of a clip, drawn from a seed: which pictures, where, how changed."""

from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.simulation.appearance import Appearance, Array, draw_appearance
from rotomask.data.simulation.courses import Course
from rotomask.data.simulation.motion import MotionConfig, Path, Point, moving_path, still_path
from rotomask.data.training.images import Image, Labels

Picture = tuple[Image, Labels]

POINTS = 128
"""Pixels of an object that stand for it where its visibility is estimated."""
PLACES = 4096
"""Pixels of an object that these are drawn from, at most."""
REMEMBERED = 128
"""Objects whose pixels are remembered."""
MIN_VISIBLE = 0.5
"""Part of each object that is inside the first frame and not hidden there."""
MIN_AREA = 0.004
"""Part of the first frame that each object covers at least, if nothing hides it."""
TRIES = 12


@dataclass(frozen=True)
class Layer:
    """One thing on its way through a clip; the first layer of a clip is its scene."""

    pictures: tuple[Picture, ...]
    """T pictures, or one for all frames."""
    path: Path
    ids: dict[int, int]
    """Label in the picture -> object id in the clip; 0 for what only hides others. Of the scene,
    labels that are not named are background; of other layers, they are cut away."""
    is_soft: bool = False
    """True if its edge is blurred."""
    blur: Array | None = None
    """T×21×21, the motion blur of each frame."""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors of red, green and blue."""

    def picture(self, t: int) -> Picture:
        """The picture of frame t."""
        return self.pictures[min(t, len(self.pictures) - 1)]


@dataclass(frozen=True)
class ClipPlan:
    """A clip before it is rendered."""

    size: int
    """Side of the square frames, px."""
    frames: int
    layers: tuple[Layer, ...]
    """From the scene up."""
    appearance: Appearance
    guidance: npt.NDArray[np.float32]
    """2×3, output (x, y, 1) -> source, px: how the first mask is moved before it guides."""
    source: int
    """Number of the video it is from; -1 for a simulated clip."""
    keeps_guidance: bool = False
    """True if its objects can be told from others only by where they were a frame ago."""


def plan_simulated_clip(
    pictures: list[Picture],
    *,
    size: int,
    frames: int,
    objects: int,
    rng: np.random.Generator,
    paste: float = 0.6,
    occlusion: float = 0.3,
    motion: MotionConfig | None = None,
    appearance: float = 1.0,
) -> ClipPlan | None:
    """A clip simulated from still images.

    RGMP (Oh et al. 2018), sec. 3.2. Strategy 1: one image, its object as it stands in it. Strategy
    2: objects of other images on its background, each moving by itself, the background's own object
    sometimes in front. Here over several frames, with smooth motion.

    Args:
        pictures: The scene, then at least `objects` + 1 others to cut objects out of.
        size: Side of the frames, px; a multiple of 8.
        frames: T.
        objects: How many objects have an id.
        rng: Every random choice.
        paste: Part of the clips of strategy 2; all, where the scene has too few objects.
        occlusion: Part of the clips in which something without an id passes in front.
        motion: How much things move.
        appearance: Strength of changes of light and quality.

    Returns:
        The plan, or None if these pictures did not give one in which each object is seen.
    """
    motion = motion or MotionConfig()
    scene_labels = labels_in(pictures[0][1])
    pasted = len(scene_labels) < objects or rng.random() < paste
    for _ in range(TRIES):
        path = scene_path(pictures[0][1], size, frames, motion, rng)
        labels = [] if pasted else list(rng.permutation(scene_labels)[:objects])
        scene = Layer((pictures[0],), path, {int(k): i + 1 for i, k in enumerate(labels)})
        layers = [scene]
        if pasted:
            for k in range(objects):
                layers.append(_cutout(pictures[1 + k], k + 1, size, frames, motion, rng))
        if rng.random() < occlusion:
            if pasted and len(scene_labels) and rng.random() < 0.5:
                # The background's own object again, on the same path but as a layer above the
                # pasted ones: label -> 0, so that it hides them without an id.
                layers.append(Layer((pictures[0],), path, dict.fromkeys(map(int, scene_labels), 0)))
            else:
                layers.append(_cutout(pictures[1 + objects], 0, size, frames, motion, rng))
        if is_seen(layers, size, objects):
            changes = draw_appearance(frames, appearance, rng)
            return finish_plan(layers, size, frames, changes, rng, source=-1)
    return None


def plan_real_clip(
    frames_read: list[Picture],
    others: list[Picture],
    *,
    size: int,
    objects: int,
    rng: np.random.Generator,
    source: int,
    scales: tuple[float, float] = (0.55, 1.4),
    occlusion: float = 0.15,
    motion: MotionConfig | None = None,
    appearance: float = 0.6,
) -> ClipPlan | None:
    """A clip from frames of a real video: one crop for all frames, around the object.

    Objects that the video lacks are pasted from still images.

    Args:
        frames_read: T frames with their labels, the reference frame first.
        others: At least `objects` + 1 stills to cut objects out of; none, if the video has enough
            objects and nothing passes in front.
        size: Side of the frames, px.
        objects: How many objects have an id.
        rng: Every random choice.
        source: Number of the video.
        scales: Magnification of the stored frames, drawn evenly in its logarithm.
        occlusion: Part of the clips in which an object without an id passes in front.
        motion: How much the pasted objects move.
        appearance: Strength of changes of light and quality.

    Returns:
        The plan, or None if the first frame shows no object, or too little of it.
    """
    motion = motion or MotionConfig()
    labels = frames_read[0][1]
    present = [int(k) for k in labels_in(labels)]
    if not present:
        return None
    for _ in range(TRIES):
        object_labels = [int(k) for k in rng.permutation(present)[:objects]]
        path = crop_path(labels, object_labels[0], size, len(frames_read), scales, rng)
        layers = [Layer(tuple(frames_read), path, {k: i + 1 for i, k in enumerate(object_labels)})]
        for k in range(len(object_labels), objects):
            layers.append(_cutout(others[k], k + 1, size, len(frames_read), motion, rng))
        if others and rng.random() < occlusion:
            layers.append(_cutout(others[-1], 0, size, len(frames_read), motion, rng))
        if is_seen(layers, size, objects):
            changes = draw_appearance(len(frames_read), appearance, rng)
            return finish_plan(layers, size, len(frames_read), changes, rng, source=source)
    return None


def crop_path(
    labels: Labels,
    label: int,
    size: int,
    frames: int,
    scales: tuple[float, float],
    rng: np.random.Generator,
) -> Path:
    """One crop for all frames, with a random pixel of an object near the middle.

    The crop stays inside the frame where the frame is large enough.
    """
    height, width = labels.shape
    low, high = np.log(scales[0]), np.log(scales[1])
    # At least so large that the crop sees no more than 1 / 0.7 of the frame's short side: beyond
    # the border there is only its mirror image.
    scale = max(float(np.exp(rng.uniform(low, high))), 0.7 * size / min(height, width))
    # Half the side of the crop in pixels of the stored frame.
    half = size / 2 / scale
    points = object_points(labels, label, rng)
    aim = points[int(rng.integers(len(points)))] + rng.normal(0, 0.35 * half, 2)
    # Where the crop is larger than the frame, the upper bound falls below the lower one; the outer
    # maximum then centres it.
    bounds = np.maximum(np.array([width, height]) - half, half)
    centre = np.minimum(np.maximum(aim, half), bounds)
    return still_path(centre, size, frames, scale=scale, rng=rng)


def finish_plan(
    layers: list[Layer],
    size: int,
    frames: int,
    appearance: Appearance,
    rng: np.random.Generator,
    *,
    source: int,
    keeps_guidance: bool = False,
) -> ClipPlan:
    """The clip of these layers, with how its first mask is moved before it guides."""
    centre = np.array([size / 2, size / 2])
    angle, shear = rng.normal(0, 0.06), rng.normal(0, 0.03)
    cos, sin = np.cos(angle), np.sin(angle)
    # Rotation, shear and zoom of a few percent about the middle of the frame: as far off as the
    # mask of the frame before usually is (RGMP, sec. 3.2, deforms its guidance mask likewise).
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]])
    linear *= np.exp(rng.normal(0, 0.06))
    # Output -> source about the centre: A x + (c - A c'), with c' a little beside the centre.
    shift = centre - linear @ (centre + rng.normal(0, 0.02 * size, 2))
    return ClipPlan(
        size=size,
        frames=frames,
        layers=tuple(layers),
        appearance=appearance,
        guidance=np.concatenate([linear, shift[:, None]], 1).astype(np.float32),
        source=source,
        keeps_guidance=keeps_guidance,
    )


def scene_path(
    labels: Labels,
    size: int,
    frames: int,
    motion: MotionConfig,
    rng: np.random.Generator,
    course: Course | None = None,
) -> Path:
    """A camera that looks near an object and covers most of the frame with the image."""
    height, width = labels.shape
    scale = size / min(height, width) * float(np.exp(rng.uniform(-0.3, 0.8)))
    centre = rng.uniform(0.3, 0.7, 2) * (width, height)
    present = labels_in(labels)
    if len(present) and rng.random() < 0.8:
        points = object_points(labels, int(rng.choice(present)), rng)
        centre = points.mean(0)
    target = size * rng.uniform(0.3, 0.7, 2)
    calm = MotionConfig(strength=0.6 * motion.strength, bending=0.6 * motion.bending)
    return moving_path(
        centre,
        target,
        size,
        frames,
        scale=scale,
        config=calm,
        rng=rng,
        can_leave=False,
        course=course,
    )


def _cutout(
    picture: Picture,
    object_id: int,
    size: int,
    frames: int,
    motion: MotionConfig,
    rng: np.random.Generator,
) -> Layer:
    """An object of random size that starts anywhere in the frame."""
    present = labels_in(picture[1])
    label = int(rng.choice(present)) if len(present) else 1
    points = object_points(picture[1], label, rng)
    low, high = points.min(0), points.max(0)
    scale = size * rng.uniform(0.2, 0.9) / max(float((high - low).max()), 1.0)
    target = size * rng.uniform(0.15, 0.85, 2)
    path = moving_path(
        (low + high) / 2,
        target,
        size,
        frames,
        scale=scale,
        config=motion,
        rng=rng,
        can_leave=object_id > 0,
    )
    return Layer((picture,), path, {label: object_id})


def is_seen(layers: list[Layer], size: int, objects: int) -> bool:
    """True if the first frame shows enough of every object, estimated from points of each."""
    # Its own generator: how often a plan is tried must not change what the others draw.
    rng = np.random.default_rng(0)
    for k in range(1, objects + 1):
        owner = next(i for i, layer in enumerate(layers) if k in layer.ids.values())
        layer = layers[owner]
        label = next(label for label, object_id in layer.ids.items() if object_id == k)
        labels = layer.picture(0)[1]
        points = object_points(labels, label, rng)
        placed = layer.path.output_points(0, points)
        visible = ((placed >= 0) & (placed <= size - 1)).all(-1)
        for above in layers[owner + 1 :]:
            visible &= ~_covers(above, placed)
        # The matrix maps the output to the picture, so its determinant is picture area per output
        # area.
        magnification = 1 / abs(np.linalg.det(layer.path.matrix[0, :, :2]))
        area = float((labels == label).sum()) * magnification * visible.mean() / size**2
        if visible.mean() < MIN_VISIBLE or area < MIN_AREA:
            return False
    return True


def _covers(layer: Layer, points: Point) -> npt.NDArray[np.bool_]:
    """Which output points N×2 of the first frame a layer lies over."""
    labels = layer.picture(0)[1]
    # N×2 -> two of N; the nearest pixel is exact enough to estimate what is hidden.
    x, y = np.rint(layer.path.source_points(0, points)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < labels.shape[1]) & (y < labels.shape[0])
    covered = np.zeros(len(points), bool)
    covered[inside] = np.isin(labels[y[inside], x[inside]], list(layer.ids))
    return covered


def object_points(labels: Labels, label: int, rng: np.random.Generator) -> Point:
    """Some pixels (x, y) of an object, its extremes among them; the middle of an empty picture."""
    places, extremes = object_places(labels, label)
    if len(places) == 0:
        return np.array([[labels.shape[1] / 2, labels.shape[0] / 2]])
    picked = places[rng.integers(len(places), size=min(len(places), POINTS))]
    y, x = np.divmod(np.concatenate([picked, extremes]), labels.shape[1])
    return np.stack([x, y], -1).astype(float)


def object_bounds(labels: Labels, label: int) -> tuple[Point, Point] | None:
    """Least and greatest (x, y) of an object's pixels; None if there are none."""
    _, extremes = object_places(labels, label)
    if len(extremes) == 0:
        return None
    y, x = np.divmod(extremes, labels.shape[1])
    return np.array([x.min(), y.min()], float), np.array([x.max(), y.max()], float)


Places = npt.NDArray[np.int64]
_remembered: OrderedDict[tuple[int, int], tuple[Labels, Places, Places]] = OrderedDict()


def object_places(labels: Labels, label: int) -> tuple[Places, Places]:
    """Numbers of pixels of an object, row by row: some thousand of them, and its extremes.

    The last pictures asked for are remembered: a plan asks for each several times.
    """
    key = (id(labels), label)
    if key in _remembered:
        return _remembered[key][1:]
    mask = labels == label
    positions = np.flatnonzero(mask)
    extremes = positions[:0]
    if len(positions):
        # Leftmost and rightmost column with a pixel, and in each the first row; the first and last
        # number in row order are the topmost and lowest pixel.
        columns = np.flatnonzero(mask.any(0))[[0, -1]]
        sides = mask[:, columns].argmax(0) * labels.shape[1] + columns
        extremes = np.concatenate([sides, positions[[0, -1]]])
    # A copy, for a slice would keep the numbers of all pixels alive in the cache.
    places = positions[:: len(positions) // PLACES + 1].copy()
    # The labels are kept too, so that no other array gets their identity.
    _remembered[key] = (labels, places, extremes)
    if len(_remembered) > REMEMBERED:
        _remembered.popitem(last=False)
    return places, extremes


def labels_in(labels: Labels) -> npt.NDArray[np.int64]:
    """The labels of a picture, without the background's, in order."""
    if not labels.any():
        return np.zeros(0, np.int64)
    # A histogram of 256 bins reads the picture once; np.unique would sort its pixels.
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256])
    return np.flatnonzero(counts.ravel()[1:]) + 1
