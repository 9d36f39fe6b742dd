"""Clips of several objects, alike or not, pasted from stills or videos, on eventful paths."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import cv2
import numpy as np

from rotomask.data.simulation.appearance import BLUR_SIZE, Array, draw_appearance, motion_kernel
from rotomask.data.simulation.courses import (
    Course,
    arrives,
    covers,
    grows,
    jumps_in_size,
    leaves,
    passes,
    stays,
)
from rotomask.data.simulation.motion import MotionConfig, Path, Point, moving_path
from rotomask.data.simulation.plan import (
    TRIES,
    ClipPlan,
    Layer,
    Picture,
    crop_path,
    finish_plan,
    is_seen,
    labels_in,
    object_places,
    object_points,
    scene_path,
)
from rotomask.errors import OptionError

LARGEST_WITH_DOUBLE = 0.6
"""Extent of an object that has a double in its clip, as a part of the frame's side, at most."""

Role = Literal["followed", "beside", "passing", "free", "covering"]
"""What a cut-out thing does: it has an id; it moves beside the first followed object; it comes in
late and passes it or stays; it is anywhere; it hides the first followed object for some frames."""


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Frequencies of what makes clips hard, as fractions of the clips, 0 to 1."""

    same_kind: float = 0.25
    """The followed objects that are pasted are of one kind (an ImageNet synset)."""
    look_alike: float = 0.2
    """Something without an id, of the kind of the first object, comes in late or passes close."""
    twin: float = 0.15
    """The first object is there twice, and only one of the two is followed."""
    crowd: float = 0.1
    """Three to six things without an id move about."""
    from_video: float = 0.3
    """Part of the pasted objects that are cut out of a video, frame by frame."""
    zoom_jumps: float = 0.2
    """Part of the clips from stills whose objects have another size in every frame."""
    growth: float = 0.12
    """Part of the clips from stills in which an object grows or shrinks, up to fivefold."""
    leaving: float = 0.15
    """A pasted object leaves; half of these do not come back."""
    covered: float = 0.12
    """Something hides the first object for some frames."""
    blur: float = 0.15
    """Part of the pasted things that are blurred along their motion."""
    thin_parts: float = 0.12
    """Part of the pasted objects that get a thin part, as a pole or a rope."""
    soft_edges: float = 0.6
    """Part of the pasted things whose edge is soft."""
    low_resolution: float = 0.12
    """Frames are as if enlarged from smaller ones."""

    @classmethod
    def only(cls, **parts: float) -> "Composition":
        """Composition with the named parts alone: every other frequency is 0."""
        return cls(**{field.name: 0.0 for field in fields(cls)} | parts)

    def __post_init__(self) -> None:
        total = self.same_kind + self.look_alike + self.twin + self.crowd
        if total > 1 + 1e-6:
            raise OptionError(f"same_kind, look_alike, twin and crowd add up to {total:g}, above 1")


@dataclass(frozen=True)
class Actor:
    """Object that is cut out of its pictures and pasted into a clip."""

    pictures: tuple[Picture, ...]
    """One, or one for each frame."""
    role: Role
    is_alike: bool = False
    """True if it looks like the first followed object and has its size."""


@dataclass(frozen=True)
class _Track:
    """Position of an object in each frame."""

    centre: Point
    """T×2 (x, y), px."""
    extent: float
    """Longer side of its box in the first frame, px."""


def plan_composed_clip(
    scene: tuple[Picture, ...],
    actors: Sequence[Actor],
    *,
    size: int,
    frames: int,
    own: int,
    rng: np.random.Generator,
    composition: Composition,
    scales: tuple[float, float] = (0.55, 1.4),
    motion: MotionConfig | None = None,
    appearance: float = 1.0,
) -> ClipPlan | None:
    """A clip composed of a scene, still or a video's frames, and of cut-out things.

    Args:
        scene: One still, or a frame of a video for each frame of the clip.
        actors: What is pasted. Object ids are given in their order, after the scene's own object.
        size: Side of the frames, px; a multiple of 8.
        frames: T.
        own: How many of the scene's own objects are followed; they have the first ids.
        rng: Every random choice.
        composition: How often things happen.
        scales: Magnification of a video's frames.
        motion: How much things move.
        appearance: Strength of changes of light and quality.

    Returns:
        The plan, with `source` -1 (no video), or None if these pictures did not give one in which
        every object is seen in the first frame and can be followed.
    """
    motion = motion or MotionConfig()
    present = labels_in(scene[0][1])
    if own > len(present):
        return None
    is_still = len(scene) == 1
    followed = own + sum(actor.role == "followed" for actor in actors)
    has_double = any(a.is_alike and a.role != "followed" for a in actors)
    if has_double:  # what is told apart by its place alone must not leap
        motion = replace(motion, strength=0.5 * motion.strength, leaving=0.0)
    for _ in range(TRIES):
        events = _Events(composition, frames, size, rng, is_still=is_still, is_calm=has_double)
        labels = [int(k) for k in rng.permutation(present)[:own]]
        if is_still:
            course = events.of_size() if own else stays(frames)
            path = scene_path(scene[0][1], size, frames, motion, rng, course)
        else:
            label = labels[0] if own else int(rng.choice([*present, 0]))
            path = crop_path(scene[0][1], label, size, frames, scales, rng)
        base = Layer(scene, path, {k: i + 1 for i, k in enumerate(labels)})
        layers = _place(base, actors, size, frames, motion, events, rng)
        if layers is not None and is_seen(layers, size, followed):
            changes = draw_appearance(
                frames, appearance, rng, low_resolution=composition.low_resolution
            )
            return finish_plan(
                layers, size, frames, changes, rng, source=-1, keeps_guidance=has_double
            )
    return None


class _Events:
    """Events of the pasted objects of one clip."""

    def __init__(
        self,
        composition: Composition,
        frames: int,
        size: int,
        rng: np.random.Generator,
        *,
        is_still: bool,
        is_calm: bool,
    ) -> None:
        self.composition, self.frames, self.size, self.rng = composition, frames, size, rng
        can_change = is_still and not is_calm
        self.jumps = can_change and rng.random() < composition.zoom_jumps
        self.growth = can_change and not self.jumps and rng.random() < composition.growth
        self.leaves = not is_calm and frames > 2 and rng.random() < composition.leaving

    def of_size(self) -> Course:
        """Course of an object's size."""
        if self.jumps:
            return jumps_in_size(self.frames, self.rng)
        return grows(self.frames, self.rng) if self.growth else stays(self.frames)

    def of_object(self, *, is_last: bool) -> Course:
        """Course of a followed object; only the last one may leave."""
        course = self.of_size()
        if self.leaves and is_last:
            returns = bool(self.rng.random() < 0.5)
            course = course + leaves(self.frames, self.size, self.rng, returns=returns)
        return course


