"""Painting in: a hole that no frame shows, filled with texture from around it.

Patch-based completion from coarse to fine (Wexler et al. 2007, "Space-Time Completion of Video",
in the plane), with nearest patches by PatchMatch (Barnes et al. 2009).
"""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.masks.windows import window_around
from rotomask.matting import fill_smoothly

Array = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int64]
"""P×2: rows and columns."""

PATCH = 7
"""Side of a patch, px of the level."""
FINEST_SIDE = 224
"""Longer side of the finest level; its patches are copied at full size."""
COARSEST_SIDE = 24
FEWEST_PATCHES = 30
"""With fewer patches around, the hole is filled smoothly."""

_HALF = PATCH // 2


def paint_in(picture: Array, hole: Bool) -> Array:
    """A picture whose hole continues its surroundings: H×W×3 float32, 0 to 255.

    The same hole is always filled in the same way.

    Args:
        picture: H×W×3, 0 to 255.
        hole: H×W.
    """
    if not hole.any():
        return picture
    extent = max(cv2.boundingRect(hole.astype(np.uint8))[2:])  # the longer side
    # So much texture around the hole that most patches of it have something like them.
    box = window_around(hole, max(3 * PATCH, round(0.6 * extent)))
    result = picture.copy()
    result[box] = _painted(np.ascontiguousarray(picture[box]), hole[box])
    return result


