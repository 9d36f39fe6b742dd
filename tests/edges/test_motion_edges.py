"""Edges of motion: a square that moves over a still ground, seen by true and by estimated flow."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rotomask.edges.motion_edges import flow_channels, flow_gradient, merge_edges, motion_edges
from rotomask.errors import ShapeError
from rotomask.flow.camera import camera_flow
from rotomask.flow.optical_flow import DISFlow

SIZE = (120, 160)
BOX = (40, 80, 50, 110)  # top, bottom, left, right


def _inside() -> np.ndarray:
    inside = np.zeros(SIZE, bool)
    top, bottom, left, right = BOX
    inside[top:bottom, left:right] = True
    return inside


def _distance_to_outline() -> np.ndarray:
    inside = _inside().astype(np.uint8)
    return np.where(
        inside, *(cv2.distanceTransform(m, cv2.DIST_L2, 5) for m in (inside, 1 - inside))
    )


def _flow(x: float, y: float) -> np.ndarray:
    return np.asarray(_inside()[..., None] * np.array([x, y]), np.float32)


def _frames(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """A textured square on another texture, before and after it moved to the right."""
    rng = np.random.default_rng(0)
    ground, square = (
        cv2.GaussianBlur(rng.integers(0, 256, (*SIZE, 3), np.uint8), (0, 0), 1.5) for _ in range(2)
    )
    top, bottom, left, right = BOX
    frames = []
    for x in (0, shift):
        frame = ground.copy()
        frame[top:bottom, left + x : right + x] = square[top:bottom, left:right]
        frames.append(frame)
    return frames[0], frames[1]


def test_motion_edges_lie_on_the_outline_of_what_moves():
    edges = motion_edges(_flow(5, -3))
    away = _distance_to_outline()
    assert edges[away <= 1].min() > 0.5
    assert edges[away > 6].max() < 0.01


def test_motion_edges_from_frames_lie_near_the_outline():
    edges = motion_edges(DISFlow().estimate(*_frames(6)))
    away = _distance_to_outline()
    assert edges[away > 14].sum() < 0.15 * edges.sum()
    assert edges.max() > 0.9


def test_without_motion_there_are_no_edges():
    assert motion_edges(np.zeros((*SIZE, 2), np.float32)).max() < 1e-6
    frame = _frames(0)[0]
    assert motion_edges(DISFlow().estimate(frame, frame)).max() < 0.05


@settings(max_examples=15)
@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(0.97, 1.03))
def test_the_cameras_motion_has_no_edges_and_changes_no_channel(x, y, zoom):
    camera = np.array([[zoom, 0, x], [0, zoom, y], [0, 0, 1.0]])
    moved = camera_flow(camera, SIZE)
    assert motion_edges(moved).max() < 0.05
    np.testing.assert_allclose(flow_channels(moved), 0, atol=0.05)
    both = flow_channels(moved + _flow(9, 0))
    np.testing.assert_allclose(both[60, 80], [1, 0, 1], atol=0.1)


def test_the_foreground_masks_edges_but_for_a_rim_around_it():
    left = np.zeros(SIZE, np.float32)
    left[:, :60] = 1
    edges, all_edges = motion_edges(_flow(5, 0), left), motion_edges(_flow(5, 0))
    np.testing.assert_array_equal(edges[:, :60], all_edges[:, :60])
    assert edges[:, 64:].max() == 0
    assert all_edges[:, 64:].max() > 0.9


def test_the_gradient_of_a_linear_flow_is_its_slope():
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float32)
    gradient = flow_gradient(np.stack([0.3 * x, 0.4 * y], -1))
    np.testing.assert_allclose(gradient[8:-8, 8:-8], 0.5, rtol=1e-4)


@given(
    arrays.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32)),
    arrays.arrays(np.float32, (4, 5), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
)
def test_merged_edges_lie_between_both_kinds(appearance, motion, weight):
    merged = merge_edges(appearance, motion, weight)
    assert (merged >= np.minimum(appearance, motion) - 1e-6).all()
    assert (merged <= np.maximum(appearance, motion) + 1e-6).all()
    np.testing.assert_allclose(merge_edges(motion, appearance, 1 - weight), merged, atol=1e-6)
    np.testing.assert_array_equal(merge_edges(appearance, motion, 0), appearance)


def test_what_both_see_is_stronger_than_what_one_sees():
    appearance, motion = np.array([[[0.9, 0.9, 0.0]], [[0.9, 0.0, 0.9]]], np.float32)
    both, still, moving = merge_edges(appearance, motion)[0]
    assert both > still > moving > 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="H×W×2"):
        motion_edges(np.zeros((4, 5, 3), np.float32))
    with pytest.raises(ShapeError, match="flow's size"):
        motion_edges(np.zeros((4, 5, 2), np.float32), np.zeros((5, 5), np.float32))
    with pytest.raises(ShapeError, match="differ in size"):
        merge_edges(np.zeros((4, 5), np.float32), np.zeros((5, 5), np.float32))
