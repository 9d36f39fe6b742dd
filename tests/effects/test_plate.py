"""The background without the objects: what other frames show, seams, shadows, painting in."""

import cv2
import numpy as np
import pytest

from rotomask.effects import Scene
from rotomask.effects.alignment import is_plausible, sample, sampling_map
from rotomask.effects.filling import Margins, fit_rim, shadow_of
from rotomask.effects.painting import paint_in
from rotomask.masks import write_mask
from rotomask.matting import fill_smoothly
from rotomask.video import open_video

SIZE = (120, 180)


def scenery(width: int) -> np.ndarray:
    """A wide background with detail at several sizes, H×width×3."""
    rng = np.random.default_rng(5)
    total = np.zeros((SIZE[0], width, 3), np.float32)
    for sigma, strength in ((1.2, 60), (4, 160), (12, 500)):
        total += cv2.GaussianBlur(rng.normal(0, strength, total.shape), (0, 0), sigma)
    return (total + 130).clip(0, 255).astype(np.uint8)


def film(folder, *, pan, speed, width):
    """A dark box with a shadow below it crosses the picture of a camera that pans; the backgrounds.

    Both in px a frame.
    """
    (folder / "video").mkdir()
    wide = scenery(SIZE[1] + 80)
    truth = {}
    for index in range(33):
        clean = wide[:, pan * index : pan * index + SIZE[1]].copy()
        truth[index] = clean
        image, labels = clean.copy(), np.zeros(SIZE, np.int32)
        left = 10 + speed * index
        shade = image[80:88, left : left + width + 2].astype(np.float32) * 0.5
        image[80:88, left : left + width + 2] = shade.astype(np.uint8)
        image[40:80, left : left + width] = (30, 20, 90)
        labels[40:80, left : left + width] = 1
        cv2.imwrite(str(folder / "video" / f"{index:05d}.png"), image[..., ::-1])
        write_mask(folder / "cut" / "masks" / f"{index:05d}.png", labels)
    return folder, truth


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A camera that pans 2 px a frame; a box that walks faster."""
    return film(tmp_path_factory.mktemp("walk"), pan=2, speed=4, width=24)


def test_what_other_frames_show_comes_back(walk):
    folder, truth = walk
    scene = Scene(open_video(folder / "video"), folder / "cut")
    for index in (8, 20):
        hole = scene.labels(index) > 0
        found = scene.plate.picture(index)
        error = np.abs(found[hole].astype(float) - truth[index][hole]).mean()
        assert error < 9, error
        shadow = np.zeros_like(hole)
        left = 10 + 4 * index
        shadow[81:87, left + 1 : left + 25] = True
        image = scene.frame(index).image
        before = np.abs(image[shadow].astype(float) - truth[index][shadow]).mean()
        after = np.abs(found[shadow].astype(float) - truth[index][shadow]).mean()
        assert after < 0.4 * before, "the shadow is gone, too"
        far = np.ones(SIZE, bool)
        far[28:102, max(0, left - 16) : left + 44] = False
        np.testing.assert_array_equal(found[far], image[far], err_msg="nothing else is touched")


def test_a_shadow_is_found_that_each_other_frame_shows_in_part(tmp_path):
    folder, truth = film(tmp_path, pan=0, speed=2, width=80)
    scene = Scene(open_video(folder / "video"), folder / "cut")
    index = 16
    found, image = scene.plate.picture(index), scene.frame(index).image
    shadow = np.zeros(SIZE, bool)
    left = 10 + 2 * index
    for first in (left + 1, left + 60):  # no frame shows the middle without a shadow
        shadow[81:87, first : first + 20] = True
    before = np.abs(image[shadow].astype(float) - truth[index][shadow]).mean()
    after = np.abs(found[shadow].astype(float) - truth[index][shadow]).mean()
    assert after < 0.4 * before


def test_without_a_shadow_less_is_replaced(walk):
    folder, _ = walk
    scene = Scene(open_video(folder / "video"), folder / "cut")
    kept = scene.plate_with(Margins(shadow=False, below=0)).picture(12)
    image = scene.frame(12).image
    changed = (kept != image).any(axis=2)
    assert not changed[84:].any()
    assert changed[40:80].any()


def test_the_cameras_motion_is_found(walk):
    folder, _ = walk
    alignment = Scene(open_video(folder / "video"), folder / "cut").alignment
    moved = alignment.homography(4, 12)
    np.testing.assert_allclose(moved @ [60, 60, 1], [44, 60, 1], atol=0.6)
    both = alignment.homography(12, 4) @ moved
    np.testing.assert_allclose(both / both[2, 2], np.eye(3), atol=1e-6)


def test_a_frame_does_not_depend_on_what_was_asked_for_before(walk):
    """A preview equals the same frame of the whole video; so a folder that resumes is exact."""
    folder, _ = walk
    fresh, used = (Scene(open_video(folder / "video"), folder / "cut") for _ in range(2))
    for index in (30, 2, 13):
        used.plate.picture(index)
    np.testing.assert_array_equal(fresh.plate.picture(21), used.plate.picture(21))


def test_sampling_inverts_a_homography():
    shift = np.array([[1.0, 0, 3], [0, 1, -2], [0, 0, 1]])
    points = sampling_map(shift, (20, 30))
    np.testing.assert_allclose(points[10, 10], (7, 12), atol=1e-5)
    ramp = np.tile(np.arange(30, dtype=np.float32), (20, 1))
    np.testing.assert_allclose(sample(ramp, points, linear=True)[5, 10:20], np.arange(7, 17))


@pytest.mark.parametrize("fold", [np.diag([1.0, -1, 1]), np.diag([3.0, 3, 1])])
def test_folds_and_leaps_are_no_camera_motion(fold):
    assert is_plausible(np.eye(3), (480, 854))
    assert not is_plausible(fold, (480, 854))


def test_painting_continues_stripes():
    y, x = np.mgrid[:90, :120]
    picture = np.repeat((128 + 90 * np.sin(x / 2.0))[..., None], 3, axis=2).astype(np.float32)
    hole = (np.hypot(y - 45, x - 60) < 16) & True
    damaged = np.where(hole[..., None], 0, picture).astype(np.float32)
    painted = paint_in(damaged, hole)
    np.testing.assert_array_equal(painted[~hole], picture[~hole])
    smooth = fill_smoothly(damaged, (~hole).astype(np.float32))
    error, smooth_error = (np.abs(p[hole] - picture[hole]).mean() for p in (painted, smooth))
    assert error < 0.7 * smooth_error
    assert painted[hole].std() > 0.6 * picture[hole].std(), "texture, not a blur"
    np.testing.assert_array_equal(painted, paint_in(damaged, hole))


def test_a_filling_joins_its_rim():
    target = np.full((60, 60, 3), 120, np.float32)
    hole = np.zeros((60, 60), bool)
    hole[20:40, 20:40] = True
    fitted = fit_rim(target - 30, target, hole, ~hole)
    np.testing.assert_allclose(fitted[hole], 120, atol=1)


def test_a_shadow_must_touch_its_object():
    clean = np.full((100, 100, 3), 150, np.float32)
    image = clean.astype(np.uint8)
    hole = np.zeros((100, 100), bool)
    hole[30:50, 40:60] = True
    image[50:56, 40:60] = 80
    image[5:12, 80:95] = 80  # something else that is darker
    shadow = shadow_of(image, clean, hole, np.ones_like(hole))
    assert shadow[51:55, 42:58].all()
    assert not shadow[:20].any()
    assert not shadow_of(clean.astype(np.uint8), clean, hole, np.ones_like(hole)).any()
