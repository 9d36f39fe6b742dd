"""Soft edges: identity by default, bounds, what each control does."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError, ShapeError
from rotomask.matting import (
    EdgeControls,
    choke,
    edge_alpha,
    feather,
    foreground_colours,
    guided_alpha,
)

SIZE = (60, 80)


def disc(radius: float = 18) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray((radius + 0.5 - np.hypot(y - 30, x - 40)).clip(0, 1), np.float32)


seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Any picture, and an opacity with large flat parts."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), rng.uniform(0.1, 8))
    return image, (soft * rng.uniform(1, 40) + 0.5).clip(0, 1).astype(np.float32)


@settings(max_examples=30)
@given(seed=seeds, feather_px=st.floats(0, 9), choke_px=st.floats(-7, 7))
def test_opacity_stays_between_0_and_1(seed, feather_px, choke_px):
    image, alpha = drawn(seed)
    for matting in (False, True):
        controls = EdgeControls(feather_px=feather_px, choke_px=choke_px, matting=matting)
        result = edge_alpha(image, alpha, controls)
        assert result.dtype == np.float32
        assert result.shape == SIZE
        assert result.min() >= 0
        assert result.max() <= 1


def test_the_default_changes_nothing():
    image, alpha = drawn(1)
    assert edge_alpha(image, alpha, EdgeControls()) is alpha


@pytest.mark.parametrize("radius", [0.5, 1, 2.25, 4])
def test_choke_moves_the_edge_by_its_radius(radius):
    inner, outer = choke(disc(), radius), choke(disc(), -radius)
    for moved, expected in ((inner, 18 - radius), (outer, 18 + radius)):
        area = float(moved.sum())
        assert np.sqrt(area / np.pi) == pytest.approx(expected, abs=0.45)


def test_feather_widens_the_edge_and_keeps_its_place():
    soft = feather(disc(), 8)
    width = ((soft > 0.02) & (soft < 0.98))[30].sum() / 2
    assert 6 <= width <= 10
    assert soft.sum() == pytest.approx(disc().sum(), rel=0.02)


def test_an_object_that_leaves_the_frame_is_not_eroded_there():
    half = np.zeros(SIZE, np.float32)
    half[:, :40] = 1
    assert choke(half, 5)[:, 0].min() == 1
    assert feather(half, 10)[:, 0].min() == pytest.approx(1)


def test_matting_follows_the_picture():
    """A mask that is 2 px off comes back to the edge that the picture has."""
    rng = np.random.default_rng(0)
    true = disc()
    front = np.array([210, 60, 40]) + rng.normal(0, 4, (*SIZE, 3))
    back = np.array([40, 90, 160]) + rng.normal(0, 4, (*SIZE, 3))
    image = (front * true[..., None] + back * (1 - true[..., None])).clip(0, 255).astype(np.uint8)
    rough = np.roll(disc(), 2, axis=1)
    found = guided_alpha(image, rough, radius_px=5)
    assert np.abs(found - true).mean() < 0.6 * np.abs(rough - true).mean()
    inside = cv2.erode(true, np.ones((15, 15))) > 0.99
    assert (found[inside] == 1).all()


def test_matting_from_a_reduced_picture_sharpens_an_enlarged_mask():
    """Opacity at half the resolution, enlarged, gets the edge of the picture."""
    truth = disc() > 0.5
    image = np.where(truth[..., None], (200, 60, 40), (30, 90, 160)).astype(np.uint8)
    half = cv2.resize(disc(), (40, 30), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(cv2.resize(half, (80, 60), interpolation=cv2.INTER_LINEAR), np.float32)
    refined = guided_alpha(image, coarse, 3, scale=0.5)
    assert refined.shape == SIZE
    assert np.abs(refined - truth).mean() < 0.7 * np.abs(coarse - truth).mean()
    assert np.abs(refined - guided_alpha(image, coarse, 3)).mean() < 0.02


def test_colours_at_the_edge_are_the_objects():
    """Red over green with a soft edge: what despill returns has no green in it."""
    alpha = feather(disc(), 8)
    image = np.zeros((*SIZE, 3), np.float32)
    image[..., 0], image[..., 1] = 200 * alpha, 200 * (1 - alpha)
    picture = image.round().astype(np.uint8)
    colours = foreground_colours(picture, alpha)
    edge = (alpha > 0.25) & (alpha < 0.75)
    assert picture[edge][:, 1].mean() > 80
    assert colours[edge][:, 1].mean() < 12
    assert colours[edge][:, 0].mean() > 185
    opaque = alpha >= 1
    np.testing.assert_array_equal(colours[opaque], picture[opaque])


def test_wrong_values_are_told():
    with pytest.raises(OptionError, match="feather goes from 0 to 200 px, got -1"):
        EdgeControls(feather_px=-1)
    with pytest.raises(OptionError, match="choke goes from -200 to 200 px, got nan"):
        EdgeControls(choke_px=float("nan"))
    with pytest.raises(ShapeError, match="of the same size"):
        guided_alpha(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.float32))
