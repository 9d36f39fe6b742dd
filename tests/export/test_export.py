"""The output formats: each decodes back to the masks it was made from."""

import json
import os

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from rotomask.errors import MaskError, OptionError, OutputError, TruncatedVideoError
from rotomask.export import FORMATS, export
from rotomask.export.shapes import to_polygons, to_rle
from rotomask.masks import write_mask
from rotomask.matting import EdgeControls
from rotomask.video import Video, open_video
from tests.clips import SIZE, davis_sequence, picture, picture_index, write_clip, write_folder

FRAMES = 8

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools' own, under numpy 2
)


def labels_of(index: int) -> npt.NDArray[np.int32]:
    """A disc with a hole that moves, 1, and from frame 3 on a bar, 7."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(y - 20, x - 20 - index)
    labels: npt.NDArray[np.int32] = ((distance < 14) & (distance > 5)).astype(np.int32)
    if index >= 3:
        labels[38:46, 10:50] = 7
    return labels


@pytest.fixture
def video(tmp_path) -> Video:
    return open_video(write_folder(tmp_path / "shot", [f"shot {k}.png" for k in range(FRAMES)]))


@pytest.fixture
def folder(tmp_path, video):
    for index in range(FRAMES):
        write_mask(tmp_path / "out/masks" / f"{video.frame_name(index)}.png", labels_of(index))
    return tmp_path / "out"


def rasterised(polygons) -> npt.NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    for ring in polygons:
        cv2.fillPoly(mask, [np.array(r) for r in (ring["outer"], *ring["holes"])], 1)
    return mask


def iou(left, right) -> float:
    return float((left & right).sum() / (left | right).sum())


def test_all_formats_at_once(video, folder):
    seen: list[tuple[int, int]] = []
    paths = export(video, folder, FORMATS, on_progress=lambda done, n: seen.append((done, n)))
    assert list(paths) == list(FORMATS)
    assert all(path.exists() for path in paths.values())
    assert seen == [(k, FRAMES) for k in range(1, FRAMES + 1)]
    assert sorted(path.name for path in folder.iterdir()) == [
        "annotations.json",
        "contact_sheet.png",
        "cutout.mov",
        "cutout.webm",
        "exr",
        "instances.json",
        "masks",
        "mattes",
        "outline.mp4",
        "overlay.mp4",
        "polygons.json",
        "rgba",
        "side_by_side.mp4",
    ]
    assert not list(folder.rglob(".*"))
    for name in ("overlay", "webm", "prores"):
        frames = list(open_video(paths[name]).frames())
        assert len(frames) == FRAMES
    for index in range(FRAMES):
        with Image.open(paths["rgba"] / f"shot {index}.png") as image:
            pixels = np.asarray(image)
        with Image.open(paths["mattes"] / f"shot {index}.png") as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(pixels[..., 3], np.asarray(image))
        assert iou(pixels[..., 3] > 127, labels_of(index) > 0) > 0.95


def test_overlay_keeps_frames_times_and_sound(tmp_path):
    source = open_video(write_clip(tmp_path / "a.mkv", frames=FRAMES, sound="aac"))
    for index in range(FRAMES):
        write_mask(tmp_path / "masks" / f"{index:05d}.png", np.zeros(SIZE, np.int32))
    path = export(source, tmp_path, ["overlay"])["overlay"]
    copy = open_video(path)
    assert [picture_index(frame.image) for frame in copy.frames()] == list(range(FRAMES))
    assert copy.has_sound
    assert copy.fps == source.fps


def test_outline_leaves_the_inside_and_side_by_side_shows_the_source(video, folder):
    paths = export(video, folder, ["overlay", "outline", "side-by-side"])
    source = video.frame(5).image.astype(int)
    shown = {name: open_video(path).frame(5).image.astype(int) for name, path in paths.items()}
    assert shown["side-by-side"].shape == (SIZE[0], 2 * SIZE[1], 3)
    half = shown["side-by-side"][:, : SIZE[1]]
    assert np.abs(half - source).mean() < 12  # lossy, and chroma at half size
    difference = np.abs(shown["side-by-side"][:, SIZE[1] :] - shown["overlay"]).mean()
    assert difference < np.abs(half - shown["overlay"]).mean()
    inside = cv2.erode((labels_of(5) == 7).astype(np.uint8), np.ones((5, 5))) > 0
    assert inside.any()
    changed = {name: np.abs(shown[name] - source)[inside].mean() for name in ("overlay", "outline")}
    assert changed["outline"] < changed["overlay"] / 2


def test_soft_mattes_on_disk_are_used(video, folder):
    soft = np.full(SIZE, 77, np.uint8)
    (folder / "mattes").mkdir()
    for index in range(FRAMES):
        Image.fromarray(soft).save(folder / "mattes" / f"shot {index}.png")
    paths = export(video, folder, ["rgba", "mattes"])
    for name in ("rgba", "mattes"):
        with Image.open(paths[name] / "shot 4.png") as image:
            np.testing.assert_array_equal(
                np.asarray(image)[..., -1] if name == "rgba" else image, 77
            )


def test_what_was_transparent_stays_so(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.dstack([picture(0), labels_of(0).astype(np.uint8) * 200])).save(
        tmp_path / "in/a.png"
    )
    write_mask(tmp_path / "masks/a.png", np.ones(SIZE, np.int32))
    export(open_video(tmp_path / "in"), tmp_path, ["rgba"])
    with Image.open(tmp_path / "rgba/a.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 3], labels_of(0) * 200)


def test_coco_decodes_to_the_masks(video, folder):
    path = export(video, folder, ["coco"])["coco"]
    coco = COCO(path)  # the official reader
    assert [image["file_name"] for image in coco.imgs.values()] == [
        f"shot {k}.png" for k in range(FRAMES)
    ]
    for index in range(FRAMES):
        annotations = coco.imgToAnns[index + 1]
        labels = np.zeros(SIZE, np.int32)
        for annotation in annotations:
            mask = coco.annToMask(annotation)
            labels[mask == 1] = annotation["object_id"]
            assert annotation["area"] == mask.sum()
            x, y, width, height = annotation["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
        np.testing.assert_array_equal(labels, labels_of(index))


def test_youtube_vis_has_a_track_for_each_object(video, folder):
    path = export(video, folder, ["youtube-vis"])["youtube-vis"]
    data = json.loads(path.read_text())
    (about,) = data["videos"]
    assert (about["length"], about["height"], about["width"]) == (FRAMES, *SIZE)
    assert about["file_names"][2] == "shot/shot 2.png"
    assert [track["id"] for track in data["annotations"]] == [1, 7]
    for track in data["annotations"]:
        for index, rle in enumerate(track["segmentations"]):
            there = labels_of(index) == track["id"]
            assert (rle is None) == (track["areas"][index] is None) == (not there.any())
            assert (rle is None) == (track["bboxes"][index] is None)
            if rle is not None:
                np.testing.assert_array_equal(coco_mask.decode(rle), there)


def test_polygons_give_back_the_shapes(video, folder):
    path = export(video, folder, ["polygons"])["polygons"]
    data = json.loads(path.read_text())
    assert (data["height"], data["width"]) == SIZE
    for index, frame in enumerate(data["frames"]):
        assert (frame["name"], frame["index"]) == (f"shot {index}", index)
        for item in frame["objects"]:
            mask = labels_of(index) == item["object_id"]
            assert iou(rasterised(item["polygons"]), mask) > 0.95
    assert len(data["frames"][0]["objects"][0]["polygons"][0]["holes"]) == 1


@given(hnp.arrays(np.bool_, SIZE, elements=st.booleans(), fill=st.booleans()))
@settings(max_examples=30)
def test_run_lengths_and_exact_polygons_of_any_mask(mask):
    np.testing.assert_array_equal(coco_mask.decode(to_rle(mask)), mask)
    covered = rasterised(to_polygons(mask, tolerance_px=0))
    assert not (mask & ~covered.astype(bool)).any()  # thin holes may close, nothing is lost


def test_range_and_progress(video, folder):
    paths = export(video, folder, ["rgba", "overlay"], start=2, stop=5)
    assert sorted(path.stem for path in paths["rgba"].iterdir()) == ["shot 2", "shot 3", "shot 4"]
    assert open_video(paths["overlay"]).frame_count == 3


def test_missing_masks(video, folder):
    for index in (3, 5):
        (folder / "masks" / f"shot {index}.png").unlink()
    with pytest.raises(MaskError, match=r"2 of 8 masks are missing, first .*shot 3\.png"):
        export(video, folder, ["coco"])
    assert not (folder / "annotations.json").exists()
    path = export(video, folder, ["overlay"], partial=True)["overlay"]
    assert open_video(path).frame_count == 6
    with pytest.raises(MaskError, match="cut the video first"):
        export(video, folder / "elsewhere", ["overlay"], partial=True)


def test_bad_options(video, folder):
    with pytest.raises(OptionError, match="no format 'gif'; choose from overlay, outline"):
        export(video, folder, ["gif"])
    with pytest.raises(OptionError, match="no frame lies between"):
        export(video, folder, ["coco"], start=99)


def test_masks_of_another_size(video, folder):
    write_mask(folder / "masks/shot 4.png", np.ones((10, 10), int))
    with pytest.raises(MaskError, match="is 10x10 but its frame is 64x48"):
        export(video, folder, ["overlay", "coco", "youtube-vis"])
    assert sorted(path.name for path in folder.iterdir()) == ["masks"]


def test_interrupt_leaves_no_half_file(video, folder):
    def interrupt(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(video, folder, FORMATS, on_progress=interrupt)
    assert sorted(path.name for path in folder.iterdir()) == ["exr", "masks", "mattes", "rgba"]
    assert not list(folder.rglob("*.part"))
    for path in [*folder.glob("rgba/*"), *folder.glob("mattes/*")]:
        with Image.open(path) as image:
            image.load()


def test_truncated_video_is_exported_as_far_as_it_goes(tmp_path):
    path = write_clip(tmp_path / "a.mkv", frames=60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    video = open_video(path)
    for index in range(video.frame_count):
        write_mask(tmp_path / "masks" / f"{index:05d}.png", labels_of(0))
    with pytest.raises(TruncatedVideoError):
        export(video, tmp_path, ["overlay"])
    assert open_video(tmp_path / "overlay.mp4").frame_count == video.frame_count


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written(video, folder):
    folder.chmod(0o500)
    with pytest.raises(OutputError, match="no permission"):
        export(video, folder, ["overlay"])


def test_unwritable_output(video, folder):
    (folder / "rgba").write_text("in the way")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        export(video, folder, ["overlay", "rgba"])
    assert not (folder / "overlay.mp4").exists()


def test_real_sequence(tmp_path):
    frames, masks = davis_sequence("kite-surf")  # thin strings: hard for polygons
    video = open_video(frames)
    with Image.open(masks / "00000.png") as image:
        mask = np.asarray(image) > 0
    write_mask(tmp_path / "masks/00000.png", mask.astype(np.uint8))
    paths = export(video, tmp_path, ["coco", "polygons", "overlay"], stop=1)
    (annotation,) = json.loads(paths["coco"].read_text())["annotations"]
    np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]), mask)


def test_edge_controls_change_cutouts_alone(video, folder):
    """Choke and feather act on cut-outs; masks, mattes and the overlay stay as they are."""
    plain = export(video, folder, ["rgba"])["rgba"] / "shot 4.png"
    before = np.asarray(Image.open(plain))
    mask = (folder / "masks/shot 4.png").read_bytes()
    export(video, folder, ["rgba"], edges=EdgeControls())
    np.testing.assert_array_equal(np.asarray(Image.open(plain)), before)
    export(video, folder, ["rgba", "mattes"], edges=EdgeControls(choke_px=2))
    choked = np.asarray(Image.open(plain))
    assert choked[..., 3].sum() < 0.8 * before[..., 3].sum()
    matte = np.asarray(Image.open(folder / "mattes/shot 4.png"))
    np.testing.assert_array_equal(matte, before[..., 3])
    export(video, folder, ["rgba", "webm", "prores"], edges=EdgeControls(feather_px=6))
    soft = np.asarray(Image.open(plain))[..., 3]
    assert ((soft > 10) & (soft < 245)).sum() > 2 * (
        (before[..., 3] > 10) & (before[..., 3] < 245)
    ).sum()
    for name in ("cutout.webm", "cutout.mov"):
        alpha = open_video(folder / name).frame(4).alpha
        assert np.abs(alpha.astype(int) - soft).mean() < 6  # type: ignore[union-attr]
    assert (folder / "masks/shot 4.png").read_bytes() == mask


def test_despill_takes_the_background_out_of_soft_pixels(tmp_path):
    """A red disc over green with a soft matte: no green is left in the cut-out's edge."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    soft = ((18 - np.hypot(y - 24, x - 32)) / 6).clip(0, 1)
    image = np.stack([200 * soft, 200 * (1 - soft), 0 * soft], axis=2).round().astype(np.uint8)
    for kind in ("in", "mattes"):
        (tmp_path / kind).mkdir()
    Image.fromarray(image).save(tmp_path / "in/a.png")
    Image.fromarray((255 * soft).round().astype(np.uint8)).save(tmp_path / "mattes/a.png")
    write_mask(tmp_path / "masks/a.png", (soft > 0.5).astype(np.int32))
    greens = []
    for despill in (False, True):
        export(open_video(tmp_path / "in"), tmp_path, ["rgba"], edges=EdgeControls(despill=despill))
        pixels = np.asarray(Image.open(tmp_path / "rgba/a.png"))
        edge = (soft > 0.3) & (soft < 0.7)
        greens.append(pixels[edge][:, 1].mean())
        np.testing.assert_array_equal(pixels[soft >= 1][:, :3], image[soft >= 1])
    assert greens[0] > 40
    assert greens[1] < 10
