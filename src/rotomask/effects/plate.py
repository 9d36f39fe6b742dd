"""The clean plate: the background of every frame without the objects, from other frames.

Every `KEY_STEP`-th frame is a key. Its hole, where the objects are, is filled from the other keys,
nearest first, aligned by homography and by what parallax leaves; what no key shows is taken from
the plate of the key before, towards the middle of the stretch, so that it stays the same, and
painted in at the middle key. All other frames take their hole from the keys on both sides. Seams
are removed by spreading the difference at the rim over the filling (mean-value cloning, Farbman et
al. 2009, by a pull-push pyramid).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.alignment import Alignment, is_inside, refine_map, sample, sampling_map
from rotomask.effects.compositing import gaussian
from rotomask.effects.painting import paint_in
from rotomask.effects.reader import Recent

if TYPE_CHECKING:
    from rotomask.effects.scene import Cutout, Scene
from rotomask.matting import fill_smoothly

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
"""A source must fill at least this part of the hole."""
WORST_RIM = 28.0
"""Largest mean difference at the hole's rim of a source that is used, 0-255."""


@dataclass(frozen=True, kw_only=True)
class Margins:
    """How far the hole reaches beyond the objects, in parts of the short side."""

    around: float = 0.012
    below: float = 0.02
    """Also downwards, where the shadow falls."""


@dataclass(frozen=True, eq=False)
class _Filled:
    """A key without its objects."""

    picture: Array
    """H×W×3, 0 to 255."""
    seen: Array
    """H×W: 1 where a frame shows it, 0 where it is painted in."""