def _place(
    base: Layer,
    actors: Sequence[Actor],
    size: int,
    frames: int,
    motion: MotionConfig,
    events: _Events,
    rng: np.random.Generator,
) -> list[Layer] | None:
    """Layers of a clip, the scene first; None if an object cannot be followed."""
    own = len(base.ids)
    pasted: list[Layer] = []
    doubles: list[_Track] = []
    followed = [a for a in actors if a.role == "followed"]
    track = _track(base, next(iter(base.ids)), size, frames, rng) if own else None
    for number, actor in enumerate(followed):
        # The more objects are followed, the smaller each is: their areas together stay about the
        # same.
        crowding = 0.9 / max(1.0, 0.75 * np.sqrt(own + len(followed)))
        extent = size * rng.uniform(0.2, max(0.3, crowding))
        if actor.is_alike and track is not None:
            extent = track.extent * np.exp(rng.normal(0, 0.3))
        layer = _paste(
            actor,
            own + number + 1,
            size * rng.uniform(0.15, 0.85, 2),
            extent,
            events.of_object(is_last=number == len(followed) - 1),
            (size, frames, motion, events.composition, rng),
        )
        pasted.append(layer)
        track = track or _track(layer, next(iter(layer.ids)), size, frames, rng)
    covering: list[Layer] = []
    for actor in actors:
        if actor.role == "followed" or track is None:
            continue
        layer = _paste_other(actor, track, (size, frames, motion, events.composition, rng))
        if actor.is_alike:
            doubles.append(_track(layer, next(iter(layer.ids)), size, frames, rng))
        (covering if actor.role == "covering" else pasted).append(layer)
    if track is not None and doubles and not _is_solvable(track, doubles, size):
        return None
    # Who is in front is drawn anew, but what covers comes last: it has to hide the first object.
    order = rng.permutation(len(pasted))
    return [base, *(pasted[i] for i in order), *covering]


