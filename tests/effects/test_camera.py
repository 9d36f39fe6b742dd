"""The virtual camera: never a border, steadier objects, and pictures of what its window shows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotomask.effects.camera import open_camera, view_through
from rotomask.effects.camera_path import (
    CameraSettings,
    ObjectTrack,
    jitter,
    parse_framing,
    plan_camera,
    smooth_path,
    track_of_mask,
)
from rotomask.errors import MaskError, OptionError, ShapeError
from tests.effects.clips import SIZE, image_of, write_cut

RATE = 25.0


def track(centres, sizes=None) -> ObjectTrack:
    centres = np.asarray(centres, float)
    return ObjectTrack(centres, np.full_like(centres, 40) if sizes is None else np.array(sizes))


@st.composite
def tracks(draw):
    """Any boxes, far outside the frame too, with frames that have none."""
    count = draw(st.integers(0, 40))
    values = st.floats(-2000, 4000, allow_subnormal=False)
    centres = draw(hnp.arrays(float, (count, 2), elements=values))
    sizes = draw(hnp.arrays(float, (count, 2), elements=st.floats(0, 3000, allow_subnormal=False)))
    absent = draw(hnp.arrays(bool, count))
    centres[absent] = np.nan
    return ObjectTrack(centres, sizes)


@settings(max_examples=50)
@given(
    moving=tracks(),
    size=st.tuples(st.integers(16, 1200), st.integers(16, 1200)),
    framing=st.sampled_from(["16:9", "1:1", "9:16", "source", "4:5", "300x200", "8:1"]),
    zoom=st.floats(0, 1),
    strength=st.floats(0, 1),
    smoothness=st.floats(0.1, 20),
)
def test_no_path_leaves_the_frame(moving, size, framing, zoom, strength, smoothness):
    chosen = CameraSettings(framing=framing, zoom=zoom, strength=strength, smoothness=smoothness)
    path = plan_camera(moving, size, RATE, chosen)
    assert path.windows.shape == (len(moving.centres), 4)
    left, top, width, height = path.windows.T
    slack = 1e-6
    assert (left >= -slack).all()
    assert (top >= -slack).all()
    assert (left + width <= size[1] + slack).all()
    assert (top + height <= size[0] + slack).all()
    aspect, _ = parse_framing(framing, size)
    np.testing.assert_allclose(width / height, aspect, rtol=1e-6)


@settings(max_examples=40)
@given(
    left=st.floats(0, 60), top=st.floats(0, 40), part=st.floats(0.05, 1),
    size=st.tuples(st.integers(2, 90), st.integers(2, 90)),
)  # fmt: skip
def test_no_window_shows_a_border(left, top, part, size):
    """A white frame stays white to the last pixel."""
    white = np.full((*SIZE, 3), 255, np.uint8)
    window = (left, top, (SIZE[1] - left) * part, (SIZE[0] - top) * part)
    assert (view_through(white, window, size) == 255).all()


def test_the_whole_window_gives_the_frame():
    image = image_of(3)
    np.testing.assert_array_equal(view_through(image, (0, 0, SIZE[1], SIZE[0]), SIZE), image)
    path = plan_camera(
        track([(48, 36)] * 9), SIZE, RATE, CameraSettings(framing="source", zoom=0, strength=0)
    )
    np.testing.assert_allclose(path.windows, [[0, 0, SIZE[1], SIZE[0]]] * 9)


def test_a_window_is_what_lies_in_it():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 30:60] = 200
    inside = view_through(image, (30, 20, 30, 20), (20, 30))
    np.testing.assert_array_equal(inside, np.full((20, 30, 3), 200))
    small = view_through(image, (0, 0, 80, 60), (15, 20))  # four times smaller: averaged
    assert small.mean() == pytest.approx(image.mean(), rel=0.02)


def test_a_shaking_object_is_steadied():
    """A walk across the frame with a shake of 3 px: strength takes the shake out."""
    time = np.arange(100)
    shake = 4 * np.column_stack([np.sin(time / 1.6), np.cos(time / 1.6)])
    centres = np.column_stack([250 + 3.5 * time, 240 + 0 * time]) + shake
    found = []
    for strength in (0.0, 0.5, 1.0):
        chosen = CameraSettings(framing="1:1", strength=strength, zoom=1)
        path = plan_camera(track(centres), (480, 854), RATE, chosen)
        found.append(path.jitter_after)
        assert path.offset_after < 8
    assert path.jitter_before > 3
    assert found[0] == pytest.approx(path.jitter_before, rel=0.15)
    assert found[1] < 0.65 * found[0]
    assert found[2] < 1e-6


def test_jitter_ignores_a_smooth_walk_and_measures_a_shake():
    time = np.arange(200)
    walk = np.column_stack([3.0 * time, 0.5 * time])
    assert jitter(walk, RATE) < 1e-6
    shaken = walk + np.column_stack([2 * (-1.0) ** time, 0 * time])
    assert jitter(shaken, RATE) == pytest.approx(2, rel=0.05)
    shaken[50:60] = np.nan
    assert jitter(shaken, RATE) == pytest.approx(2, rel=0.1)
    assert jitter(np.full((5, 2), np.nan), RATE) == 0


def test_smoothing_leaves_half_of_a_swing_of_its_period():
    time = np.arange(400)
    swing = np.sin(2 * np.pi * time / 20)
    smooth = smooth_path(swing, 20)
    assert np.abs(smooth[100:300]).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(smooth_path(swing, 200)[100:300]).max() < 0.01
    line: npt.NDArray[np.float64] = np.linspace(3, 103, 400)
    np.testing.assert_allclose(smooth_path(line, 50), line, atol=1e-6)


def test_smoothing_within_bounds_bends_before_it_reaches_them():
    values = np.r_[np.zeros(60), np.full(60, 100.0)]
    high = np.full(120, 60.0)
    bounded = smooth_path(values, 40, np.zeros(120), high)
    assert bounded.max() <= 60
    assert bounded.min() >= 0
    clipped = smooth_path(values, 40).clip(0, 60)
    turn = np.abs(np.diff(bounded, 2)).max()
    assert turn < 0.8 * np.abs(np.diff(clipped, 2)).max()


def test_the_centre_of_a_mask():
    mask = np.zeros((50, 80), bool)
    mask[10:30, 20:60] = True
    centre, size = track_of_mask(mask)
    np.testing.assert_allclose(centre, (40, 20))
    np.testing.assert_allclose(size, (40, 20), atol=1)
    assert np.isnan(track_of_mask(np.zeros((5, 5), bool))[0]).all()


def test_a_camera_on_a_clip(tmp_path):
    video, folder = write_cut(tmp_path)
    view = open_camera(video, folder, {"framing": "1:1", "zoom": 1}, objects=(1,))
    windows = view.path.windows
    assert windows[-1, 0] > windows[0, 0] + 15, "it follows the disc"
    # The disc is 4 px larger than half the window's height: red lies in the picture's middle.
    picture = view.picture(6)
    assert picture.shape == (*view.path.size, 3)
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
    assert middle[0] > middle[1] + 60
    wide = view.with_settings(zoom=0)
    assert wide.path.windows[:, 3].mean() > windows[:, 3].mean()
    assert set(view.to_json()) >= {"windows", "size", "jitter_before", "jitter_after"}
    half = open_camera(video, folder, {"framing": "1:1", "zoom": 1}, objects=(1,), width=48)
    assert half.picture(6).shape[0] == pytest.approx(picture.shape[0] / 2, abs=1)
    with pytest.raises(MaskError, match="has no mask with object 9; give the folder"):
        open_camera(video, folder, objects=(9,))


@pytest.mark.parametrize("text", ["16/9", "0:9", "1x1", "9:1000", "", "99999x99999"])
def test_framings_that_cannot_be_read(text):
    with pytest.raises(OptionError, match=r"framing|size goes"):
        CameraSettings(framing=text)


def test_a_track_has_two_columns():
    with pytest.raises(ShapeError, match=r"centres must be N×2, got \(3,\)"):
        ObjectTrack(np.zeros(3), np.zeros(3))