class Plate:
    """Backgrounds of a scene, made when they are asked for."""

    def __init__(
        self, scene: "Scene", alignment: Alignment, margins: Margins | None = None
    ) -> None:
        """Make nothing yet.

        Args:
            scene: Where frames and masks come from.
            alignment: Of the same scene.
            margins: How far the hole reaches.
        """
        self._scene, self._alignment = scene, alignment
        self.margins = margins or Margins()
        self._keys: Recent[_Filled] = Recent(2 * STRETCH_KEYS + 8)
        self._pictures: Recent[Pixels] = Recent(4)

    def picture(self, index: int) -> Pixels:
        """A frame without the objects: H×W×3 uint8. Pixels away from them are the frame's own."""
        known = self._pictures.get(index)
        if known is None:
            known = self._make(index)
            self._pictures.add(index, known)
        return known

    def hole(self, index: int) -> Bool:
        """The pixels of a frame that are replaced, H×W."""
        return grown_hole(self._scene.cutout(index).alpha > 0.04, self.margins)

    def _make(self, index: int) -> Pixels:
        cutout, hole = self._scene.cutout(index), self.hole(index)
        if not hole.any():
            return cutout.image
        before, after = self._keys_around(index)
        total = np.zeros((*hole.shape, 3), np.float32)
        weights = np.zeros((*hole.shape, 1), np.float32)
        for key, share in ((before, after - index), (after, index - before)):
            part = 1.0 if before == after else share / (after - before)
            if part <= 0:
                continue
            filled = self._key(key)
            picture, valid, seen = self._carried(filled, key, index)
            fitted = fit_rim(picture, cutout.image, hole, valid & ~hole)
            # A small weight where a key shows nothing keeps the sum above 0.
            weight = part * (0.02 + 0.98 * seen * valid)
            total += fitted * weight[..., None]
            weights += weight[..., None]
        return blend_hole(cutout.image, (total / weights).astype(np.float32), hole)

    def _keys_around(self, index: int) -> tuple[int, int]:
        """The keys before and after a frame, or the frame itself twice if it is one."""
        frames = self._scene.frames
        offset = index - frames.start
        before = frames.start + offset // KEY_STEP * KEY_STEP
        after = min(before + KEY_STEP, frames.stop - 1)
        if before == index or not self._scene.has_mask(after):
            return before, before
        return before, after

    def _root(self, key: int) -> int:
        """The key in the middle of a key's stretch, where painting begins."""
        start, length = self._scene.frames.start, STRETCH_KEYS * KEY_STEP
        first = start + (key - start) // length * length
        last = min(first + length, self._scene.frames.stop) - 1
        keys = (last - first) // KEY_STEP
        return first + keys // 2 * KEY_STEP

    def _key(self, key: int) -> _Filled:
        known = self._keys.get(key)
        if known is None:
            known = self._fill_key(key)
            self._keys.add(key, known)
        return known

    def _fill_key(self, key: int) -> _Filled:
        cutout, hole = self._scene.cutout(key), self.hole(key)
        picture = cutout.image.astype(np.float32)
        seen = (~hole).astype(np.float32)
        open_pixels = hole.copy()
        for source in self._sources(key):
            if open_pixels.sum() < 0.005 * hole.sum():
                break
            self._fill_from(source, key, picture, open_pixels)
        seen[hole & ~open_pixels] = 1
        if open_pixels.any():
            root = self._root(key)
            if key == root:
                picture = paint_in(picture, open_pixels)
            else:
                parent = key + (KEY_STEP if root > key else -KEY_STEP)
                if abs(root - key) < KEY_STEP:
                    parent = root
                carried, valid, _ = self._carried(self._key(parent), parent, key)
                rest = open_pixels & ~valid
                fitted = fit_rim(carried, picture, open_pixels, valid & ~open_pixels)
                picture[open_pixels & valid] = fitted[open_pixels & valid]
                if rest.any():
                    picture = paint_in(picture, rest)
        return _Filled(picture, seen)

    def _sources(self, key: int) -> list[int]:
        """Frames with masks from which a key is filled, nearest first."""
        frames = self._scene.frames
        steps = [s for s in (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16) if s <= FARTHEST_KEYS]
        near = [key + sign * step * KEY_STEP for step in steps for sign in (1, -1)]
        # A short video has few keys: also its ends.
        ends = [frames.start, frames.stop - 1]
        listed = [k for k in near if k in frames] + [k for k in ends if k not in near and k != key]
        return [k for k in listed if self._scene.has_mask(k)]

    def _fill_from(self, source: int, key: int, picture: Array, open_pixels: Bool) -> None:
        """Copy what a source shows of the open pixels into a key's picture; both are changed."""
        size = self._scene.size
        cutout, other = self._scene.cutout(key), self._scene.cutout(source)
        others = self._objects(other)
        points = sampling_map(self._alignment.homography(source, key), size)
        # Whether it shows anything new, before the costly part.
        free = is_inside(points, size) & (sample(others, points, linear=True) < 0.02)
        if (free & open_pixels).sum() < FEWEST_FRESH * max(1, open_pixels.sum()):
            return
        here = self._objects(cutout) > 0

        def known(at: Array) -> Bool:
            return is_inside(at, size) & (sample(others, at, linear=True) < 0.02) & ~here

        points = refine_map(cutout.image, other.image, points, known)
        free = is_inside(points, size) & (sample(others, points, linear=True) < 0.02)
        fresh = free & open_pixels
        if not fresh.any():
            return
        warped = sample(other.image, points)
        rim = cv2.dilate(fresh.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        rim &= free & ~open_pixels
        difference = np.abs(warped - picture).mean(axis=2)
        if rim.any() and float(np.median(difference[rim])) > WORST_RIM:
            return
        fitted = fit_rim(warped, picture, fresh, free & ~open_pixels)
        picture[fresh] = fitted[fresh]
        open_pixels &= ~fresh

    def _objects(self, cutout: "Cutout") -> Array:
        """Pixels that show no background, grown by the margins: H×W, 0 or 1."""
        every = (cutout.labels > 0) | (cutout.alpha > 0.04)
        return grown_hole(every, self.margins).astype(np.float32)

    def _carried(self, filled: _Filled, key: int, index: int) -> tuple[Array, Bool, Array]:
        """A key's plate as another frame sees it: picture, where it is valid, what was seen."""
        size = self._scene.size
        cutout = self._scene.cutout(index)
        points = sampling_map(self._alignment.homography(key, index), size)
        here = self._objects(cutout) > 0

        def known(at: Array) -> Bool:
            return is_inside(at, size) & (sample(filled.seen, at, linear=True) > 0.98) & ~here

        flat = filled.picture.clip(0, 255).astype(np.uint8)
        points = refine_map(cutout.image, flat, points, known)
        valid = is_inside(points, size)
        seen = sample(filled.seen, points, linear=True).clip(0, 1)
        return sample(filled.picture, points), valid, seen


def grown_hole(objects: Bool, margins: Margins) -> Bool:
    """Objects grown by the margins, H×W."""
    short = min(objects.shape)
    around = max(1, round(margins.around * short))
    below = round(margins.below * short)
    mask = objects.astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * around + 1, 2 * around + 1))
    grown = cv2.dilate(mask, disc)
    if below > 0:
        # The anchor at the top of a column makes it reach downwards alone.
        column = np.ones((below + 1, 1), np.uint8)
        grown = cv2.dilate(grown, column, anchor=(0, below))
    result: Bool = grown > 0
    return result


def fit_rim(picture: Array, target: Pixels | Array, hole: Bool, rim: Bool) -> Array:
    """A picture whose colours in a hole join those around it: H×W×3 float32.

    Args:
        picture: H×W×3, what fills the hole.
        target: H×W×3, what surrounds it.
        hole: H×W.
        rim: H×W: where both show the same.
    """
    size = max(5, round(0.02 * min(hole.shape))) | 1
    near = cv2.dilate(hole.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    weight = (near & rim & ~hole).astype(np.float32)
    if weight.sum() < 20:
        return picture
    difference = gaussian(target.astype(np.float32) - picture, 1.0)
    # Large differences are things that moved, not light.
    steady = (np.abs(difference).max(axis=2) < 60).astype(np.float32)
    offset = fill_smoothly(difference, weight * steady)
    return (picture + offset).clip(0, 255).astype(np.float32)


def blend_hole(image: Pixels, filling: Array, hole: Bool) -> Pixels:
    """A frame whose hole is filled, with a soft seam inside the hole: H×W×3 uint8."""
    width = max(1.0, 0.006 * min(hole.shape))
    distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    share = (distance / width).clip(0, 1).astype(np.float32)[..., None]
    mixed: Array = image + (filling - image) * share
    return np.asarray(mixed.clip(0, 255).round(), np.uint8)