_Setting = tuple[int, int, MotionConfig, Composition, np.random.Generator]


def _paste_other(actor: Actor, track: _Track, setting: _Setting) -> Layer:
    """Layer of an object without an id, at the position of its role."""
    size, frames, motion, composition, rng = setting
    extent = size * rng.uniform(0.15, 0.6)
    if actor.is_alike:
        extent = track.extent * np.exp(rng.normal(0, 0.2))
    position, course = size * rng.uniform(0.05, 0.95, 2), stays(frames)
    if actor.role == "beside" or (actor.role == "free" and actor.is_alike):
        # Half the sum of both extents is where the two boxes just touch; 0.7 of it overlaps a
        # little.
        angle, distance = rng.uniform(0, 2 * np.pi), 0.5 * (extent + track.extent)
        farthest = 1.5 if actor.role == "beside" else 3.0
        away = np.array([np.cos(angle), np.sin(angle)]) * distance * rng.uniform(0.7, farthest)
        position = track.centre[0] + away
    elif actor.role == "passing":
        meeting = track.centre[int(rng.integers(1, frames))]
        position = meeting + rng.normal(0, 0.4, 2) * (extent + track.extent)
        course = (passes if rng.random() < 0.5 else arrives)(frames, size, rng)
    elif actor.role == "covering":
        extent = max(extent, track.extent * rng.uniform(1.1, 1.8))
        position, course = np.full(2, size / 2), covers(frames, size, track.centre, rng)
        setting = (size, frames, replace(motion, strength=0.1 * motion.strength), composition, rng)
    return _paste(actor, 0, position, extent, course, setting)


def _paste(
    actor: Actor, object_id: int, position: Point, extent: float, course: Course, setting: _Setting
) -> Layer:
    """Layer of a pasted object of this extent that starts at `position`."""
    size, frames, motion, composition, rng = setting
    pictures = actor.pictures
    present = labels_in(pictures[0][1])
    label = int(rng.choice(present)) if len(present) else 1
    if object_id > 0 and len(pictures) == 1 and rng.random() < composition.thin_parts:
        pictures = (with_thin_part(pictures[0], label, rng),)
    points = object_points(pictures[0][1], label, rng)
    low, high = points.min(0), points.max(0)
    centres = np.broadcast_to((low + high) / 2, (frames, 2)).copy()
    if len(pictures) > 1:
        # The thing's own motion counts half, so that it stays near its place.
        middles = np.stack([_middle(p[1], label, centres[0]) for p in pictures])
        centres += 0.5 * (middles - middles[0])
    path = moving_path(
        centres,
        position,
        size,
        frames,
        scale=extent / max(float((high - low).max()), 1.0),
        config=motion,
        rng=rng,
        can_leave=False,
        course=course,
        stays_inside=True,
    )
    layer = Layer(pictures, path, {label: object_id}, bool(rng.random() < composition.soft_edges))
    if object_id == 0 and actor.is_alike:
        # A look-alike of exactly the same colours could be told only by its place; 10 % is what
        # light differs by within one scene.
        red, green, blue = rng.uniform(0.9, 1.1, 3)
        layer = replace(layer, gain=(float(red), float(green), float(blue)))
    if rng.random() < composition.blur:
        layer = replace(layer, blur=_blur_along(path, centres, rng))
    return layer


