"""Prompts as maps of pixels, at the frame's size or at that of a view of it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.prompts.kinds import Box, Click, Painted, Point, Polygon, Prompt, RoughMask, Scribble

Canvas = npt.NDArray[np.uint8]
"""H×W, 0 or 255."""


@dataclass(frozen=True)
class View:
    """A rectangle of the frame, shown at another size."""

    left: int
    top: int
    right: int
    bottom: int
    """Edges in the frame, px; right and bottom are exclusive."""
    size: tuple[int, int]
    """Height and width at which it is shown."""

    @classmethod
    def whole(cls, size: tuple[int, int]) -> "View":
        """The frame as it is."""
        return cls(0, 0, size[1], size[0], size)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the view across and down for one of the frame."""
        height, width = self.size
        return width / (self.right - self.left), height / (self.bottom - self.top)

    def pixel(self, point: Point) -> tuple[int, int]:
        """Column and row of the view's pixel that shows the frame's pixel; maybe outside it."""
        across, down = self.scale
        # The middle of the frame's pixel, so that enlarging keeps it in the middle.
        x = (math.floor(point[0]) + 0.5 - self.left) * across
        y = (math.floor(point[1]) + 0.5 - self.top) * down
        return math.floor(x), math.floor(y)

    def crop(self, image: npt.NDArray[np.uint8], interpolation: int) -> npt.NDArray[np.uint8]:
        """This part of a picture or map of the frame's size, at the view's size."""
        inner = image[self.top : self.bottom, self.left : self.right]
        height, width = self.size
        if inner.shape[:2] == self.size:
            return np.ascontiguousarray(inner)
        shown = cv2.resize(
            np.ascontiguousarray(inner), (width, height), interpolation=interpolation
        )
        return shown.astype(np.uint8, copy=False)


def draw_prompt(canvas: Canvas, prompt: Prompt, view: View, click_radius_px: int = 0) -> None:
    """Draw a prompt in white, in place.

    Args:
        canvas: H×W of the view's size.
        prompt: What to draw; its sign is the caller's business.
        view: Where the canvas lies in the frame.
        click_radius_px: Radius of a click's disk, in pixels of the view.
    """
    if isinstance(prompt, Click):
        cv2.circle(canvas, view.pixel((prompt.x, prompt.y)), click_radius_px, (255,), -1)
    elif isinstance(prompt, Box):
        _draw_box(canvas, prompt, view)
    elif isinstance(prompt, Scribble):
        width = max(1, round(prompt.width_px * sum(view.scale) / 2))
        _draw_stroke(canvas, [view.pixel(point) for point in prompt.points], width)
    elif isinstance(prompt, Polygon):
        _draw_polygon(canvas, prompt, view)
    else:
        _draw_mask(canvas, prompt, view)


def draw_all(
    prompts: Iterable[Prompt], view: View, click_radius_px: int = 0
) -> npt.NDArray[np.uint8]:
    """A canvas of the view's size with all these prompts in white."""
    canvas = np.zeros(view.size, np.uint8)
    for prompt in prompts:
        draw_prompt(canvas, prompt, view, click_radius_px)
    return canvas


def _draw_box(canvas: Canvas, box: Box, view: View) -> None:
    across, down = view.scale
    left, top, right, bottom = box.corners
    columns = round((left - view.left) * across), round((right - view.left) * across)
    rows = round((top - view.top) * down), round((bottom - view.top) * down)
    # However small, a box keeps a pixel; what lies outside the view is cut off.
    canvas[
        max(0, rows[0]) : max(0, rows[1], rows[0] + 1),
        max(0, columns[0]) : max(0, columns[1], columns[0] + 1),
    ] = 255


def _draw_stroke(canvas: Canvas, pixels: list[tuple[int, int]], width: int) -> None:
    if len(pixels) == 1:
        cv2.circle(canvas, pixels[0], width // 2, (255,), -1)
    else:
        cv2.polylines(canvas, [np.array(pixels, np.int32)], False, (255,), width)


def _draw_polygon(canvas: Canvas, polygon: Polygon, view: View) -> None:
    across, down = view.scale
    corners = np.array(polygon.points) - (view.left, view.top)
    # Corners lie between pixels: a pixel is inside if its middle is.
    pixels = np.floor(corners * (across, down)).astype(np.int32)
    cv2.fillPoly(canvas, [pixels], (255,))


def _draw_mask(canvas: Canvas, prompt: Painted | RoughMask, view: View) -> None:
    marked = prompt.mask.astype(np.uint8) * 255
    shown = view.crop(marked, cv2.INTER_AREA)
    # A thin stroke survives reduction only if any touched pixel counts; a mask would grow by it.
    least = 0 if isinstance(prompt, Painted) else 127
    np.maximum(canvas, np.where(shown > least, 255, 0).astype(np.uint8), out=canvas)
