"""The clean plate: the background of every frame without the objects, from other frames.

Of every `KEY_STEP` frames the sharpest is a key. Its hole, where the objects are, is filled from
the other keys, near and sharp ones first, aligned by homography and, from key to key, by what
parallax leaves. What no key shows is taken from the plate of the next key towards the middle of
the stretch, so that it stays the same, and painted in at the middle key. All other frames take
their hole from the keys on both sides, blurred as the frame is where the camera swings. Seams are
removed by spreading the difference at the rim over the filling (mean-value cloning, Farbman et al.
2009, by a pull-push pyramid).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.alignment import Alignment, is_inside, refine_map, sample, sampling_map
from rotomask.effects.filling import (
    SHADOW_REACH,
    Margins,
    as_blurred,
    blend_hole,
    fit_rim,
    grown_hole,
    shadow_of,
    with_light,
)
from rotomask.effects.painting import paint_in
from rotomask.effects.reader import Recent
from rotomask.matting import fill_smoothly

if TYPE_CHECKING:
    from rotomask.effects.scene import Scene

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

KEY_STEP = 8
"""Frames from one key to the next."""
STRETCH_KEYS = 16
"""Keys that share what is painted in: 128 frames."""
FARTHEST_KEYS = 16
"""How many keys away a source of a key may be."""
FEWEST_FRESH = 0.04
"""A source must fill at least this part of what is still open."""
LEAST_DETAIL = 0.6
"""A source must have at least this part of the key's detail; else texture is painted in."""
BLUR_COST = 12.0
"""How many keys farther away a sharp source may be than one with half its detail."""
WORST_RIM = 28.0
"""Largest mean difference at the hole's rim of a source that is used, 0-255."""
SHADOW_SOURCES = 12
"""Most frames with which a key is compared to find the shadow."""
DEEP_DARKNESS = 0.6
"""Where no frame shows the ground, a shadow is at most so bright, compared with that around it."""
REST_WIDTH = 480
"""Width at which what homographies leave is stored, px."""


@dataclass(frozen=True, eq=False)
class _Filled:
    """A key without its objects."""

    picture: Array
    """H×W×3, 0 to 255."""
    seen: Array
    """H×W: 1 where a frame shows it, 0 where it is painted in."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """What one frame shows of another's surroundings, aligned."""

    picture: Pixels
    """H×W×3, as bright as the other frame."""
    free: tuple[Bool, Bool, Bool]
    """H×W each: where it shows the background, where no shadow of its objects can be; also nearer
    to them; and all of it."""
    index: int
    """The frame that shows it."""