def _track(layer: Layer, label: int, size: int, frames: int, rng: np.random.Generator) -> _Track:
    """Track of a layer's object; where it is not visible it keeps its position."""
    centres: list[Point] = []
    extent = 0.0
    for t in range(frames):
        labels = layer.picture(t)[1]
        if len(layer.pictures) > 1 and t > 0 and not (labels == label).any():
            centres.append(centres[-1])
            continue
        # N×2 (x, y) in the frame; the middle of their box is steadier than their mean where parts
        # of the object bend or disappear.
        points = layer.path.output_points(t, object_points(labels, label, rng))
        low, high = points.min(0), points.max(0)
        centres.append((low + high) / 2)
        if t == 0:
            extent = float(np.clip((high - low).max(), 8, 1.5 * size))
    return _Track(np.stack(centres), extent)


def _is_solvable(track: _Track, doubles: Sequence[_Track], size: int) -> bool:
    """True if an object can be followed by its place among its doubles, and one of them is seen."""
    if track.extent > LARGEST_WITH_DOUBLE * size:
        return False
    are_visible = [
        ((d.centre > 0.05 * size) & (d.centre < 0.95 * size)).all(-1).any() for d in doubles
    ]
    return any(are_visible) and all(_can_be_followed(track, double) for double in doubles)


def _can_be_followed(track: _Track, double: _Track) -> bool:
    """True if in each frame the object is nearer to its previous position than its double is."""
    # Both T-1, px: how far the object moves, and how far its double is from where the object was.
    # The object wins by a tenth of its extent, or nobody could tell which of the two is meant.
    steps = np.linalg.norm(track.centre[1:] - track.centre[:-1], axis=-1)
    rivals = np.linalg.norm(double.centre[1:] - track.centre[:-1], axis=-1)
    return bool((steps + 0.1 * track.extent < rivals).all())


def _middle(labels: np.ndarray, label: int, otherwise: Point) -> Point:
    """Centre of an object's pixels (x, y)."""
    places, _ = object_places(labels, label)
    if len(places) == 0:
        return otherwise
    y, x = np.divmod(places, labels.shape[1])
    return np.array([x.mean(), y.mean()])


def _blur_along(path: Path, centres: Point, rng: np.random.Generator) -> Array:
    """Kernels of the motion blur of an object on its path, T×21×21."""
    frames = len(path.matrix)
    places = np.stack([path.output_points(t, centres[t][None])[0] for t in range(frames)])
    # Central differences T×2, px per frame; a shutter that is open for 0.2 to 0.8 of the frame's
    # time smears that much of the way.
    steps = np.gradient(places, axis=0) * rng.uniform(0.2, 0.8)
    kernels = []
    for dx, dy in steps:
        length = int(np.clip(round(float(np.hypot(dx, dy))), 1, BLUR_SIZE))
        kernels.append(motion_kernel(length, float(np.arctan2(dy, dx))))
    return np.stack(kernels)


def with_thin_part(picture: Picture, label: int, rng: np.random.Generator) -> Picture:
    """The picture with a bent line that begins in its object, as part of the object.

    The line has the colours of another place of the picture, and a thickness of 1 to 3 % of the
    object's extent.
    """
    image, labels = picture[0].copy(), picture[1].copy()
    points = object_points(labels, label, rng)
    extent = float((points.max(0) - points.min(0)).max())
    start = points[int(rng.integers(len(points)))]
    angle = rng.uniform(0, 2 * np.pi)
    bend, length = rng.normal(0, 0.5), extent * rng.uniform(0.3, 0.9)
    along = np.linspace(0, 1, 8)
    turned = angle + bend * along
    ends = start + length * along[:, None] * np.stack([np.cos(turned), np.sin(turned)], -1)
    line = np.zeros_like(labels)
    thickness = max(2, round(extent * rng.uniform(0.01, 0.03)))
    cv2.polylines(line, [np.rint(ends).astype(np.int32)], False, 1, thickness)
    drawn = line > 0
    # The colours come from elsewhere in the same picture, by rolling it: real texture, of another
    # thing.
    shift = rng.integers(1, max(2, min(labels.shape) // 2), 2)
    elsewhere = np.roll(image, (int(shift[0]), int(shift[1])), (0, 1))
    image[drawn], labels[drawn] = elsewhere[drawn], label
    return image, labels
