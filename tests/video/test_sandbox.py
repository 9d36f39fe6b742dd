"""Decoding in a process of its own: the same frames, and nothing that the process does harms."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rotomask.errors import OptionError, TruncatedVideoError, VideoError
from rotomask.video import open_video
from rotomask.video.sandbox import Limits, SandboxedVideo, transcode
from tests.clips import write_clip, write_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=6, sound="aac")


def test_the_same_frames_as_without(clip, tmp_path):
    plain, video = open_video(clip), open_video(clip, sandbox=True)
    assert (video.size, video.fps, video.frame_count, video.name) == (
        *(plain.size, plain.fps, plain.frame_count),
        plain.name,
    )
    for mine, its in zip(video.frames(1, 4), plain.frames(1, 4), strict=True):
        np.testing.assert_array_equal(mine.image, its.image)
        assert (mine.index, mine.name, mine.time_s) == (its.index, its.name, its.time_s)
    assert [frame.index for frame in video.frames(2, 5, reverse=True)] == [4, 3, 2]
    assert not video.has_sound
    folder = write_folder(tmp_path / "frames", ["a1.png", "a2.png"])
    assert [frame.name for frame in SandboxedVideo(folder).frames()] == ["a1", "a2"]


def test_errors_are_those_of_the_video(clip, tmp_path):
    (tmp_path / "text.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    with pytest.raises(VideoError, match="is not a video"):
        open_video(tmp_path / "text.mp4", sandbox=True)
    with pytest.raises(VideoError, match="does not exist"):
        open_video(tmp_path / "none.mp4", sandbox=True)
    folder = write_folder(tmp_path / "frames", ["0.png", "1.png", "2.png"])
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:70])
    frames = SandboxedVideo(folder).frames()
    assert next(frames).index == 0
    with pytest.raises(TruncatedVideoError, match=r"1\.png"):
        next(frames)
    with pytest.raises(OptionError, match="neither fps"):
        open_video(clip, 25, sandbox=True)


@posix
def test_too_much_memory_is_one_error(clip):
    with pytest.raises(VideoError, match=r"within the limits of the sandbox.*100 MiB"):
        SandboxedVideo(clip, Limits(memory_mib=100))
    for nothing in ({"memory_mib": 0}, {"cpu_seconds": 0}, {"stall_seconds": float("nan")}):
        with pytest.raises(OptionError, match="above 0"):
            Limits(**nothing)


@posix
def test_the_process_writes_no_file_and_ends(clip, tmp_path):
    """A pipe that nobody writes to is opened for ever: the process is ended in time."""
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="no frame came for 3 s"):
        SandboxedVideo(tmp_path / "pipe.mp4", Limits(stall_seconds=3))


def test_a_transcoded_file_has_the_frames(clip, tmp_path):
    assert transcode(clip, tmp_path / "safe.mp4") == 6
    for mine, its in zip(
        open_video(tmp_path / "safe.mp4").frames(), open_video(clip).frames(), strict=True
    ):
        assert np.abs(mine.image.astype(int) - its.image).mean() < 4
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoError):
        transcode(tmp_path / "bad.mp4", tmp_path / "none.mp4")
    assert not (tmp_path / "none.mp4").exists()
