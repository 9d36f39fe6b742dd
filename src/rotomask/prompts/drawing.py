"""Drawing of prompts as binary maps, at the size of the frame or of a view of it."""

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
    """Rectangle of the frame, resized."""

    left: int
    top: int
    right: int
    bottom: int
    """Edges in the frame, px; right and bottom are exclusive."""
    size: tuple[int, int]
    """Height and width of the resized rectangle, px."""

    @classmethod
    def whole(cls, size: tuple[int, int]) -> "View":
        """View of the whole frame at its own size."""
        return cls(0, 0, size[1], size[0], size)

    @property
    def scale(self) -> tuple[float, float]:
        """Scale factors across and down: view pixels per frame pixel."""
        height, width = self.size
        return width / (self.right - self.left), height / (self.bottom - self.top)

    def pixel(self, point: Point) -> tuple[int, int]:
        """Column and row of the view's pixel that shows a frame's point; may lie outside it."""
        across, down = self.scale
        # Use the centre of the frame's pixel: in an enlarged view its corner would be off-centre.
        x = (math.floor(point[0]) + 0.5 - self.left) * across
        y = (math.floor(point[1]) + 0.5 - self.top) * down
        return math.floor(x), math.floor(y)

    def crop(self, image: npt.NDArray[np.uint8], interpolation: int) -> npt.NDArray[np.uint8]:
        """Crop of an image or map of the frame's size, resized to the view's size."""
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
        canvas: Map to draw on, H×W of the view's size.
        prompt: Prompt to draw; positive and negative ones look the same.
        view: Position of the canvas in the frame.
        click_radius_px: Radius of a click's disk, in pixels of the view.
    """
    if isinstance(prompt, Click):
        cv2.circle(canvas, view.pixel((prompt.x, prompt.y)), click_radius_px, (255,), -1)
    elif isinstance(prompt, Box):
        _draw_box(canvas, prompt, view)
    elif isinstance(prompt, Scribble):
        width = max(1, round(prompt.width_px * sum(view.scale) / 2))
        pixels = [view.pixel(point) for point in prompt.points]
        if prompt.exact:
            _draw_brush(canvas, pixels, width)
        else:
            _draw_stroke(canvas, pixels, width)
    elif isinstance(prompt, Polygon):
        _draw_polygon(canvas, prompt, view)
    else:
        _draw_mask(canvas, prompt, view)


def draw_all(
    prompts: Iterable[Prompt], view: View, click_radius_px: int = 0
) -> npt.NDArray[np.uint8]:
    """Canvas of the view's size, H×W, with the prompts in white."""
    canvas = np.zeros(view.size, np.uint8)
    for prompt in prompts:
        draw_prompt(canvas, prompt, view, click_radius_px)
    return canvas


def _draw_box(canvas: Canvas, box: Box, view: View) -> None:
    across, down = view.scale
    left, top, right, bottom = box.corners
    columns = round((left - view.left) * across), round((right - view.left) * across)
    rows = round((top - view.top) * down), round((bottom - view.top) * down)
    # At least one pixel, however small the box; parts outside the view are cut off.
    canvas[
        max(0, rows[0]) : max(0, rows[1], rows[0] + 1),
        max(0, columns[0]) : max(0, columns[1], columns[0] + 1),
    ] = 255


def _draw_stroke(canvas: Canvas, pixels: list[tuple[int, int]], width: int) -> None:
    if len(pixels) == 1:
        cv2.circle(canvas, pixels[0], width // 2, (255,), -1)
    else:
        cv2.polylines(canvas, [np.array(pixels, np.int32)], False, (255,), width)


def _draw_brush(canvas: Canvas, pixels: list[tuple[int, int]], width: int) -> None:
    """Draw a stroke of this width; OpenCV's lines are thicker where their points are many."""
    line = np.zeros_like(canvas)
    cv2.polylines(line, [np.array(pixels, np.int32)], False, (255,), 1)
    # Pixels of the tip, whose centres are within half the width of its middle.
    offsets = np.arange(width) - (width - 1) / 2
    tip = np.hypot(offsets[:, None], offsets) <= width / 2
    np.maximum(canvas, cv2.dilate(line, tip.astype(np.uint8)), out=canvas)


def _draw_polygon(canvas: Canvas, polygon: Polygon, view: View) -> None:
    across, down = view.scale
    corners = np.array(polygon.points) - (view.left, view.top)
    # Corners are positions between pixels; flooring gives the pixels that contain them.
    pixels = np.floor(corners * (across, down)).astype(np.int32)
    cv2.fillPoly(canvas, [pixels], (255,))


def _draw_mask(canvas: Canvas, prompt: Painted | RoughMask, view: View) -> None:
    marked = prompt.mask.astype(np.uint8) * 255
    shown = view.crop(marked, cv2.INTER_AREA)
    # A stroke marks every view pixel that it touches, else a thin one would vanish in a reduced
    # view. A mask marks those it covers by half, else it would grow.
    least = 0 if isinstance(prompt, Painted) else 127
    np.maximum(canvas, np.where(shown > least, 255, 0).astype(np.uint8), out=canvas)
