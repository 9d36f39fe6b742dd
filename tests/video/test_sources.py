"""Videos that are no files, and what every video offers: length, indexing, a picture strip."""

import base64
import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.errors import OptionError, ShapeError, VideoError
from rotomask.video import open_video
from rotomask.video.live_camera import Camera
from tests.clips import SIZE, picture, picture_index, write_clip, write_folder

FRAMES = 7


@pytest.fixture(params=["file", "folder", "array", "list"])
def video(request, tmp_path):
    frames = np.stack([picture(t) for t in range(FRAMES)])
    if request.param == "file":
        return open_video(write_clip(tmp_path / "clip.mp4", frames=FRAMES))
    if request.param == "folder":
        return open_video(write_folder(tmp_path / "shot", [f"{t}.png" for t in range(FRAMES)]))
    return open_video(frames if request.param == "array" else list(frames), fps=25)


def test_every_video_has_a_length_indices_and_a_description(video):
    assert len(video) == FRAMES
    assert picture_index(video[2]) == 2
    assert picture_index(video[-1]) == FRAMES - 1
    assert video[1:4].shape == (3, *SIZE, 3)
    assert [picture_index(image) for image in video[::3]] == [0, 3, 6]
    assert video[5:5].shape == (0, *SIZE, 3)
    assert [picture_index(image) for image in video] == list(range(FRAMES))
    with pytest.raises(IndexError, match="frames 0 to 6, got 7"):
        video[FRAMES]
    assert re.search(rf"{FRAMES} frames, 64x48, 2[45] frames/s", repr(video))


def test_notebooks_show_a_strip_of_frames(video):
    page = video._repr_html_()
    images = re.findall(r"base64,([^\"]+)", page)
    assert len(images) == 6
    with Image.open(io.BytesIO(base64.b64decode(images[-1]))) as last:
        assert picture_index(np.asarray(last)) == FRAMES - 1
    assert "64x48" in page


def test_videos_in_memory_are_read_in_any_order(tmp_path):
    video = open_video([picture(t) for t in range(FRAMES)])
    assert [f.index for f in video.frames(2, 5, reverse=True)] == [4, 3, 2]
    assert [f.name for f in video.frames(0, 2)] == ["00000", "00001"]
    assert open_video(video) is video
    assert len(open_video(picture(0))) == 1  # one frame alone
    assert len(open_video(picture(t) for t in range(3))) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([], VideoError, "no frames"),
        (np.zeros((4, 3, 48, 64), np.uint8), ShapeError, "H×W×3"),
        (np.zeros((4, 48, 64), np.uint8), ShapeError, "T×H×W×3"),
        (np.zeros((2, 48, 64, 3), np.float32), ShapeError, "uint8"),
        ([picture(0), picture(1)[1:]], ShapeError, "size"),
    ],
)
def test_frames_of_a_wrong_kind_are_named(frames, error, message):
    with pytest.raises(error, match=message):
        open_video(frames)


def test_camera_gives_each_frame_once(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", frames=FRAMES, codec="mpeg4")
    camera = Camera(cv2.VideoCapture(str(clip)))
    assert camera.size == SIZE
    assert "live, 64x48" in repr(camera)
    assert [picture_index(f.image) for f in camera.frames(0, 3)] == [0, 1, 2]
    assert [f.index for f in camera.frames(4)] == [4, 5, 6]  # up to its end
    with pytest.raises(OptionError, match="cannot be read again"):
        next(camera.frames(0))
    with pytest.raises(OptionError, match=r"has no end; use rotomask\.track"):
        len(camera)
    camera.close()


def test_camera_is_tracked_live_and_not_cut(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", frames=FRAMES, codec="mpeg4")
    mask = np.zeros(SIZE, bool)
    mask[:12, :16] = True
    camera = Camera(cv2.VideoCapture(str(clip)))
    tracked = rotomask.track(camera, mask, device="cpu", enlarge="never")
    assert len(list(tracked)) == FRAMES
    with pytest.raises(OptionError, match="has no end"):
        rotomask.cut(Camera(cv2.VideoCapture(str(clip))), mask, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(VideoError, match="there is no camera 77"):
        open_video(77)