class Plate:
    """Backgrounds of a scene, made when they are asked for."""

    def __init__(
        self, scene: "Scene", alignment: Alignment, margins: Margins | None = None
    ) -> None:
        """Make nothing yet.

        Args:
            scene: Where frames and masks come from.
            alignment: How the frames of the same scene lie on each other.
            margins: How far the hole reaches.
        """
        self._scene, self._alignment = scene, alignment
        self.margins = margins or Margins()
        # Room for the two stretches around a frame, whose keys take from each other; the other
        # sizes hold what one key needs of its sources.
        self._keys: Recent[_Filled] = Recent(2 * STRETCH_KEYS + 8)
        self._pictures: Recent[Pixels] = Recent(4)
        self._slots: dict[int, int | None] = {}
        self._shadows: Recent[Bool] = Recent(2 * FARTHEST_KEYS + 2)
        self._rests: Recent[Array] = Recent(4 * FARTHEST_KEYS + 4)

    def picture(self, index: int) -> Pixels:
        """A frame without the objects: H×W×3 uint8. Pixels away from them are the frame's own."""
        picture = self._pictures.get(index)
        if picture is None:
            picture = self._make(index)
            self._pictures.add(index, picture)
        return picture

    def hole(self, index: int) -> Bool:
        """The pixels of a frame that are replaced, H×W."""
        return grown_hole(self._scene.mask(index, selected=True), self.margins)

    def _make(self, index: int) -> Pixels:
        image, hole = self._scene.frame(index).image, self.hole(index)
        if not hole.any():
            return image
        before, after = self._keys_around(index)
        here = self._objects(index) > 0
        # A set, for both keys are the same one at the ends of a video.
        plates = {key: self._carried(self._key(key), key, index) for key in {before, after}}
        if self.margins.shadow:
            for picture, valid, seen in plates.values():
                clean = with_light(picture, image, valid & ~here)
                # Only where a frame shows the ground: what was painted in says nothing of its
                # light.
                hole |= shadow_of(image, clean, hole, valid & (seen > 0.98))
        total = np.zeros((*hole.shape, 3), np.float32)
        weights = np.zeros((*hole.shape, 1), np.float32)
        for key, share in ((before, after - index), (after, index - before)):
            fraction = 1.0 if before == after else share / (after - before)
            if fraction <= 0:
                continue
            picture, valid, seen = plates[key]
            shared = valid & ~here & ~hole
            picture = as_blurred(picture, image, hole, shared)
            fitted = fit_rim(picture, image, hole, shared)
            # A small weight where a key shows nothing keeps the sum above 0.
            weight = fraction * (0.02 + 0.98 * seen * valid)
            total += fitted * weight[..., None]
            weights += weight[..., None]
        return blend_hole(image, (total / weights).astype(np.float32), hole)

    def _keys_around(self, index: int) -> tuple[int, int]:
        """The keys before and after a frame, or one key twice."""
        slot = (index - self._scene.frames.start) // KEY_STEP
        near = [self._slot_key(k) for k in (slot - 1, slot, slot + 1)]
        before = [k for k in near if k is not None and k <= index]
        after = [k for k in near if k is not None and k >= index]
        if before and after:
            return before[-1], after[0]
        one = [*before[-1:], *after[:1]]
        if not one:  # frames without masks around it
            return index, index
        return one[0], one[0]

    def _slot_key(self, slot: int) -> int | None:
        """The sharpest frame with a mask of `KEY_STEP` frames; None if there is none."""
        if slot not in self._slots:
            frames = self._scene.frames
            begin = frames.start + slot * KEY_STEP
            there = [k for k in range(begin, begin + KEY_STEP) if self._scene.has_mask(k)]
            # The sharpest: a key is seen from many frames, and its blur would show in all of them.
            self._slots[slot] = max(there, key=self._alignment.detail) if there else None
        return self._slots[slot]

    def _parent(self, key: int) -> int | None:
        """The key that a key takes from what no frame shows; None for the middle of a stretch."""
        slot = (key - self._scene.frames.start) // KEY_STEP
        first = slot // STRETCH_KEYS * STRETCH_KEYS
        last = min(first + STRETCH_KEYS, -(-len(self._scene.frames) // KEY_STEP)) - 1
        # Every key of a stretch takes what nobody saw from its neighbour towards the middle, and so
        # at last from one picture: what is invented does not change from frame to frame.
        root = (first + last) // 2
        while slot != root:
            slot += 1 if root > slot else -1
            parent = self._slot_key(slot)
            if parent is not None:
                return parent
        return None

    def _key(self, key: int) -> _Filled:
        plate = self._keys.get(key)
        if plate is None:
            plate = self._fill_key(key)
            self._keys.add(key, plate)
        return plate

    def _fill_key(self, key: int) -> _Filled:
        picture = self._scene.frame(key).image.astype(np.float32)
        hole = self.hole(key)
        sources = list(self._all_shown(key, hole))
        if self.margins.shadow:
            hole |= self._shadow(key, sources)
        open_pixels = hole.copy()
        # First what is far from the object in its frame, where its shadow cannot be.
        for level in (0, 1):
            for source in sources:
                self._fill_from(source, source.free[level], picture, open_pixels)
        for source in sources:
            if open_pixels.sum() < 0.005 * hole.sum():
                break
            self._fill_from(source, self._unshaded(source, key, open_pixels), picture, open_pixels)
        seen = (~open_pixels).astype(np.float32)
        parent = self._parent(key) if open_pixels.any() else None
        if parent is not None:
            carried, valid, _ = self._carried(self._key(parent), parent, key)
            fitted = fit_rim(carried, picture, open_pixels, valid & ~hole)
            taken = open_pixels & valid
            picture[taken] = fitted[taken]
            open_pixels &= ~taken
        for source in sources:  # what does not join well is still better than what nobody saw
            self._fill_from(source, source.free[1], picture, open_pixels, worst=np.inf)
        if open_pixels.any():
            picture = paint_in(picture, open_pixels)
        return _Filled(picture, seen)

    def _all_shown(self, key: int, hole: Bool) -> "Iterator[_Shown]":
        """What the sources of a key show of its surroundings, near and sharp ones first."""
        every = (self._shown(source, key, hole) for source in self._sources(key))
        return (view for view in every if view is not None)

    def _shadow(self, key: int, sources: "list[_Shown] | None" = None) -> Bool:
        """The shadow of a key's objects, by comparison with other frames: H×W."""
        shadow = self._shadows.get(key)
        if shadow is not None:
            return shadow
        hole, image = self.hole(key), self._scene.frame(key).image
        near = self._surroundings(key) > 0
        clean = image.astype(np.float32)
        seen = ~near
        if sources is None:  # as many as are used, for those of another key are in memory, too
            sources = list(islice(self._all_shown(key, hole), SHADOW_SOURCES))
        sources = sources[:SHADOW_SOURCES]
        for where, shown in ((s.free[level], s) for level in (0, 1) for s in sources):
            fresh = where & ~seen
            clean[fresh] = shown.picture[fresh]
            seen |= fresh
        # Between what others show, the ground is taken to go on; there only deep shadow counts.
        clean = np.where(seen[..., None], clean, fill_smoothly(clean, seen.astype(np.float32)))
        deep = image.mean(axis=2) < DEEP_DARKNESS * clean.mean(axis=2)
        shadow = shadow_of(image, clean, hole, seen | deep)
        self._shadows.add(key, shadow)
        return shadow

    def _unshaded(self, source: "_Shown", key: int, open_pixels: Bool) -> Bool:
        """Where a source shows the background without the shadow of its objects, H×W."""
        free = source.free[2]
        if not self.margins.shadow or not (free & open_pixels).any():
            return free
        shadow = self._shadow(source.index).astype(np.float32)
        at = self._points(source.index, key)
        return np.asarray(free & (sample(shadow, at, linear=True) < 0.02), np.bool_)

    def _sources(self, key: int) -> list[int]:
        """Frames with masks from which a key is filled, near and sharp ones first."""
        own = (key - self._scene.frames.start) // KEY_STEP
        slots = range(own - FARTHEST_KEYS, own + FARTHEST_KEYS + 1)
        listed = [k for k in map(self._slot_key, slots) if k is not None and k != key]
        ends = (self._scene.frames.start, self._scene.frames.stop - 1)  # a short video has few keys
        listed += [k for k in ends if k != key and k not in listed and self._scene.has_mask(k)]
        detail = self._alignment.detail
        # Swung past: too blurred to be worth aligning.
        listed = [k for k in listed if detail(k) > LEAST_DETAIL * detail(key)]
        best = max((detail(k) for k in listed), default=1.0)

        def cost(k: int) -> float:
            # Distance in keys, plus a fine for blur: a sharp frame farther off wins over a blurred
            # one nearby.
            return abs(k - key) / KEY_STEP + BLUR_COST * (1 - detail(k) / max(best, 1e-6))

        return sorted(listed, key=cost)

    def _shown(self, source: int, key: int, hole: Bool) -> "_Shown | None":
        """What a source shows of a key's surroundings; None if nothing of the hole."""
        size = self._scene.size
        image, other = self._scene.frame(key).image, self._scene.frame(source).image
        others, here = self._objects(source), self._objects(key) > 0
        points = sampling_map(self._alignment.homography(source, key), size)
        # Whether it shows any of the hole, before the costly part.
        free = is_inside(points, size) & (sample(others, points, linear=True) < 0.02)
        if (free & hole).sum() < FEWEST_FRESH * hole.sum():
            return None

        points = self._points(source, key)
        free = is_inside(points, size) & (sample(others, points, linear=True) < 0.02)
        # The whole reach of a shadow, and half of it; 0.02 of coverage may be the sampling's own
        # softness.
        far, near = (
            free & (sample(self._surroundings(source, fraction), points, linear=True) < 0.02)
            for fraction in (1.0, 0.5)
        )
        warped = as_blurred(sample(other, points), image, hole, free & ~here)
        lit = with_light(warped, image, free & ~here).clip(0, 255).round().astype(np.uint8)
        return _Shown(lit, (far, near, free), source)

    def _points(self, source: int, key: int) -> Array:
        """Where in a source each pixel of a key is seen: H×W×2, px.

        A homography holds for one plane. What it leaves grows with the camera's way, so it is
        found step by step, from one key to the next, each time by dense flow.
        """
        size = self._scene.size
        plain = sampling_map(self._alignment.homography(source, key), size)
        return plain + self._rest_at(source, key, sampling_map(np.eye(3), size))

    def _rest_at(self, source: int, key: int, points: Array) -> Array:
        """What the homography from a source to a key leaves at points of the key: H×W×2, px."""
        size = self._scene.size
        rest = self._rests.get((source, key))
        if rest is None:
            plain = sampling_map(self._alignment.homography(source, key), size)
            # What earlier steps found is where the flow of this one begins.
            begun, via = plain, self._step(source, key)
            if via is not None:
                back = np.linalg.inv(self._alignment.homography(source, via))
                there = self._points(via, key)
                # `there` is in pixels of the key between; back through its homography to the
                # source's, plus what the homography leaves on that last step.
                begun = np.asarray(cv2.perspectiveTransform(there, back), np.float32)
                begun += self._rest_at(source, via, there)
            image, other = self._scene.frame(key).image, self._scene.frame(source).image
            wide, here = self._surroundings(source), self._surroundings(key) > 0

            def is_background(at: Array) -> Bool:
                return is_inside(at, size) & (sample(wide, at, linear=True) < 0.02) & ~here

            offset = refine_map(image, other, begun, is_background) - plain
            # Parallax is smooth: stored at this width it takes a tenth of the memory of one at
            # 1080p.
            small = min(REST_WIDTH, size[1])
            shape = (small, max(1, round(size[0] * small / size[1])))
            rest = np.asarray(cv2.resize(offset, shape, interpolation=cv2.INTER_AREA), np.float32)
            self._rests.add((source, key), rest)
        # From pixels of the scene to those of the stored map; the offsets in it stay in the
        # scene's.
        scale = np.array([rest.shape[1] / size[1], rest.shape[0] / size[0]], np.float32)
        return sample(rest, points * scale, linear=True)

    def _step(self, source: int, key: int) -> int | None:
        """The key after a source on the way to another one; None if that is the next."""
        slot = (source - self._scene.frames.start) // KEY_STEP
        last = (key - self._scene.frames.start) // KEY_STEP
        while slot != last:
            slot += 1 if last > slot else -1
            key_of_slot = self._slot_key(slot)
            if key_of_slot is not None:
                return None if key_of_slot == key else key_of_slot
        return None

    def _fill_from(
        self,
        source: "_Shown",
        where: Bool,
        picture: Array,
        open_pixels: Bool,
        *,
        worst: float = WORST_RIM,
    ) -> None:
        """Copy what a source shows of the open pixels into a key's picture; both are changed."""
        fresh = where & open_pixels
        if fresh.sum() < FEWEST_FRESH * max(1, open_pixels.sum()):
            return
        # Where the copy meets what is there already: if both differ much along it, the source shows
        # something else, such as a thing that moved.
        rim = cv2.dilate(fresh.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        rim &= where & ~open_pixels
        difference = np.abs(source.picture - picture).mean(axis=2)
        if rim.any() and float(np.median(difference[rim])) > worst:
            return
        other = source.picture.astype(np.float32)
        fitted = fit_rim(other, picture, fresh, where & ~open_pixels)
        # Both change in place: the caller goes on with the next source.
        picture[fresh] = fitted[fresh]
        open_pixels &= ~fresh

    def _objects(self, index: int) -> Array:
        """Pixels of a frame that show no background, grown by the margins: H×W, 0 or 1."""
        every = self._scene.mask(index, selected=False)
        return grown_hole(every, self.margins).astype(np.float32)

    def _surroundings(self, index: int, fraction: float = 1.0) -> Array:
        """Pixels of a frame within a part of the reach of objects' shadows, H×W, 0 or 1."""
        every = self._scene.mask(index, selected=False)
        reach = Margins(around=fraction * SHADOW_REACH.around, below=fraction * SHADOW_REACH.below)
        return grown_hole(every, reach).astype(np.float32)

    def _carried(self, filled: _Filled, key: int, index: int) -> tuple[Array, Bool, Array]:
        """A key's plate as another frame sees it: picture, where it is valid, what was seen."""
        size = self._scene.size
        image = self._scene.frame(index).image
        points = sampling_map(self._alignment.homography(key, index), size)
        here = self._surroundings(index) > 0

        def is_background(at: Array) -> Bool:
            return is_inside(at, size) & (sample(filled.seen, at, linear=True) > 0.98) & ~here

        flat = filled.picture.clip(0, 255).astype(np.uint8)
        points = refine_map(image, flat, points, is_background)
        valid = is_inside(points, size)
        seen = sample(filled.seen, points, linear=True).clip(0, 1)
        return sample(filled.picture, points), valid, seen
