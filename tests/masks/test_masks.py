"""Masks of every format: what they are taken for, what is refused; ours come back exactly."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFilter

from rotomask.errors import MaskError, OutputError, ShapeError
from rotomask.masks import (
    LabelMask,
    compact_ids,
    davis_palette,
    object_colour,
    object_ids,
    object_mask,
    read_labels,
    read_mask,
    write_mask,
)
from rotomask.masks.pages import is_torn_png
from tests.clips import davis_sequence

SIZE = (120, 160)


def two_objects() -> npt.NDArray[np.int32]:
    """A disc, 1, and a bar, 2."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = np.zeros(SIZE, np.int32)
    labels[np.hypot(y - 40, x - 50) < 25] = 1
    labels[70:100, 90:140] = 2
    return labels


LABELS = two_objects()
BINARY = ((LABELS > 0) * 255).astype(np.uint8)
BRIGHT = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[LABELS]


def save(folder: Path, name: str, pixels: npt.NDArray[np.generic], **options: Any) -> Path:
    Image.fromarray(pixels).save(folder / name, **options)
    return folder / name


def share_equal(mask: LabelMask, labels: npt.NDArray[np.generic]) -> float:
    return float((mask.labels == labels).mean())


# What we write ourselves


@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 255)))
def test_written_masks_come_back(tmp_path_factory, labels):
    path = tmp_path_factory.getbasetemp() / "any.png"
    write_mask(path, labels)
    np.testing.assert_array_equal(read_labels(path), labels)
    if labels.any():
        np.testing.assert_array_equal(read_mask(path, labels.shape).labels, labels)
    with Image.open(path) as image:
        assert image.mode == "P"
        assert image.getpalette() == davis_palette().ravel().tolist()


@given(st.integers(256, 65535))
def test_masks_of_many_ids_come_back(tmp_path_factory, largest):
    path = tmp_path_factory.getbasetemp() / "many.png"
    labels = LABELS.copy()
    labels[LABELS == 2] = largest
    write_mask(path, labels)
    np.testing.assert_array_equal(read_labels(path), labels)
    mask = read_mask(path)
    np.testing.assert_array_equal(mask.labels, labels)
    assert (mask.kind, mask.object_ids) == ("grey 16-bit", (1, largest))


def test_the_largest_id_alone_comes_back_but_white_on_black_is_object_1(tmp_path):
    labels = np.where(LABELS == 1, 65535, 0)
    write_mask(tmp_path / "ours.png", labels)
    np.testing.assert_array_equal(read_mask(tmp_path / "ours.png").labels, labels)
    path = save(tmp_path, "theirs.png", labels.astype(np.uint16))
    np.testing.assert_array_equal(read_mask(path).labels, labels > 0)


def test_three_hundred_objects(tmp_path):
    labels = np.kron(np.arange(400).reshape(20, 20), np.ones((6, 6), int))
    write_mask(tmp_path / "a.png", labels)
    mask = read_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.object_ids == tuple(range(1, 400))


def test_palette_is_that_of_davis():
    palette = davis_palette()
    assert palette[:9].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
        [64, 0, 0],
    ]
    assert palette[255].tolist() == [224, 224, 192]
    assert len(np.unique(palette, axis=0)) == 256
    assert object_colour(1) == (128, 0, 0) == object_colour(256)


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2)), np.zeros((2, 2, 1), int), np.full((2, 2), -1), np.full((2, 2), 65536)],
)
def test_what_cannot_be_written(tmp_path, labels):
    with pytest.raises(ShapeError):
        write_mask(tmp_path / "a.png", labels)
    assert list(tmp_path.iterdir()) == []


def test_write_error_keeps_the_old_mask(tmp_path):
    write_mask(tmp_path / "a.png", LABELS)
    (tmp_path / ".a.png.part").mkdir()  # nothing can be written under the temporary name
    with pytest.raises(OutputError, match=r"cannot write .*a\.png"):
        write_mask(tmp_path / "a.png", LABELS * 2)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), LABELS)


# What others write


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_black_and_white(tmp_path, name):
    mask = read_mask(save(tmp_path, name, BINARY, lossless=True), SIZE)
    assert (mask.kind, mask.object_ids) == ("grey 0/255", (1,))
    np.testing.assert_array_equal(mask.labels, LABELS > 0)
    assert "white" in mask.description


