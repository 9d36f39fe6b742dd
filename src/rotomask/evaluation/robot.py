"""Simulated user for evaluation: clicks and strokes where a mask is most wrong.

Clicks are placed as by Sofiiuk et al. 2021 (RITM) for the number-of-clicks measure. Strokes are
drawn as by the robot of the DAVIS interactive challenge (Caelles et al. 2018), written from its
description, with a thinning that has no random ties.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.evaluation.skeleton import longest_paths, smooth_path, thin_region
from rotomask.prompts.kinds import Click, Scribble
from rotomask.prompts.regions import BoolMask, disk, interior_distance

OPENING = 0.2
"""Radius of the opening before thinning, as a fraction of half the square root of the region's
area."""
MOST_OPENING_PX = 16
"""Maximum of that radius."""
LEAST_PATH_PX = 4
"""Minimum length of a skeleton's path that becomes a stroke, px."""

BESIDE_OUTLINE_PX = 3
"""Distance from the right part of a mask within which `StrokeRobot` draws no stroke, px."""
THIN, MOST_STROKE_PX = 8, 4.0
"""Minimum length, in widths, and maximum width of a region that `StrokeRobot` draws a stroke
along."""
CLICKS_FIRST = 3
"""Clicks that come before strokes: clicks mark the body that thin parts belong to."""


class ClickRobot:
    """Simulated clicks on one frame, each in the middle of the largest error.

    Args:
        truth: The object, H×W bool.
        void: Unlabelled pixels, which are never clicked; None: none.
        object_id: Object id of the clicks.
    """

    def __init__(self, truth: BoolMask, void: BoolMask | None = None, object_id: int = 1) -> None:
        self.truth, self.void, self.object_id = truth, void, object_id
        self._clicked = np.zeros(truth.shape, bool)

    def prompt(self, predicted: BoolMask) -> Click | Scribble | None:
        """Next prompt for a prediction, H×W bool; None if no pixel is wrong."""
        return self.click(predicted)

    def click(self, predicted: BoolMask) -> Click | None:
        """Next click for a prediction, H×W bool; None if no pixel is wrong."""
        click = error_click(self.truth, predicted, self.void, self._clicked, self.object_id)
        if click is not None:
            self._clicked[int(click.y), int(click.x)] = True
        return click


def error_click(
    truth: BoolMask,
    predicted: BoolMask,
    void: BoolMask | None = None,
    clicked: BoolMask | None = None,
    object_id: int = 1,
) -> Click | None:
    """Click on the pixel deepest inside the missed or the superfluous pixels.

    The image border bounds both regions. If both are equally deep the click is negative; of several
    pixels of equal depth the first in row order is clicked. RITM's evaluation does the same.

    Args:
        truth: The object, H×W bool.
        predicted: Current mask, H×W bool.
        void: Unlabelled pixels, in neither region; None: none.
        clicked: Pixels clicked before, which are not clicked again; None: none.
        object_id: Object id of the click.

    Returns:
        The click; None if no pixel is wrong, or only pixels clicked before.
    """
    # H×W bool; an unlabelled pixel may be right or wrong, so a user would not correct it.
    valid = np.ones_like(truth) if void is None else ~void
    missed = interior_distance(truth & ~predicted & valid)
    extra = interior_distance(~truth & predicted & valid)
    if clicked is not None:  # after the distances: a click must not move the middle of a region
        missed, extra = missed * ~clicked, extra * ~clicked
    positive = bool(missed.max() > extra.max())
    distance: npt.NDArray[np.float32] = missed if positive else extra
    if distance.max() <= 0:
        return None
    y, x = divmod(int(distance.argmax()), truth.shape[1])
    return Click(x, y, positive, object_id)


class StrokeRobot(ClickRobot):
    """Simulated clicks, and brush strokes along what is long and thin, such as ropes and wires.

    Pixels beside the outline are left to clicks: nobody traces an outline that is a little off.

    Args:
        truth: The object, H×W bool.
        void: Unlabelled pixels; None: none.
        object_id: Object id of the prompts.
    """

    def prompt(self, predicted: BoolMask) -> Click | Scribble | None:
        """Next click or stroke for a prediction, H×W bool; None if no pixel is wrong."""
        if self._clicked.sum() < CLICKS_FIRST:
            return self.click(predicted)
        wrong, positive = largest_error(self.truth, predicted, self.void)
        if wrong is not None and (stroke := thin_stroke(wrong)) is not None:
            points, width = stroke
            return Scribble(points, positive, self.object_id, width, exact=True)
        return self.click(predicted)


