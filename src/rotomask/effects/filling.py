"""Filling of a hole in a frame: how far it reaches, its shadow, light, blur and seams."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.compositing import gaussian
from rotomask.masks.windows import window_around
from rotomask.matting import fill_smoothly

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Margins:
    """How far the hole reaches beyond the objects, in parts of the short side."""

    around: float = 0.012
    below: float = 0.02
    """Also downwards, where the shadow falls."""
    shadow: bool = True
    """Whether the shadow is looked for: what is darker than in other frames."""


SHADOW_REACH = Margins(around=0.1, below=0.14)
"""How far from an object its shadow may be."""
SHADOW_DARKNESS = 0.82
"""A shadow is at most so bright, compared with the same place without it."""


def grown_hole(objects: Bool, margins: Margins) -> Bool:
    """Objects grown by the margins, H×W."""
    short = min(objects.shape)
    around = max(1, round(margins.around * short))
    below = round(margins.below * short)
    mask = objects.astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * around + 1, 2 * around + 1))
    grown = cv2.dilate(mask, disc)
    if below > 0:
        # The anchor at the foot of a column makes it reach downwards alone.
        column = np.ones((below + 1, 1), np.uint8)
        grown = cv2.dilate(grown, column, anchor=(0, below))
    result: Bool = grown > 0
    return result


def shadow_of(image: Pixels, clean: Array, hole: Bool, valid: Bool) -> Bool:
    """The object's shadow: what is near it, joined to it and darker than in a clean picture, H×W.

    Args:
        image: H×W×3 uint8: the frame.
        clean: H×W×3, 0 to 255: the same without the object and its shadow.
        hole: H×W: the object.
        valid: H×W: where both can be compared.
    """
    short = min(hole.shape)
    # Blurred first: a comparison of single pixels would find the noise of dark ground.
    sigma = 0.006 * short
    here, there = (gaussian(np.asarray(p, np.float32).mean(axis=2), sigma) for p in (image, clean))
    near = grown_hole(hole, SHADOW_REACH) & ~hole & valid
    # The ratio tells a shadow at any brightness; the difference of 12 (of 255) keeps noise on
    # nearly black ground out. `dim` has half of both, for the rim.
    dark = near & (here < SHADOW_DARKNESS * there) & (there - here > 12)
    dim = near & (here < (1 + SHADOW_DARKNESS) / 2 * there) & (there - here > 6)
    # Opening removes specks and lines thinner than the disc, which misalignment leaves at edges.
    open_ = max(1, round(0.004 * short))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * open_ + 1, 2 * open_ + 1))
    solid = cv2.morphologyEx(dark.astype(np.uint8), cv2.MORPH_OPEN, disc)
    # Only what touches the object, perhaps through a narrow gap.
    joined = cv2.dilate(((solid > 0) | hole).astype(np.uint8), disc)
    _, parts = cv2.connectedComponents(joined)
    touching = np.unique(parts[hole])
    shadow = (solid > 0) & np.isin(parts, touching[touching > 0])
    # Its rim: what is somewhat darker and joined to it, and a little more.
    _, parts = cv2.connectedComponents((dim | shadow).astype(np.uint8))
    rims = np.unique(parts[shadow])
    whole = np.isin(parts, rims[rims > 0]) & (dim | shadow)
    grown = cv2.dilate(whole.astype(np.uint8), disc, iterations=2) > 0
    return np.asarray(grown & (near | hole), np.bool_)


def fit_rim(picture: Array, target: Pixels | Array, hole: Bool, rim: Bool) -> Array:
    """A picture whose colours in a hole join those around it: H×W×3 float32.

    Only the hole's pixels count; others may stay as they are.

    Args:
        picture: H×W×3, what fills the hole.
        target: H×W×3, what surrounds it.
        hole: H×W.
        rim: H×W: where both show the same.
    """
    picture = with_light(picture, target, rim & ~hole)
    # Odd, as kernels have a middle pixel.
    size = max(5, round(0.02 * min(hole.shape))) | 1
    box = window_around(hole, size + 4)
    inside = hole[box]
    near = cv2.dilate(inside.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    weight = (near & rim[box] & ~inside).astype(np.float32)
    # Too few pixels to tell how the light differs.
    if weight.sum() < 20:
        return picture
    difference = gaussian(target[box].astype(np.float32) - picture[box], 1.0)
    # Large differences are things that moved, not light.
    steady = (np.abs(difference).max(axis=2) < 60).astype(np.float32)
    result = picture.copy()
    result[box] = (picture[box] + fill_smoothly(difference, weight * steady)).clip(0, 255)
    return result


def with_light(picture: Array, target: Pixels | Array, shared: Bool) -> Array:
    """A picture as bright as its target where both show the same: exposure may have changed."""
    if shared.sum() < 50:
        return picture
    # Some 4,000 pixels are enough for a median, which would sort all of them otherwise.
    rows, columns = (axis[:: 1 + len(axis) // 4000] for axis in np.nonzero(shared))
    offset = np.median(target[rows, columns].astype(np.float32) - picture[rows, columns], axis=0)
    return np.asarray((picture + offset).clip(0, 255), np.float32)


def as_blurred(picture: Array, target: Pixels | Array, hole: Bool, shared: Bool) -> Array:
    """A picture blurred as its target is by the camera's motion: H×W×3 float32.

    Of lines of several lengths and directions, the one is taken with which the picture looks most
    like the target around the hole.

    Args:
        picture: H×W×3, 0 to 255.
        target: H×W×3, 0 to 255.
        hole: H×W: what the picture is wanted for.
        shared: H×W: where both show the same.
    """
    short = min(hole.shape)
    reach = round(0.08 * short)
    box = window_around(hole, reach)
    near = cv2.dilate(hole[box].astype(np.uint8), np.ones((reach | 1, reach | 1), np.uint8)) > 0
    rim = near & shared[box] & ~hole[box]
    if rim.sum() < 200:
        return picture
    here, there = (np.asarray(p[box], np.float32).mean(axis=2) for p in (picture, target))
    edge = cv2.BORDER_REPLICATE
    # Blur hides misplacement, too: never more of it than leaves the target's own detail.
    floor = 0.85 * _detail(there, rim)
    # The picture is hardly sharper than its target already.
    if _detail(here, rim) < 1.15 * floor / 0.85:
        return picture
    # A blur has to be 3 % better than none: it costs detail where it is not needed.
    best, kernel = float(((here - there)[rim] ** 2).mean()) * 0.97, None
    for length in (0.006, 0.012, 0.022, 0.036):
        for angle in range(0, 180, 30):
            candidate = line(max(1.5, length * short), angle)
            blurred = cv2.filter2D(here, cv2.CV_32F, candidate, borderType=edge)
            error = float(((blurred - there)[rim] ** 2).mean())
            if error < best and _detail(np.asarray(blurred, np.float32), rim) >= floor:
                best, kernel = error, candidate
    if kernel is None:
        return picture
    return np.asarray(cv2.filter2D(picture, cv2.CV_32F, kernel, borderType=edge), np.float32)


def _detail(luma: Array, where: Bool) -> float:
    """Mean difference of neighbouring pixels."""
    steps = np.abs(np.diff(luma, axis=1))[1:] + np.abs(np.diff(luma, axis=0))[:, 1:]
    return float(steps[where[1:, 1:]].mean())


def line(length: float, angle: float) -> Array:
    """A kernel that blurs along a line of a length in px at an angle in degrees: K×K, sums to 1."""
    half = int(np.ceil(length / 2)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    radians = np.deg2rad(angle)
    along = np.abs(x * np.cos(radians) + y * np.sin(radians))
    across = np.abs(y * np.cos(radians) - x * np.sin(radians))
    kernel = (length / 2 + 0.5 - along).clip(0, 1) * (1 - across).clip(0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def blend_hole(image: Pixels, filling: Array, hole: Bool) -> Pixels:
    """A frame whose hole is filled, with a soft seam inside the hole: H×W×3 uint8."""
    width = max(1.0, 0.006 * min(hole.shape))
    distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)
    # 0 at the hole's border, 1 from `width` px inside: the seam lies in what was hidden anyway.
    share = (distance / width).clip(0, 1).astype(np.float32)[..., None]
    mixed: Array = image + (filling - image) * share
    return np.asarray(mixed.clip(0, 255).round(), np.uint8)