def test_one_bit_and_sixteen_bit_black_and_white(tmp_path):
    for number, pixels in enumerate([BINARY > 0, BINARY.astype(np.uint16) * 257]):
        mask = read_mask(save(tmp_path, f"{number}.png", pixels))
        np.testing.assert_array_equal(mask.labels, LABELS > 0)


def test_grey_ids(tmp_path):
    for first in (1, 7, 100, 254):
        mask = read_mask(save(tmp_path, "a.png", (LABELS * first % 509).astype(np.uint8)))
        assert mask.kind == "grey ids"
        np.testing.assert_array_equal(mask.labels, LABELS * first % 509 % 256)


def test_indexed_with_another_palette(tmp_path):
    image = Image.fromarray(LABELS.astype(np.uint8))
    image.putpalette([0, 0, 0, 10, 200, 30, 250, 0, 99])
    image.save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.kind == "indexed"
    np.testing.assert_array_equal(mask.labels, LABELS)


def test_indexed_whose_background_is_not_index_0_goes_by_colour(tmp_path):
    image = Image.fromarray((2 - LABELS).astype(np.uint8))
    image.putpalette([0, 0, 255, 255, 0, 0, 0, 0, 0])
    image.save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.colours == {(0, 0, 0): 0, (255, 0, 0): 1, (0, 0, 255): 2}
    np.testing.assert_array_equal(mask.labels, LABELS)


def test_davis_colours_keep_their_ids(tmp_path):
    labels = LABELS * 6  # 6 and 12
    mask = read_mask(save(tmp_path, "a.png", davis_palette()[labels]))
    assert mask.kind == "rgb colours"
    np.testing.assert_array_equal(mask.labels, labels)


def test_other_colours_are_numbered_and_told(tmp_path):
    mask = read_mask(save(tmp_path, "a.png", BRIGHT))
    np.testing.assert_array_equal(mask.labels, LABELS)
    assert "#ff0000 = 1, #00ff00 = 2" in mask.description
    assert mask.colours == {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2}


def test_colours_of_an_earlier_mask_keep_their_ids(tmp_path):
    first = read_mask(save(tmp_path, "a.png", BRIGHT))
    later = BRIGHT.copy()
    later[LABELS == 1] = (255, 255, 0)
    mask = read_mask(save(tmp_path, "b.png", later), colours=first.colours)
    np.testing.assert_array_equal(mask.labels, np.array([0, 3, 2])[LABELS])


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_jpeg_of_black_and_white(tmp_path, quality):
    for pixels in (BINARY, np.repeat(BINARY[..., None], 3, axis=2)):
        mask = read_mask(save(tmp_path, "a.jpg", pixels, quality=quality))
        assert mask.kind == "jpeg-noisy binary"
        assert share_equal(mask, LABELS > 0) > 0.995


@pytest.mark.parametrize("quality", [60, 90])
def test_jpeg_of_colours_snaps_to_them(tmp_path, quality):
    for pixels in (BRIGHT, davis_palette()[LABELS]):
        mask = read_mask(save(tmp_path, "a.jpg", pixels, quality=quality))
        assert (mask.kind, mask.object_ids) == ("jpeg-noisy colours", (1, 2))
        assert share_equal(mask, LABELS) > 0.99


def test_soft_edges(tmp_path):
    soft = Image.fromarray(BINARY).filter(ImageFilter.GaussianBlur(1))
    soft.save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.kind == "antialiased binary"
    assert share_equal(mask, LABELS > 0) > 0.995


def test_soft_edges_of_colours_make_no_third_colour(tmp_path):
    yellow_on_black = BRIGHT.copy()
    yellow_on_black[LABELS == 1] = (255, 255, 0)
    Image.fromarray(yellow_on_black).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.object_ids == (1, 2)
    assert share_equal(mask, LABELS) > 0.99


def test_colours_on_transparency(tmp_path):
    mask = read_mask(save(tmp_path, "a.png", np.dstack([BRIGHT, BINARY])))
    assert mask.kind == "rgba"
    np.testing.assert_array_equal(mask.labels, LABELS)


def test_cut_out_picture_is_one_object(tmp_path):
    photo = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    mask = read_mask(save(tmp_path, "a.png", np.dstack([photo, BINARY])))
    np.testing.assert_array_equal(mask.labels, LABELS > 0)
    assert "alpha" in mask.description