def _painted(picture: Array, hole: Bool) -> Array:
    """A crop with its hole filled: h×w×3."""
    smooth = fill_smoothly(picture, (~hole).astype(np.float32))
    smooth = np.where(hole[..., None], smooth, picture).astype(np.float32)
    sides = [min(FINEST_SIDE, max(hole.shape))]
    # From 224 px down by halves: at the coarsest level a patch of 7 px spans a third of the
    # picture, so that structure is found first and texture later.
    while sides[-1] > 2 * COARSEST_SIDE:
        sides.append(sides[-1] // 2)
    rng = np.random.default_rng(0)
    level: Array | None = None
    nearest: Points | None = None
    shape = (0, 0)
    for side in reversed(sides):
        factor = side / max(hole.shape)
        shape = (
            max(PATCH, round(hole.shape[0] * factor)),
            max(PATCH, round(hole.shape[1] * factor)),
        )
        small = cv2.resize(smooth, shape[::-1], interpolation=cv2.INTER_AREA)
        # Any pixel that is partly in the hole counts as in it: its mean is not a colour of the
        # picture.
        covered = cv2.resize(hole.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0
        if level is not None:
            upscaled = cv2.resize(level, shape[::-1], interpolation=cv2.INTER_CUBIC)
            small = np.where(covered[..., None], upscaled, small)
        completion = _completed(np.asarray(small, np.float32), covered, nearest, rng)
        if completion is None:
            return smooth
        level, nearest = completion
    assert nearest is not None
    return _copied(smooth, hole, nearest, shape)


def _completed(
    picture: Array, hole: Bool, coarser: Points | None, rng: np.random.Generator
) -> tuple[Array, Points] | None:
    """A level's picture and nearest patches h×w×2 (row, column); None with too few patches."""
    height, width = hole.shape
    square = np.ones((PATCH, PATCH), np.uint8)
    # Centres of patches that lie wholly in the picture.
    inner = np.zeros((height, width), np.uint8)
    inner[_HALF : height - _HALF, _HALF : width - _HALF] = 1
    # Patches that contain a pixel of the hole: these are looked for, the others may be copied.
    touched = cv2.dilate(hole.astype(np.uint8), square)
    usable = (touched == 0) & (inner > 0)
    sources = np.argwhere(usable)
    if len(sources) < FEWEST_PATCHES:
        return None
    targets = np.argwhere((touched > 0) & (inner > 0))
    nearest = np.zeros((height, width, 2), np.int64)
    # Every other pixel is its own nearest patch, which is what `_search` reads of neighbours
    # outside.
    nearest[:] = np.moveaxis(np.indices((height, width)), 0, -1)
    start = sources[rng.integers(0, len(sources), len(targets))]
    if coarser is not None:
        scale = np.array([height / coarser.shape[0], width / coarser.shape[1]])
        at = (targets / scale).astype(np.int64).clip(0, np.array(coarser.shape[:2]) - 1)
        # The patch's place, plus where in its coarse pixel the target lies.
        guess = (coarser[at[:, 0], at[:, 1]] * scale + targets - at * scale).round()
        guess = guess.astype(np.int64).clip(0, [height - 1, width - 1])
        fits = usable[guess[:, 0], guess[:, 1]]
        start = np.where(fits[:, None], guess, start)
    nearest[targets[:, 0], targets[:, 1]] = start
    # The steps of expectation maximisation in Wexler et al.: nearest patches for the picture, then
    # the picture from them. They settle after three or four on each level.
    for _ in range(4 if coarser is None else 3):
        features = _patches(picture)
        distances = _search(features, usable, targets, nearest, rng)
        picture = _voted(picture, hole, targets, nearest, distances)
    return picture, nearest


def _patches(picture: Array) -> Array:
    """The patch around every pixel: h×w×(3·PATCH²)."""
    padded = np.pad(picture, ((_HALF, _HALF), (_HALF, _HALF), (0, 0)), mode="edge")
    # h×w×3×7×7, a view; contiguous before it is read many times at random places.
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(0, 1))
    return np.ascontiguousarray(windows).reshape(*picture.shape[:2], -1)


def _search(
    features: Array, usable: Bool, targets: Points, nearest: Points, rng: np.random.Generator
) -> Array:
    """Improve the nearest patches in place; their squared distances, P."""
    height, width = usable.shape
    own = features[targets[:, 0], targets[:, 1]]  # P×F
    best = nearest[targets[:, 0], targets[:, 1]]

    def distance(at: Points) -> Array:
        return np.asarray(((features[at[:, 0], at[:, 1]] - own) ** 2).mean(axis=1), np.float32)

    lowest = distance(best)

    def offer(candidates: Points) -> None:
        nonlocal best, lowest
        candidates = candidates.clip(0, [height - 1, width - 1])
        worth = usable[candidates[:, 0], candidates[:, 1]]
        found = np.where(worth, distance(candidates), np.inf)
        better = found < lowest
        best = np.where(better[:, None], candidates, best)
        lowest = np.where(better, found, lowest).astype(np.float32)

    # Propagation of PatchMatch, all pixels at once rather than in scan order: jumps of 4 and 1
    # carry a good offset through the hole in few rounds, as jump flooding does.
    for step in (4, 1):
        for shift in ((0, step), (0, -step), (step, 0), (-step, 0)):
            # What a neighbour found, moved by as much as it is away.
            beside = (targets + shift).clip(0, [height - 1, width - 1])
            offer(nearest[beside[:, 0], beside[:, 1]] - shift)
            nearest[targets[:, 0], targets[:, 1]] = best
    # Random search around the best so far, in ever smaller windows, as in PatchMatch.
    radius = max(height, width)
    while radius >= 1:
        offer(best + rng.integers(-radius, radius + 1, best.shape))
        radius //= 3
    nearest[targets[:, 0], targets[:, 1]] = best
    return lowest


def _voted(picture: Array, hole: Bool, targets: Points, nearest: Points, distances: Array) -> Array:
    """The picture whose hole is the weighted mean of the patches that cover it."""
    height, width = hole.shape
    # Wexler's exp(-d / 2 sigma²), sigma² the 75th percentile of the distances: good patches decide.
    weights = np.exp(-distances / (2 * max(float(np.percentile(distances, 75)), 1.0)))
    sources = nearest[targets[:, 0], targets[:, 1]]
    total = np.zeros((height * width, 4))
    for row in range(-_HALF, _HALF + 1):
        for column in range(-_HALF, _HALF + 1):
            # Each patch votes for all of its 49 pixels; bincount adds up votes for the same pixel,
            # which an indexed `+=` would not.
            to = (targets[:, 0] + row) * width + targets[:, 1] + column
            colours = picture[sources[:, 0] + row, sources[:, 1] + column]
            for channel in range(3):
                total[:, channel] += np.bincount(
                    to, weights * colours[:, channel], minlength=height * width
                )
            total[:, 3] += np.bincount(to, weights, minlength=height * width)
    shares = total[:, 3].reshape(height, width, 1)
    mean = total[:, :3].reshape(height, width, 3) / np.maximum(shares, 1e-9)
    covered = hole[..., None] & (shares > 0)
    return np.where(covered, mean, picture).astype(np.float32)


def _copied(picture: Array, hole: Bool, nearest: Points, shape: tuple[int, int]) -> Array:
    """The full-size hole, each pixel copied from where its nearest patch lies."""
    rows, columns = np.nonzero(hole)
    scale = np.array(hole.shape) / np.array(shape)
    here = np.column_stack([rows, columns])
    cells = (here / scale).astype(np.int64).clip(0, np.array(shape) - 1)
    # Offsets of the finest level, not its colours: copied pixels keep the sharpness of the full
    # size.
    moves = (nearest[cells[:, 0], cells[:, 1]] - cells) * scale
    there = (here + moves).round().astype(np.int64).clip(0, np.array(hole.shape) - 1)
    # Rounding to a coarse cell may point into the hole itself; there the smooth filling stays.
    bad = hole[there[:, 0], there[:, 1]]
    result = picture.copy()
    colours = picture[there[:, 0], there[:, 1]]
    result[rows, columns] = np.where(bad[:, None], picture[rows, columns], colours)
    return result
