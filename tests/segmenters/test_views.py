"""Views of the objects of large frames."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotomask.segmenters.views import (
    MARGIN,
    STEP,
    Box,
    View,
    box_of,
    choose_view,
    is_well_inside,
    next_view,
)

SIZE = (1080, 1920)
AREA = 480 * 854


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    top, left = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
    height, width = draw(st.integers(1, SIZE[0] - top)), draw(st.integers(1, SIZE[1] - left))
    return Box(top, left, top + height, left + width)


@given(boxes())
def test_a_view_holds_the_box_in_the_frame_and_is_no_larger_than_allowed(box):
    view = choose_view(box, SIZE, AREA)
    if view is None:
        # No scale that is finer by a step has room for the box.
        sides = MARGIN * (box.bottom - box.top), MARGIN * (box.right - box.left)
        area = min(sides[0], SIZE[0]) * min(sides[1], SIZE[1])
        assert math.sqrt(AREA / area) <= STEP * math.sqrt(AREA / (SIZE[0] * SIZE[1])) + 0.01
        return
    assert view.top >= 0
    assert view.top + view.height <= SIZE[0]
    assert view.left >= 0
    assert view.left + view.width <= SIZE[1]
    assert view.top <= box.top
    assert view.top + view.height >= box.bottom
    assert view.left <= box.left
    assert view.left + view.width >= box.right
    height, width = view.working_size
    assert AREA / 3 < height * width <= 1.1 * AREA
    assert math.sqrt(AREA / (SIZE[0] * SIZE[1])) < view.scale <= 1


@given(boxes())
def test_a_view_stays_while_the_box_is_well_inside(box):
    view = choose_view(box, SIZE, AREA)
    if view is not None and is_well_inside(box, view, SIZE):
        assert next_view(view, box, SIZE, AREA) == view


def test_a_view_moves_when_the_box_comes_near_its_border():
    box = Box(400, 400, 700, 600)
    view = choose_view(box, SIZE, AREA)
    assert view is not None
    right = view.left + view.width
    near = Box(400, right - 210, 700, right - 10)
    moved = next_view(view, near, SIZE, AREA)
    assert moved is not None
    assert moved.scale == view.scale
    assert is_well_inside(near, moved, SIZE)


def test_a_box_that_grows_gets_a_coarser_view_and_one_that_shrinks_a_little_keeps_it():
    small = choose_view(Box(400, 800, 600, 1000), SIZE, AREA)
    large = next_view(small, Box(250, 560, 800, 1200), SIZE, AREA)
    assert small is not None
    assert large is not None
    assert large.scale < small.scale
    assert next_view(large, Box(275, 590, 775, 1170), SIZE, AREA) == large
    assert next_view(large, Box(400, 800, 600, 1000), SIZE, AREA) != large


@pytest.mark.parametrize("size", [(1080, 1920), (2160, 3840), (1920, 1080)])
def test_an_object_that_fills_the_frame_is_seen_whole(size):
    assert choose_view(Box(0, 0, *size), size, AREA) is None
    assert next_view(None, Box(0, 0, *size), size, AREA) is None


def test_the_box_of_a_mask():
    mask = np.zeros((20, 30), bool)
    assert box_of(mask) is None
    mask[4:7, 9:12] = True
    assert box_of(mask) == Box(4, 9, 7, 12)
    assert Box(0, 0, 2, 2).joined(None) == Box(0, 0, 2, 2)
    assert Box(0, 0, 2, 2).joined(Box(1, 1, 3, 5)) == Box(0, 0, 3, 5)
    assert Box(10, 10, 20, 20).moved_on_from(Box(8, 12, 18, 22)) == Box(12, 8, 22, 18)
    assert View(1, 2, 30, 40, 0.5).working_size == (15, 20)
