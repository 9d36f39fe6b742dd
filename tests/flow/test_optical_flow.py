"""Flow and camera motion against motions that are known exactly."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rotomask.errors import ShapeError
from rotomask.flow.camera import camera_flow, camera_motion, stabilise
from rotomask.flow.optical_flow import DISFlow, consistent, flow_colours, warp_back


def _texture(seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.5).astype(np.uint8)


def _shifted(image: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)


@pytest.mark.parametrize("shift", [(3.0, -2.0), (0.0, 0.0), (-6.0, 5.0)])
def test_flow_of_a_moved_picture_is_its_motion(shift):
    image = np.clip(_texture(0) * 3.0 - 255, 0, 255).astype(np.uint8)
    flow = DISFlow().estimate(image, _shifted(image, *shift))
    assert flow.shape == (120, 160, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow[20:-20, 20:-20], axis=(0, 1)), shift, atol=0.3)


def test_frames_too_small_for_flow_have_none():
    frame = np.zeros((8, 30, 3), np.uint8)
    assert not DISFlow().estimate(frame, frame).any()


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(ShapeError, match="size"):
        DISFlow().estimate(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 3), np.uint8))


def test_warping_back_undoes_a_shift():
    image = _texture(1)
    flow = np.full((120, 160, 2), (4, -3), np.float32)
    back = warp_back(_shifted(image, 4, -3), flow)
    assert np.abs(back[10:-10, 10:-10].astype(int) - image[10:-10, 10:-10]).max() <= 1


def test_warping_needs_a_flow_of_the_size_of_the_picture():
    with pytest.raises(ShapeError, match="H×W×2"):
        warp_back(np.zeros((5, 5), np.uint8), np.zeros((4, 5, 2), np.float32))


def test_forward_and_backward_flow_agree_but_where_one_is_wrong():
    forward = np.full((40, 50, 2), (2, 1), np.float32)
    backward = -forward
    backward[10:20, 10:20] = (5, 5)
    agrees = consistent(forward, backward)
    # Pixel p looks at the backward flow at p + (2, 1).
    expected = np.ones((40, 50), bool)
    expected[9:19, 8:18] = False
    np.testing.assert_array_equal(agrees, expected)


def test_colours_tell_direction_and_length():
    flow = np.zeros((1, 5, 2), np.float32)
    flow[0, 1:] = [(4, 0), (-4, 0), (0, 4), (2, 0)]
    still, right, left, down, slower = flow_colours(flow, longest_px=4)[0].astype(int)
    assert still.tolist() == [255, 255, 255]
    assert right.tolist() == [255, 0, 0]
    assert left.tolist() == [0, 209, 255]
    assert len({tuple(c) for c in (right, left, down)}) == 3
    assert slower[1] == pytest.approx(127, abs=2)


def test_flow_that_is_not_known_is_black_and_what_is_too_long_is_darker():
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, 0] = 1e10
    flow[0, 1] = np.nan
    flow[0, 2] = (40, 0)
    unknown, no_number, long, still = flow_colours(flow, longest_px=4)[0].tolist()
    assert unknown == no_number == [0, 0, 0]
    assert long == [191, 0, 0]
    assert still == [255, 255, 255]


def _reference_colour(u: float, v: float) -> list[int]:
    """The benchmark's own steps (Baker et al. 2011, colour coding), one pixel at a time."""
    wheel = []
    for steps, start, channel, rises in (
        (15, (255, 0, 0), 1, True),
        (6, (255, 255, 0), 0, False),
        (4, (0, 255, 0), 2, True),
        (11, (0, 255, 255), 1, False),
        (13, (0, 0, 255), 0, True),
        (6, (255, 0, 255), 2, False),
    ):
        for i in range(steps):
            colour = list(start)
            change = 255 * i // steps
            colour[channel] = change if rises else 255 - change
            wheel.append(colour)
    length = float(np.hypot(u, v))
    place = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    k = int(place)
    part = place - k
    mixed = []
    for channel in range(3):
        value = (1 - part) * wheel[k][channel] / 255 + part * wheel[(k + 1) % 55][channel] / 255
        value = 1 - length * (1 - value) if length <= 1 else value * 0.75
        mixed.append(int(255 * value))
    return mixed


