"""Pictures from frames and masks."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rotomask.errors import ShapeError
from rotomask.masks import read_mask
from rotomask.render import (
    BRIGHT_COLOURS,
    ContrastingColours,
    beside,
    changed_matte,
    contact_sheet,
    cutout,
    display_colour,
    matte,
    overlay,
)
from tests.clips import davis_sequence

SIZE = (120, 160)


def disc(radius_px: float = 30) -> npt.NDArray[np.int32]:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels: npt.NDArray[np.int32] = (np.hypot(y - 60, x - 80) < radius_px).astype(np.int32)
    return labels


GREY = np.full((*SIZE, 3), 120, np.uint8)


def test_overlay_tints_inside_outlines_the_edge_and_leaves_the_rest():
    labels = disc()
    picture = overlay(GREY, labels, opacity=0.5)
    assert picture.dtype == np.uint8
    middle = (GREY[0, 0].astype(float) + display_colour(1)) / 2
    assert np.abs(picture[60, 80] - middle).max() <= 1
    assert np.abs(picture[60, 51].astype(float) - display_colour(1)).max() < 40  # the outline
    assert (picture[disc(34) == 0] == 120).all()
    assert (GREY == 120).all()  # the input is not written to


def test_overlay_without_objects_or_outline():
    np.testing.assert_array_equal(overlay(GREY, disc() * 0), GREY)
    plain = overlay(GREY, disc(), opacity=0, outline_px=0)
    np.testing.assert_array_equal(plain, GREY)


def test_overlay_gives_each_object_its_colour():
    labels = np.zeros(SIZE, np.int64)
    labels[10:50, 10:70], labels[10:50, 70:140], labels[70:110, 10:70] = 1, 2, 300
    picture = overlay(GREY, labels, opacity=1)
    for object_id, (y, x) in {1: (30, 40), 2: (30, 100), 300: (90, 40)}.items():
        assert tuple(picture[y, x]) == display_colour(object_id)


def test_display_colours_differ_and_are_bright():
    colours = np.array([display_colour(k) for k in range(1, 64)], int)
    distance = np.abs(colours[:, None] - colours[None]).max(axis=2) + 99 * np.eye(63, dtype=int)
    assert distance.min() > 25
    assert colours.max(axis=1).min() > 150


def test_object_that_fills_the_frame_or_touches_its_border():
    assert overlay(GREY, np.ones(SIZE, int)).shape == GREY.shape
    labels = np.zeros(SIZE, int)
    labels[:5, :5] = 1
    assert overlay(GREY, labels).shape == GREY.shape
    assert (matte(np.ones(SIZE, int)) == 255).all()


def test_matte_is_soft_only_at_the_edge_and_keeps_the_area():
    alpha = matte(disc())
    assert (alpha[disc(27) == 1] == 255).all()
    assert (alpha[disc(33) == 0] == 0).all()
    assert alpha.sum() / 255 == pytest.approx(disc().sum(), rel=0.01)
    assert not matte(disc() * 4, ids=[3]).any()


def test_cutout_keeps_the_object_and_says_nothing_of_the_background():
    image = np.where(disc()[..., None] == 1, (200, 40, 40), (0, 0, 255)).astype(np.uint8)
    alpha = matte(disc())
    picture = cutout(image, alpha)
    np.testing.assert_array_equal(picture[..., 3], alpha)
    np.testing.assert_array_equal(picture[60, 80], (200, 40, 40, 255))
    assert (picture[disc(50) == 0] == 0).all()
    # Blue, the background, shows at most where the soft edge is nearly opaque.
    edge = (alpha > 0) & (alpha < 255)
    assert picture[edge][:, 2].max() < 150
    beyond = (alpha == 0) & (disc(33) == 1)
    assert np.abs(picture[beyond][:, :3].astype(int) - (200, 40, 40)).max() < 12


def test_cutout_of_nothing_is_transparent():
    assert not cutout(GREY, np.zeros(SIZE, np.uint8)).any()


def test_cutout_of_a_faint_matte_keeps_its_colours():
    alpha = (disc() * 90).astype(np.uint8)  # smoke: no part is solid
    picture = cutout(GREY, alpha)
    assert (picture[60, 80] == (120, 120, 120, 90)).all()


def test_contact_sheet():
    sheet = contact_sheet([GREY] * 5, [f"{k:05d}" for k in range(5)], columns=3, cell_width_px=160)
    height, width = sheet.shape[:2]
    assert width == 5 + 3 * 165
    assert height == 5 + 2 * (120 + 16 + 5)
    assert (sheet[60, 80] == 120).all()
    with pytest.raises(ShapeError, match="a name for each image"):
        contact_sheet([GREY], [])


def test_sizes_must_agree():
    for render in (overlay, cutout):
        with pytest.raises(ShapeError, match="of the same size"):
            render(GREY, np.zeros((4, 4), np.uint8))


def test_real_frame():
    frames, masks = davis_sequence("dog")
    image = np.asarray(Image.open(frames / "00000.jpg"))
    labels = read_mask(masks / "00000.png").labels
    picture = overlay(image, labels)
    far = matte(labels) == 0
    assert (picture[far] == image[far]).mean() > 0.95
    assert np.abs(picture[labels == 1].astype(int) - image[labels == 1]).mean() > 20


@pytest.mark.parametrize("colour", [*BRIGHT_COLOURS, display_colour(1), (0, 0, 0)])
def test_object_shows_on_a_frame_of_any_colour(colour):
    image = np.full((*SIZE, 3), colour, np.uint8)
    labels = disc()
    picture = overlay(image, labels, colours=ContrastingColours().of(image, labels))
    assert np.abs(picture[60, 80].astype(int) - colour).max() > 40


def test_object_keeps_its_own_colour_where_it_shows_and_one_colour_for_the_whole_video():
    colours = ContrastingColours()
    assert colours.of(GREY, disc())[1] == display_colour(1)
    red = np.full_like(GREY, display_colour(1))
    assert colours.of(red, disc())[1] == display_colour(1)
    assert ContrastingColours().of(red, disc())[1] != display_colour(1)


def test_objects_on_one_ground_get_different_colours():
    red = np.full_like(GREY, display_colour(1))
    labels = np.zeros(SIZE, np.int32)
    for k in range(1, 6):
        labels[20 * k : 20 * k + 15, 40:120] = k
    colours = ContrastingColours().of(red, labels)
    chosen = np.array([colours[k] for k in range(1, 6)], int)
    distance = np.abs(chosen[:, None] - chosen[None]).max(2) + 999 * np.eye(5, dtype=int)
    assert distance.min() > 60


def test_pictures_side_by_side():
    picture = beside(GREY, GREY // 2)
    assert (picture[:, : SIZE[1]] == 120).all()
    assert (picture[:, SIZE[1] :] == 60).all()
    with pytest.raises(ShapeError, match="must have one size"):
        beside(GREY, GREY[1:])


def test_a_changed_matte_is_soft_where_it_was():
    """A disc of two is taken away and a square added: the soft edge of the other disc stays."""
    y, x = np.mgrid[:60, :120]
    soft = [((18 - np.hypot(y - 30, x - centre)) / 8).clip(0, 1) for centre in (30, 85)]
    stored = (255 * np.maximum(*soft)).round().astype(np.uint8)
    before = stored > 127
    after = before & (x < 57)
    after[5:10, 100:110] = True
    changed = changed_matte(stored, before, after)
    np.testing.assert_array_equal(changed[:, :52], stored[:, :52])
    assert not changed[20:, 62:].any()
    np.testing.assert_array_equal(changed > 127, after)
    assert changed_matte(stored, before, before) is stored
    assert not changed_matte(stored, before, np.zeros_like(before)).any()
    nothing = np.zeros_like(stored)
    np.testing.assert_array_equal(
        changed_matte(nothing, nothing > 0, after), matte(after.astype(np.uint8))
    )