def test_opaque_rgba_is_read_as_rgb(tmp_path):
    mask = read_mask(save(tmp_path, "a.png", np.dstack([BRIGHT, np.full(SIZE, 255, np.uint8)])))
    np.testing.assert_array_equal(mask.labels, LABELS)


# One file per object


def test_folder_of_one_file_per_object(tmp_path):
    save(tmp_path, "obj_12.png", ((LABELS == 1) * 255).astype(np.uint8))
    save(tmp_path, "obj_3.png", ((LABELS == 2) * 255).astype(np.uint8))
    mask = read_mask(tmp_path, SIZE)
    assert (mask.kind, mask.object_ids) == ("one file per object", (3, 12))
    np.testing.assert_array_equal(mask.labels, np.array([0, 12, 3])[LABELS])
    assert "obj_3.png = 3" in mask.description


def test_list_of_files_without_numbers(tmp_path):
    files = [
        save(tmp_path, f"{name}.png", object_mask(LABELS, k).astype(np.uint8) * 255)
        for k, name in enumerate(["dog", "cat"], start=1)
    ]
    np.testing.assert_array_equal(read_mask(files).labels, LABELS)


def test_overlaps(tmp_path):
    save(tmp_path, "1.png", BINARY)
    touching = np.zeros(SIZE, np.uint8)
    touching[71:, :] = 255
    save(tmp_path, "2.png", touching)
    with pytest.raises(MaskError, match=r"1\.png overlaps object 2 on \d+ pixels"):
        read_mask(tmp_path)


def test_tiny_overlap_goes_to_the_smaller(tmp_path):
    large = np.zeros(SIZE, np.uint8)
    large[:50] = 255
    small = np.zeros(SIZE, np.uint8)
    small[49:100, :100] = 255
    small[49, 1:] = 0
    save(tmp_path, "1.png", large)
    save(tmp_path, "2.png", small)
    assert read_mask(tmp_path).labels[49, 0] == 2


# What is refused


def test_mask_of_another_size_but_the_same_aspect_is_scaled_and_says_so(tmp_path):
    path = save(tmp_path, "a.png", BINARY)
    mask = read_mask(path, (240, 320))
    assert mask.labels.shape == (240, 320)
    assert "scaled from 160x120 to the frame's 320x240" in mask.description
    small, large = read_mask(path).labels > 0, mask.labels > 0
    assert abs(large.sum() / small.sum() - 4) < 0.05
    # Rounding of a side to whole pixels is no other aspect: 854x480 and 427x240, 1280x720 and 853.
    assert read_mask(path, (479, 640)).labels.shape == (479, 640)


def test_ids_of_several_objects_survive_scaling(tmp_path):
    labels = np.zeros((60, 80), np.uint8)
    labels[10:30, 10:40], labels[30:50, 10:40], labels[12:20, 50:70] = 1, 2, 7
    write_mask(tmp_path / "a.png", labels)
    for size in ((120, 160), (30, 40)):
        scaled = read_mask(tmp_path / "a.png", size).labels
        assert object_ids(scaled) == (1, 2, 7)
        factor = size[0] / 60
        for k in (1, 2, 7):
            assert abs((scaled == k).sum() / (labels == k).sum() / factor**2 - 1) < 0.1


def test_size_must_have_the_frames_aspect(tmp_path):
    path = save(tmp_path, "a.png", BINARY)
    with pytest.raises(MaskError, match="the sides are swapped"):
        read_mask(path, (160, 120))
    with pytest.raises(MaskError, match="its aspect differs"):
        read_mask(path, (240, 500))