@settings(max_examples=60)
@given(u=st.floats(-2, 2, width=32), v=st.floats(-2, 2, width=32))
def test_colours_are_those_of_the_middlebury_wheel(u, v):
    # Brightness jumps at the longest length, which rounding to float32 may reach or not.
    assume(abs(np.hypot(u, v) - 1) > 1e-6 or 0 in (u, v))
    picture = flow_colours(np.array([[[u, v]]], np.float32), longest_px=1)
    np.testing.assert_allclose(picture[0, 0].astype(int), _reference_colour(u, v), atol=1)


def _bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = image.shape[:2]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    total = np.zeros(image.shape[2:])
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
            total = total + weight * image[row, column]
    return total


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.3, 2.0, 9.0]))
def test_warping_is_bilinear_to_the_last_digit(seed, spread):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(5, 6, 2)).astype(np.float32)
    flow = rng.normal(0, spread, (5, 6, 2)).astype(np.float32)
    expected = [
        [_bilinear(image, x + flow[y, x, 0], y + flow[y, x, 1]) for x in range(6)] for y in range(5)
    ]
    warped = np.asarray(warp_back(image, flow), np.float64)
    np.testing.assert_allclose(warped, np.array(expected), atol=1e-5)


@settings(max_examples=25)
@given(x=st.integers(-4, 4), y=st.integers(-4, 4))
def test_warping_by_whole_pixels_is_a_shift(x, y):
    labels = np.random.default_rng(0).integers(0, 256, (9, 11)).astype(np.uint8)
    back = warp_back(labels, np.full((9, 11, 2), (x, y), np.float32))
    rows, columns = np.clip(np.arange(9) + y, 0, 8), np.clip(np.arange(11) + x, 0, 10)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels[np.ix_(rows, columns)])


def test_unknown_flow_warps_nothing():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    flow = np.full((3, 4, 2), np.nan, np.float32)
    np.testing.assert_array_equal(warp_back(image, flow), image)


@settings(max_examples=15)
@given(angle=st.floats(-0.1, 0.1), zoom=st.floats(0.9, 1.1), x=st.floats(-6, 6), y=st.floats(-6, 6))
def test_a_motion_and_its_inverse_agree(angle, zoom, x, y):
    """Forward and backward flow of a similarity, both exact: consistent where it stays inside."""
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    motion = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
    forward, backward = (camera_flow(m, (40, 50)) for m in (motion, np.linalg.inv(motion)))
    rows, columns = np.mgrid[:40, :50]
    to_x, to_y = columns + forward[..., 0], rows + forward[..., 1]
    inside = (to_x >= 0) & (to_y >= 0) & (to_x <= 49) & (to_y <= 39)
    assert consistent(forward, backward, fraction=0, slack_px2=1e-6)[inside].all()
    assert not consistent(forward, backward + 2)[inside].any()


@settings(max_examples=15)
@given(
    angle=st.floats(-0.05, 0.05),
    zoom=st.floats(0.95, 1.05),
    x=st.floats(-8, 8),
    y=st.floats(-8, 8),
)
def test_camera_motion_is_found_beside_a_moving_object(angle, zoom, x, y):
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    camera = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
    flow = camera_flow(camera, (96, 128))
    flow[30:60, 40:80] += (9, -7)
    rest = stabilise(flow)
    moving = np.zeros((96, 128), bool)
    moving[30:60, 40:80] = True
    assert np.abs(rest[~moving]).max() < 0.2
    np.testing.assert_allclose(rest[moving].mean(0), (9, -7), atol=0.3)


def test_camera_flow_is_where_the_homography_takes_each_pixel():
    homography = np.array([[1.1, 0.02, 3], [-0.01, 0.95, -2], [1e-4, -2e-4, 1]])
    flow = camera_flow(homography, (20, 30))
    for y, x in ((0, 0), (7, 21), (19, 29)):
        moved = homography @ (x, y, 1)
        np.testing.assert_allclose(flow[y, x], moved[:2] / moved[2] - (x, y), atol=1e-4)


def test_nothing_to_fit_means_no_camera_motion():
    np.testing.assert_array_equal(camera_motion(np.ones((5, 5, 2), np.float32)), np.eye(3))
