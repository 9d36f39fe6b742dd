"""Users' own training data: stills, clips and COCO JSON; and what can be wrong with it."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as rle

from rotomask.data.training.clips import find_videos
from rotomask.data.training.images import read_labels
from rotomask.data.training.stills import JoinedStills, find_stills
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import DatasetError
from rotomask.masks import write_mask
from rotomask.masks.segmentations import segmentation_fault
from rotomask.training.clip_data import Stage, open_clip_data

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools' own, under numpy 2
)


def _save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def clips(tmp_path):
    """Two clips with two objects each, as a user has them: frames/NAME and masks/NAME."""
    for seed in range(2):
        frames, labels = moving_shapes(seed, frames=5, size=(72, 96), objects=2)
        for t in range(5):
            _save(tmp_path / "frames" / f"clip-{seed}" / f"{t}.jpg", frames[t])
            target = tmp_path / "masks" / f"clip-{seed}" / f"{t}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_mask(target, labels[t])
    return tmp_path


def test_clips_of_frames_and_masks_keep_object_ids(clips):
    videos = find_videos(clips)
    assert [v.name for v in videos] == ["clip-0", "clip-1"]
    frame, labels = videos[0].read(3)
    expected = moving_shapes(0, frames=5, size=(72, 96), objects=2)[1][3]
    assert frame.shape == (72, 96, 3)
    assert (labels == expected).all()


def test_clips_alone_are_enough_also_for_more_objects_than_they_have(clips):
    data, held_out = open_clip_data({"clips": clips}, held_out=("clip-1",), needs=("videos",))
    assert [v.name for v in held_out] == ["clip-1"]
    stage = Stage(steps=1, batch=2, frames=3, size=32, real=1.0, objects=(0.0, 0.0, 1.0))
    batch = data.batch(stage, 0.0, (0,))
    assert batch["source"].tolist() == [0, 0]
    assert batch["ids"][batch["ids"] < 255].max() == 3


def test_a_mask_of_another_size_than_its_frame_is_named(clips):
    write_mask(clips / "masks" / "clip-0" / "0.png", np.ones((10, 10), np.int32))
    with pytest.raises(DatasetError, match=r"0\.png is 10×10, its image 96×72"):
        find_videos(clips)


def test_a_damaged_mask_or_image_is_named(clips):
    (clips / "masks" / "clip-0" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"1\.png"):
        find_videos(clips)
    (clips / "masks" / "clip-0" / "1.png").unlink()
    jpeg = clips / "frames" / "clip-0" / "2.jpg"
    whole = jpeg.read_bytes()
    jpeg.write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"cannot read .*2\.jpg"):
        find_videos(clips)
    jpeg.write_bytes(whole[:300])  # the header is whole: named when it is read
    with pytest.raises(DatasetError, match=r"cannot read .*2\.jpg"):
        find_videos(clips)[0].read(1)


def test_ids_beyond_a_byte_are_refused(tmp_path):
    write_mask(tmp_path / "m.png", np.full((8, 8), 300, np.int32))
    with pytest.raises(DatasetError, match="has object 300"):
        read_labels(tmp_path / "m.png")


@pytest.fixture
def coco(tmp_path):
    """One image with a polygon, a plain RLE, a compressed RLE and a crowd; one without objects."""
    image = moving_shapes(0, frames=1, size=(60, 80))[0][0]
    _save(tmp_path / "images" / "a.jpg", image)
    _save(tmp_path / "images" / "b.jpg", image)
    square = np.zeros((60, 80), np.uint8, order="F")
    square[40:50, 60:70] = 1
    packed = rle.encode(square)
    packed["counts"] = packed["counts"].decode()
    strip = np.zeros((60, 80), np.uint8)
    strip[:, :3] = 1
    annotations: list[dict[str, object]] = [
        {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]},
        {"segmentation": {"size": [60, 80], "counts": [0, 180, 60 * 80 - 180]}},
        {"segmentation": packed},
        {"segmentation": {"size": [60, 80], "counts": [0, 60 * 80]}, "iscrowd": 1},
    ]
    content = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 60, "width": 80},
            {"id": 8, "file_name": "b.jpg", "height": 60, "width": 80},
        ],
        "annotations": [{"id": i, "image_id": 7, **a} for i, a in enumerate(annotations)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path / "instances.json"


def test_coco_instances_become_labels(coco):
    stills = find_stills(coco)
    assert len(stills) == 1, "an image without objects is left out"
    image, labels = stills[0]
    assert image.shape == (60, 80, 3)
    sizes = sorted(int((labels == k).sum()) for k in np.unique(labels) if k)
    assert sizes == [100, 180, 400]
    assert labels[20, 20] == 1, "the largest comes first, smaller ones lie over it"


def test_coco_that_cannot_be_used_says_why(coco, tmp_path):
    (coco.parent / "images" / "a.jpg").rename(coco.parent / "elsewhere.jpg")
    with pytest.raises(DatasetError, match=r"such as a\.jpg"):
        find_stills(coco)
    other = tmp_path / "other.json"
    other.write_text('{"images": []}')
    with pytest.raises(DatasetError, match="not a COCO annotation file"):
        find_stills(other)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[0, 0, float("inf"), 0, 9, 9]], "not a finite number"),
        ([[0, 0, float("nan"), 0, 9, 9]], "not a finite number"),
        ([[0, 0, 1e9, 0, 9, 9]], "far outside the image of 80x60"),
        ([[0, 0, 9, 9]], "three points or more"),
        ([["a"] * 6], "not a finite number"),
        ("abc", "polygons or an RLE, got str"),
        ({"size": [60, 80], "counts": [10, 20]}, "add up to 30, the image has 4800"),
        ({"size": [60, 80], "counts": [5000, -200]}, "no counts of 0 and above"),
        ({"size": [6, 8], "counts": [0, 48]}, r"of size \[6, 8\], the image \[60, 80\]"),
        ({"size": [60, 80], "counts": "04"}, "add up to 4, the image has 4800"),
        ({"size": [60, 80], "counts": "o"}, "no counts of 0 and above"),
    ],
)
def test_a_damaged_segmentation_is_named_before_the_run(coco, segmentation, message):
    content = json.loads(coco.read_text())
    content["annotations"][0]["segmentation"] = segmentation
    coco.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"object 1 of a\.jpg: .*{message}"):
        find_stills(coco)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 1)))
def test_every_compressed_mask_of_coco_is_sound(mask):
    packed = rle.encode(np.asfortranarray(mask))
    height, width = mask.shape
    assert segmentation_fault(packed, height, width) is None
    assert segmentation_fault(packed, height, width + 1) is not None


def test_an_image_of_another_size_than_its_annotation_is_named_before_the_run(coco):
    _save(coco.parent / "images" / "a.jpg", np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"a\.jpg is 40×30, its annotation 80×60"):
        find_stills(coco)


def test_collections_are_joined(coco, tmp_path):
    folder = tmp_path / "own"
    image = moving_shapes(3, frames=1, size=(40, 50))
    for i in range(2):
        _save(folder / "images" / f"{i}.png", image[0][0])
        _save(folder / "masks" / f"{i}.png", image[1][0] * 255)
    joined = JoinedStills([find_stills(coco), find_stills(folder)])
    assert len(joined) == 3
    assert [joined[i][0].shape[:2] for i in range(3)] == [(60, 80), (40, 50), (40, 50)]
    assert set(np.unique(joined[2][1])) == {0, 1}