def test_empty_mask(tmp_path):
    path = save(tmp_path, "a.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(MaskError, match="is empty: every pixel is background"):
        read_mask(path)
    assert read_mask(path, allow_empty=True).object_ids == ()


def test_photos_are_refused(tmp_path):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(0).normal(0, 12, (*SIZE, 3))
    photo = (np.stack([x, y, x + y], axis=2) + noise).clip(0, 255).astype(np.uint8)
    for name, pixels in [("a.png", photo), ("a.jpg", photo), ("b.png", photo[..., 0])]:
        with pytest.raises(MaskError, match="cannot be a mask"):
            read_mask(save(tmp_path, name, pixels))
    Image.fromarray(photo).quantize(200).save(tmp_path / "p.png")
    with pytest.raises(MaskError, match="cannot be a mask"):
        read_mask(tmp_path / "p.png")


def test_colours_without_black_are_refused(tmp_path):
    pixels = np.where(LABELS[..., None] == 0, (255, 255, 255), BRIGHT).astype(np.uint8)
    with pytest.raises(MaskError, match="no pixel is black"):
        read_mask(save(tmp_path, "a.png", pixels))


def test_jpeg_of_ids_is_refused(tmp_path):
    with pytest.raises(MaskError, match="cannot be a mask"):
        read_mask(save(tmp_path, "a.jpg", (LABELS * 60).astype(np.uint8), quality=60))


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_unreadable_files(tmp_path, content):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    for read in (read_mask, read_labels):
        with pytest.raises(MaskError, match=r"a\.png (does not exist|is not a readable image)"):
            read(path)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6  # show it a quarter clockwise
    # Pillow 13 scrambles an uncompressed TIFF that is turned.
    options = {"compression": "tiff_lzw"} if suffix == ".tif" else {}
    path = save(
        tmp_path, f"turned{suffix}", (LABELS > 0).astype(np.uint8) * 255, exif=exif, **options
    )
    mask = read_mask(path, SIZE[::-1])
    np.testing.assert_array_equal(mask.labels, np.rot90(LABELS > 0, -1))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif", ".gif"])
def test_a_file_of_several_pictures_is_refused(tmp_path, suffix):
    path = tmp_path / f"frames{suffix}"
    frames = [Image.fromarray((k < LABELS).astype(np.uint8) * 255).convert("RGB") for k in (0, 1)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(MaskError, match="has 2 frames or pages, but a mask is one image"):
        read_mask(path)


def test_the_thumbnail_of_a_tiff_is_no_second_page(tmp_path):
    mask = Image.fromarray((LABELS > 0).astype(np.uint8) * 255)
    thumbnail = mask.resize((40, 30))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    mask.save(tmp_path / "a.tif", save_all=True, append_images=[thumbnail])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").labels, LABELS > 0)


def test_an_image_too_large_to_be_a_mask(tmp_path):
    Image.new("1", (20000, 10000)).save(tmp_path / "large.png")
    with pytest.raises(MaskError, match=r"large\.png is larger than 178 megapixels"):
        read_mask(tmp_path / "large.png")


def test_files_named_by_dates_are_numbered_in_order(tmp_path):
    for k, name in ((1, "2024-05-01 20240501093000.png"), (2, "2024-05-02 20240502093000.png")):
        save(tmp_path, name, np.where(k == LABELS, 255, 0).astype(np.uint8))
    np.testing.assert_array_equal(read_mask(tmp_path).labels, LABELS)


def test_truncated_mask(tmp_path):
    write_mask(tmp_path / "a.png", LABELS)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    for read in (read_mask, read_labels):
        with pytest.raises(MaskError, match="is not a readable image"):
            read(tmp_path / "a.png")


# Arrays


@given(hnp.arrays(np.int32, (5, 7), elements=st.integers(0, 2**31 - 1)))
def test_compact_ids(labels):
    compact, ids = compact_ids(labels)
    assert ids == object_ids(labels) == tuple(sorted(set(labels.ravel().tolist()) - {0}))
    np.testing.assert_array_equal(np.array((0, *ids))[compact], labels)
    for new, old in enumerate(ids, start=1):
        np.testing.assert_array_equal(object_mask(compact, new), object_mask(labels, old))


def test_real_masks():
    _, masks = davis_sequence("dog")
    mask = read_mask(masks / "00000.png", (480, 854))
    assert mask.object_ids == (1,)
    frames, _ = davis_sequence("dog")
    with pytest.raises(MaskError, match="cannot be a mask"):
        read_mask(frames / "00000.jpg")


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_tiff_is_read_as_its_orientation_has_it(tmp_path, orientation):
    """Pillow scrambles an uncompressed one with a quarter turn."""
    drawn = np.zeros((32, 48), np.uint8)
    drawn[:5, :9] = 255
    turns = {3: 2, 6: 1, 8: 3}[orientation]  # by which the stored pixels are turned back
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(np.rot90(drawn, turns))
    Image.fromarray(stored).save(tmp_path / "mask.tif", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif").labels, drawn > 0)


def test_a_png_that_ends_before_its_chunks_do_is_told(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path)
    whole = np.fromfile(path, np.uint8)
    assert not is_torn_png(whole)
    assert is_torn_png(whole[:-20])
    assert not is_torn_png(np.zeros(100, np.uint8)), "no PNG at all"
