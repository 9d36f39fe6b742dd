"""Mattes as OpenEXR: the files hold what the PNG mattes hold, in finer steps, object by object."""

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from rotomask.errors import OptionError
from rotomask.export import export, exporting
from rotomask.export.exr_folder import nearest_objects
from rotomask.masks import write_mask
from rotomask.matting import EdgeControls
from rotomask.video import open_video
from tests.clips import SIZE, write_folder

OpenEXR = pytest.importorskip("OpenEXR")


def labels_of(index: int) -> np.ndarray:
    """A disc, 1, and from the second frame on a bar beside it, 7."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = (np.hypot(y - 20, x - 20) < 14).astype(np.int32)
    if index >= 1:
        labels[38:46, 10:50] = 7
    return np.asarray(labels)


@pytest.fixture
def video(tmp_path):
    video = open_video(write_folder(tmp_path / "shot", ["a.png", "b.png"]))
    for index in range(2):
        write_mask(tmp_path / "out/masks" / f"{video.frame_name(index)}.png", labels_of(index))
    return video


def channels(path):
    with OpenEXR.File(str(path), separate_channels=True) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}


def test_half_floats_round_trip_and_objects_add_up(video, tmp_path):
    rows = np.linspace(0, 255, SIZE[0]).round().astype(np.uint8)
    soft = np.repeat(rows[:, None], SIZE[1], axis=1)
    (tmp_path / "out/mattes").mkdir()
    for name in ("a", "b"):
        Image.fromarray(soft).save(tmp_path / "out/mattes" / f"{name}.png")
    folder = export(video, tmp_path / "out", ["exr"])["exr"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.exr", "b.exr"]
    first, second = channels(folder / "a.exr"), channels(folder / "b.exr")
    assert set(first) == {"A", "Y", "object1.A"}
    assert set(second) == {"A", "Y", "object1.A", "object7.A"}
    for found in (first, second):
        assert all(pixels.dtype == np.float16 for pixels in found.values())
        np.testing.assert_array_equal((found["A"].astype(np.float32) * 255).round(), soft)
        np.testing.assert_array_equal(found["Y"], found["A"])
        objects = [pixels for name, pixels in found.items() if name.startswith("object")]
        np.testing.assert_array_equal(sum(objects), found["A"])
    bar = labels_of(1) == 7
    np.testing.assert_array_equal(second["object7.A"][bar], second["A"][bar])
    assert not second["object1.A"][bar].any()


def test_another_reader_sees_the_same_picture(video, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_IO_ENABLE_OPENEXR", "1")
    folder = export(video, tmp_path / "out", ["exr"])["exr"]
    own = channels(folder / "b.exr")["Y"]
    try:
        seen = cv2.imread(str(folder / "b.exr"), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        pytest.skip(f"this OpenCV reads no EXR: {error.err}")
    if seen is None:
        pytest.skip("this OpenCV reads no EXR")
    shown = seen if seen.ndim == 2 else seen[..., 0]
    np.testing.assert_allclose(shown, own.astype(np.float32), atol=1e-3)


def test_edges_are_finer_than_eight_bits(video, tmp_path):
    edges = EdgeControls(feather_px=8)
    folder = export(video, tmp_path / "out", ["exr"], edges=edges)["exr"]
    alpha = channels(folder / "b.exr")["A"].astype(np.float32)
    steps = alpha * 255
    assert np.abs(steps - steps.round()).max() > 0.2
    assert ((alpha >= 0) & (alpha <= 1)).all()


def test_each_pixel_belongs_to_the_nearest_object():
    labels = labels_of(1)
    index = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    exact = labels[tuple(index)]
    found = nearest_objects(labels)
    assert (found == exact).mean() > 0.99  # OpenCV's distance is a close approximation
    np.testing.assert_array_equal(found[labels > 0], labels[labels > 0])
    assert not nearest_objects(np.zeros(SIZE, np.int32)).any()


def test_without_openexr_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'rotomask\[exr\]'"):
        exporting.check_formats(iter(["overlay", "exr"]))