def largest_error(
    truth: BoolMask, predicted: BoolMask, void: BoolMask | None = None
) -> tuple[BoolMask | None, bool]:
    """The largest connected region of wrong pixels that is not beside the outline.

    Args:
        truth: The object, H×W bool.
        predicted: Current mask, H×W bool.
        void: Unlabelled pixels, which are not wrong; None: none.

    Returns:
        The region, H×W bool, and True if it is missed, False if it is superfluous; None and False
        if there is none.
    """
    known = np.ones_like(truth) if void is None else ~void
    beside = np.ones((2 * BESIDE_OUTLINE_PX + 1,) * 2, np.uint8)
    largest, region, is_missed = 0, None, False
    for one, other, positive in ((truth, predicted, True), (predicted, truth, False)):
        near = cv2.dilate(other.astype(np.uint8), beside) > 0
        wrong = (one & ~near & known).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(wrong, connectivity=8)
        for k in range(1, count):
            if stats[k, cv2.CC_STAT_AREA] > largest:
                largest, region = int(stats[k, cv2.CC_STAT_AREA]), np.asarray(parts == k)
                is_missed = positive
    return region, is_missed


def thin_stroke(region: BoolMask) -> tuple[tuple[tuple[float, float], ...], float] | None:
    """Points (x, y) along a connected region and its width, px; None if it is not long and thin."""
    path = max(longest_paths(thin_region(region), LEAST_PATH_PX), key=len, default=None)
    if path is None:
        return None
    depth = interior_distance(region)
    # A pixel in the middle of a line of w pixels is (w + 1) / 2 from the nearest one outside.
    width = 2 * float(np.mean([depth[y, x] for x, y in path])) - 1
    if width > MOST_STROKE_PX or len(path) < THIN * width:
        return None
    return tuple((float(x), float(y)) for x, y in path), max(1.0, width)


def error_strokes(
    truth: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    object_ids: Iterable[int],
    *,
    width_px: float = 3.0,
) -> list[Scribble]:
    """Strokes along the skeletons of the missed pixels of each object and of the background.

    Args:
        truth: Labels H×W.
        predicted: Labels H×W.
        object_ids: Ids of the video's objects.
        width_px: Width of the strokes.

    Returns:
        Positive strokes where an object is missed, and negative strokes where it covers
        background. Empty if every wrong region is too thin for a stroke.
    """
    ids = tuple(object_ids)
    strokes = []
    for object_id in ids:
        missed = (truth == object_id) & (predicted != object_id)
        strokes += [Scribble(s, True, object_id, width_px) for s in region_strokes(missed)]
    for object_id in ids:  # one object's pixels at a time: a stroke has one id
        extra = (truth == 0) & (predicted == object_id)
        strokes += [Scribble(s, False, object_id, width_px) for s in region_strokes(extra)]
    return strokes


def region_strokes(region: BoolMask) -> list[tuple[tuple[float, float], ...]]:
    """Stroke along the skeleton of each component of a region, as points (x, y); may be empty."""
    if not region.any():
        return []
    skeleton = thin_region(_open_region(region))
    height, width = region.shape
    strokes = []
    for path in longest_paths(skeleton, LEAST_PATH_PX):
        curve = smooth_path(path)
        # Not np.round, which takes halves to the even pixel and would bend straight lines.
        pixels = np.clip(np.floor(curve + 0.5), 0, (width - 1, height - 1))
        # The curve has a thousand samples, many of them on the same pixel: keep one per pixel.
        changes = np.any(pixels[1:] != pixels[:-1], axis=1)
        distinct = pixels[np.concatenate([[True], changes])]
        strokes.append(tuple((float(x), float(y)) for x, y in distinct))
    return strokes


def _open_region(region: BoolMask) -> BoolMask:
    """Region without parts that are thin for its size; unchanged if nothing else is left.

    Thin parts would give the skeleton side branches. The radius shrinks until something is left.
    """
    # √area is the side of a square of that area: half of it is about the region's own radius.
    radius = min(OPENING * np.sqrt(region.sum()) / 2, MOST_OPENING_PX)
    canvas = region.astype(np.uint8)
    while radius > 1:
        opened = cv2.morphologyEx(canvas, cv2.MORPH_OPEN, disk(int(radius)))
        if opened.any():
            return np.asarray(opened > 0)
        radius *= 0.9
    return region
