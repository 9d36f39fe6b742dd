"""Marker without a network: GrabCut, from colours and edges.

In paper 4 (one-shot segmentation with an appearance network and a detector's boxes) users mark the
first frame with "a few quick scribbles" and "a variant of the grab-cut algorithm" that the paper
does not name. Ours segments a reduced window around the prompts and smooths the outline along the
edges of the image. Rother et al. 2004 (GrabCut); He et al. 2010 (guided filter).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.prompts.drawing import View, draw_all
from rotomask.prompts.kinds import Box, Prompt, RoughMask, is_positive, is_stroke
from rotomask.prompts.marker import CERTAIN, Marker, Probability

BoolMask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]
"""H×W."""
Trimap = npt.NDArray[np.uint8]
"""Labels of GrabCut, H×W: sure background, sure object, probable background, probable object."""


@dataclass(frozen=True, kw_only=True)
class GrabCutConfig:
    """Settings of GrabCut."""

    long_side: int = 240
    """Long side to which the window is reduced, px. At full size GrabCut takes seconds and is no
    better."""
    iterations: int = 3
    """Number of rounds of fitting the colours and cutting the graph."""
    margin: float = 1.75
    """Side of the window as a multiple of that of the prompts' box."""
    padding_px: int = 30
    """Padding of the window on each side, in addition to `margin`."""
    least: float = 0.4
    """Minimum side of the window, as a fraction of the frame's long side: a click alone does not
    tell the object's size."""
    near: float = 0.15
    """Margin around the strokes' box that is probably object, as a fraction of the box's sides."""
    near_least: float = 0.1
    """Minimum of that margin as a fraction of the window's long side: the box of a click is a
    point."""
    click_radius_px: int = 3
    """Radius of a click's disk in the reduced window."""
    smoothing_radius: int = 6
    """Radius of the guided filter that smooths the outline, frame px; 0: none."""

    def __post_init__(self) -> None:
        if self.long_side < 32 or self.iterations < 1:
            raise OptionError(
                "GrabCut needs a long side of at least 32 px and an iteration, got "
                f"{self.long_side} and {self.iterations}"
            )


