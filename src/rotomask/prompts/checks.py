"""Checks of prompts: outside the frame, contradictory, without area."""

import math
from collections.abc import Sequence

from rotomask.errors import PromptError
from rotomask.masks import LARGEST_ID
from rotomask.prompts.kinds import (
    Box,
    Click,
    Painted,
    Point,
    Polygon,
    Prompt,
    RoughMask,
    Scribble,
    is_positive,
)


def check_prompts(prompts: Sequence[Prompt], size: tuple[int, int]) -> None:
    """Check that a mask can be made from the prompts of one frame.

    Args:
        prompts: Prompts of one frame, in any order.
        size: Height and width of the frame.

    Raises:
        PromptError: If there is none, one lies outside the frame or has no area, two contradict
            each other, or an object has negative prompts alone.
    """
    if not prompts:
        raise PromptError("no prompt is given; mark the object by a point, a box or a scribble")
    for prompt in prompts:
        check_prompt(prompt, size)
    _check_contradictions(prompts)
    for object_id in sorted({prompt.object_id for prompt in prompts}):
        if not any(is_positive(p) for p in prompts if p.object_id == object_id):
            raise PromptError(
                f"object {object_id} has only negative prompts; add a point or a box on it"
            )


def check_prompt(prompt: Prompt, size: tuple[int, int]) -> None:
    """Check one prompt against the height and width of its frame.

    Raises:
        PromptError: If it lies outside the frame or has no area; the message says where it lies.
    """
    if not 1 <= prompt.object_id <= LARGEST_ID:
        raise PromptError(f"an object's number is 1 to {LARGEST_ID}, got {prompt.object_id}")
    if isinstance(prompt, Click):
        _check_inside((prompt.x, prompt.y), size, "the point")
    elif isinstance(prompt, Box):
        _check_box(prompt, size)
    elif isinstance(prompt, Scribble):
        if not prompt.points:
            raise PromptError("a scribble has no points; give at least one")
        for point in prompt.points:
            _check_inside(point, size, "the scribble's point")
        if not prompt.width_px > 0:
            raise PromptError(f"a scribble's width must be above 0 px, got {prompt.width_px:g}")
    elif isinstance(prompt, Polygon):
        _check_polygon(prompt, size)
    else:
        _check_mask(prompt, size)


def _check_inside(point: Point, size: tuple[int, int], what: str) -> None:
    height, width = size
    x, y = point
    if not (0 <= x < width and 0 <= y < height):  # also False for NaN
        raise PromptError(
            f"{what} {x:g},{y:g} is outside the frame, which is {width}x{height}; give 0 to "
            f"{width - 1} across and 0 to {height - 1} down"
        )


def _check_box(box: Box, size: tuple[int, int]) -> None:
    height, width = size
    text = f"the box {box.x:g},{box.y:g},{box.width:g},{box.height:g}"
    if not (box.width > 0 and box.height > 0):
        raise PromptError(f"{text} has no area; give x,y,width,height with both sides above 0")
    left, top, right, bottom = box.corners
    # Corners are edges of pixels here: a box may end at the width itself, a click may not.
    if not (left >= 0 and top >= 0 and right <= width and bottom <= height):
        raise PromptError(
            f"{text} reaches from {left:g},{top:g} to {right:g},{bottom:g}, outside the frame, "
            f"which is {width}x{height}"
        )


def _check_polygon(polygon: Polygon, size: tuple[int, int]) -> None:
    height, width = size
    if len(polygon.points) < 3:
        raise PromptError(f"a polygon needs 3 corners or more, got {len(polygon.points)}")
    for x, y in polygon.points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise PromptError(
                f"the polygon's corner {x:g},{y:g} is outside the frame, which is {width}x{height}"
            )
    if polygon_area(polygon.points) == 0:
        raise PromptError("a polygon has no area: its corners lie on one line")


def polygon_area(points: Sequence[Point]) -> float:
    """Area of a polygon, px² (the shoelace formula)."""
    # Each corner with the next, the last with the first: A = |Σ (x_i · y_i+1 - y_i · x_i+1)| / 2.
    following = (*points[1:], points[0])
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True))) / 2


def _check_mask(prompt: Painted | RoughMask, size: tuple[int, int]) -> None:
    what = "strokes" if isinstance(prompt, Painted) else "a rough mask"
    if prompt.mask.ndim != 2 or prompt.mask.dtype != bool:
        raise PromptError(f"{what} must be H×W bool, got {prompt.mask.shape} {prompt.mask.dtype}")
    height, width = prompt.mask.shape
    if (height, width) != size:
        raise PromptError(
            f"{what} of {width}x{height} cannot be for a frame of {size[1]}x{size[0]}; give them "
            "at the frame's size"
        )
    if not prompt.mask.any():
        raise PromptError(f"{what} of object {prompt.object_id}: no pixel is marked")


def _check_contradictions(prompts: Sequence[Prompt]) -> None:
    """Check that no pixel is clicked both on and off an object, or on two objects."""
    before: dict[tuple[int, int], Click] = {}
    for click in (p for p in prompts if isinstance(p, Click)):
        # Clicks may lie between pixels; two contradict each other if they hit the same one.
        pixel = (math.floor(click.x), math.floor(click.y))
        # The first click on a pixel; for that click it is the click itself, which contradicts
        # nothing.
        other = before.setdefault(pixel, click)
        if other.object_id == click.object_id and other.positive != click.positive:
            raise PromptError(
                f"the points at {pixel[0]},{pixel[1]} contradict each other: one is on object "
                f"{click.object_id}, one is not; leave one out"
            )
        if other.object_id != click.object_id and other.positive and click.positive:
            raise PromptError(
                f"the point {pixel[0]},{pixel[1]} is given to objects {other.object_id} and "
                f"{click.object_id}; leave one out"
            )