class GrabCutMarker(Marker):
    """Marks objects by GrabCut."""

    def __init__(self, config: GrabCutConfig | None = None) -> None:
        super().__init__()
        self.config = config or GrabCutConfig()

    def object_probability(self, prompts: tuple[Prompt, ...]) -> Probability:
        """Foreground probability of one object; see `Marker`."""
        view = self._window(prompts)
        image = np.asarray(view.crop(self.frame, cv2.INTER_AREA), np.uint8)
        trimap = self._trimap(prompts, view)
        sure_object = trimap == cv2.GC_FGD
        cut = grab_cut(image, trimap, self.config.iterations)
        cut = _tidy(cut, prompts, view, self.config.click_radius_px) | sure_object
        return self._enlarge(cut, view)

    def _window(self, prompts: Sequence[Prompt]) -> View:
        """Window that is segmented: the surroundings of the prompts."""
        height, width = self.frame.shape[:2]
        positive = [p for p in prompts if is_positive(p)]
        ys, xs = np.nonzero(draw_all(positive, View.whole((height, width))))
        low = np.array([xs.min(), ys.min()], float)
        high = np.array([xs.max(), ys.max()], float) + 1
        side = (high - low) * self.config.margin + 2 * self.config.padding_px
        side = np.maximum(side, self.config.least * max(height, width))
        left, top = np.maximum(0, np.floor((low + high - side) / 2)).astype(int).tolist()
        end = np.ceil((low + high + side) / 2).astype(int)
        right, bottom = np.minimum(end, (width, height)).tolist()
        # Never enlarged: GrabCut's time grows with the pixels, and colours do not get better.
        factor = min(1.0, self.config.long_side / max(right - left, bottom - top))
        size = (max(1, round((bottom - top) * factor)), max(1, round((right - left) * factor)))
        return View(left, top, right, bottom, size)

    def _trimap(self, prompts: Sequence[Prompt], view: View) -> Trimap:
        """Labels of the reduced window with which GrabCut starts."""
        boxes = [p for p in prompts if isinstance(p, Box)]
        masks = [p for p in prompts if isinstance(p, RoughMask)]
        strokes = [p for p in prompts if is_stroke(p)]
        trimap = np.full(view.size, cv2.GC_PR_BGD, np.uint8)
        radius = self.config.click_radius_px
        if masks:
            trimap[draw_all(masks, view) > 0] = cv2.GC_PR_FGD
        elif boxes:
            trimap[draw_all(boxes, view) > 0] = cv2.GC_PR_FGD
        else:
            on_object = [p for p in strokes if is_positive(p)]
            least = round(self.config.near_least * max(view.size))
            drawn = draw_all(on_object, view, radius) > 0
            trimap[_box_around(drawn, self.config.near, least)] = cv2.GC_PR_FGD
        if boxes:  # the object lies inside its box
            trimap[draw_all(boxes, view) == 0] = cv2.GC_BGD
        _bound_window(trimap, view, self.frame.shape[:2])
        for prompt in strokes:  # in the order given: where strokes overlap, later ones count
            sure = cv2.GC_FGD if is_positive(prompt) else cv2.GC_BGD
            trimap[draw_all([prompt], view, radius) > 0] = sure
        return trimap

    def _enlarge(self, cut: BoolMask, view: View) -> Probability:
        """Probability at the frame's size from the reduced mask, smoothed along the edges."""
        height, width = view.bottom - view.top, view.right - view.left
        soft: Values = cv2.resize(
            cut.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        ).astype(np.float32, copy=False)
        inner = self.frame[view.top : view.bottom, view.left : view.right]
        if self.config.smoothing_radius > 0:
            grey = cv2.cvtColor(inner, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
            soft = guided_filter(grey, soft, self.config.smoothing_radius)
        probability = np.full(self.frame.shape[:2], 1 - CERTAIN, np.float32)
        probability[view.top : view.bottom, view.left : view.right] = np.clip(
            soft, 1 - CERTAIN, CERTAIN
        )
        return probability


def grab_cut(image: Frame, trimap: Trimap, iterations: int) -> BoolMask:
    """Mask of the object by GrabCut, H×W; the sure object where it cannot run.

    It needs both possible object and possible background (OpenCV asserts that), and enough colours
    in each for a mixture of Gaussians.

    Args:
        image: H×W×3 uint8 RGB.
        trimap: H×W of OpenCV's GC_ labels; not changed.
        iterations: Number of rounds.
    """
    sure = np.asarray(trimap == cv2.GC_FGD)
    # Without background left there is nothing to decide.
    possible = (trimap == cv2.GC_FGD) | (trimap == cv2.GC_PR_FGD)
    if not possible.any() or possible.all():
        return sure if not possible.any() else np.asarray(possible)
    # The first clustering draws from OpenCV's global generator; seeded, equal prompts give equal
    # masks.
    cv2.setRNGSeed(0)
    labels = trimap.copy()
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(image[..., ::-1])
    try:
        cv2.grabCut(
            bgr,
            labels,
            None,
            background,
            foreground,
            iterations,
            cv2.GC_INIT_WITH_MASK,  # type: ignore[call-overload]
        )
    except cv2.error:
        return sure
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def guided_filter(guide: Values, values: Values, radius: int, epsilon: float = 1e-4) -> Values:
    """Values smoothed where the guide is smooth, with edges where it has edges.

    He et al. 2010, eq. 5 to 8: in each window the values are fitted by a·guide + b in least
    squares; a pixel gets the mean over the windows that contain it.

    Args:
        guide: H×W, 0 to 1.
        values: H×W.
        radius: Radius of the windows, whose sides are 2·radius + 1 px.
        epsilon: Variance of the guide below which it counts as smooth.
    """
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(x: Values) -> Values:
        return cv2.blur(x, side).astype(np.float32, copy=False)

    mean_guide, mean_values = mean(guide), mean(values)
    # E[xy] - E[x] E[y]: three box filters rather than a window for each pixel.
    covariance = mean(guide * values) - mean_guide * mean_values
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope: Values = (covariance / (variance + epsilon)).astype(np.float32)
    offset = mean_values - slope * mean_guide
    smooth: Values = mean(slope) * guide + mean(offset)
    return smooth


def _bound_window(trimap: Trimap, view: View, frame: tuple[int, ...]) -> None:
    """Mark the window's border as sure background in place, except where it is the frame's."""
    if view.top > 0:
        trimap[0] = cv2.GC_BGD
    if view.left > 0:
        trimap[:, 0] = cv2.GC_BGD
    if view.bottom < frame[0]:
        trimap[-1] = cv2.GC_BGD
    if view.right < frame[1]:
        trimap[:, -1] = cv2.GC_BGD


def _box_around(strokes: BoolMask, reach: float, least: int) -> tuple[slice, slice]:
    """Rows and columns of the strokes' box, grown by `reach` of its sides, at least `least` px."""
    ys, xs = np.nonzero(strokes)
    if len(ys) == 0:
        return slice(0, 0), slice(0, 0)
    extra_y = max(least, round(reach * (ys.max() - ys.min() + 1)))
    extra_x = max(least, round(reach * (xs.max() - xs.min() + 1)))
    rows = slice(max(0, int(ys.min()) - extra_y), int(ys.max()) + 1 + extra_y)
    return rows, slice(max(0, int(xs.min()) - extra_x), int(xs.max()) + 1 + extra_x)


def _tidy(cut: BoolMask, prompts: Sequence[Prompt], view: View, radius: int) -> BoolMask:
    """Mask without specks, without components that no positive stroke touches, and without holes.

    A hole that a negative stroke touches stays; without positive strokes all components stay.
    """
    smooth = np.asarray(cv2.medianBlur(cut.astype(np.uint8), 3))
    strokes = [p for p in prompts if is_stroke(p)]
    on_object = draw_all([p for p in strokes if is_positive(p)], view, radius) > 0
    if on_object.any():
        _, components = cv2.connectedComponents(smooth)
        touched = np.unique(components[on_object & (smooth > 0)])
        smooth = np.isin(components, touched[touched > 0]).astype(np.uint8)
    off_object = draw_all([p for p in strokes if not is_positive(p)], view, radius) > 0
    # 4-connected, as the object is 8-connected: a diagonal line of the object closes a hole.
    count, holes = cv2.connectedComponents(1 - smooth, connectivity=4)
    # What reaches the border is the outside, not a hole.
    border = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    open_ones = {*np.unique(border).tolist(), *np.unique(holes[off_object]).tolist(), 0}
    closed = [k for k in range(1, count) if k not in open_ones]
    return np.asarray((smooth > 0) | np.isin(holes, closed))
