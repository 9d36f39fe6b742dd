"""Reading videos: frames in = frames out, exactly numbered, in any order, in bounded memory."""

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rotomask.errors import (
    MaskError,
    OptionError,
    RotomaskError,
    TruncatedVideoError,
    VideoError,
)
from rotomask.files import natural_key
from rotomask.masks import read_mask
from rotomask.networks.checkpoints import load_state
from rotomask.video import VideoFrame, open_video, video_file
from rotomask.video.images import read_image
from tests.clips import (
    SIZE,
    davis_sequence,
    picture,
    picture_index,
    tone,
    write_clip,
    write_folder,
)

LONG_GOP = {"g": "250", "bf": "3"}
SHORT_GOP = {"g": "7", "bf": "2"}
OPEN_GOP = {"g": "8", "bf": "3", "x264-params": "open-gop=1"}
CLIPS = [
    ("long-gop.mp4", "libx264", LONG_GOP),
    ("short-gop.mkv", "libx264", SHORT_GOP),
    ("open-gop.mkv", "libx264", OPEN_GOP),
    ("clip.webm", "libvpx-vp9", {"cpu-used": "8"}),
    ("hidden-references.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10"}),
    ("clip.mov", "libx264", SHORT_GOP),
    ("clip.avi", "mpeg4", {"bf": "2"}),
    ("b-frames.avi", "libx264", {"bf": "2"}),
    ("clip.ts", "libx264", SHORT_GOP),
    ("clip.mpg", "mpeg2video", {"g": "6", "bf": "2"}),
    ("hevc.mp4", "libx265", {"x265-params": "log-level=0:keyint=8"}),
    ("intra.avi", "ffv1", {}),
]


def assert_equal_frames(left, right) -> None:
    left, right = list(left), list(right)
    assert [f.index for f in left] == [f.index for f in right]
    assert [f.time_s for f in left] == [f.time_s for f in right]
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def read_until_error(frames) -> tuple[list[VideoFrame], VideoError | None]:
    """The frames that came, and the error that ended them."""
    read: list[VideoFrame] = []
    try:
        read.extend(frames)
    except VideoError as error:
        return read, error
    return read, None


@pytest.mark.parametrize(("name", "codec", "options"), CLIPS, ids=[clip[0] for clip in CLIPS])
def test_frames_in_are_frames_out_in_any_order(tmp_path, monkeypatch, name, codec, options):
    frames = 40
    video = open_video(write_clip(tmp_path / name, frames=frames, codec=codec, options=options))
    forwards = list(video.frames())
    assert [frame.index for frame in forwards] == list(range(frames))
    assert (video.frame_count, video.size, video.fps) == (frames, SIZE, Fraction(25))
    for frame in forwards:
        assert picture_index(frame.image) == frame.index
        assert frame.time_s == pytest.approx(frame.index / 25)
        assert frame.name == f"{frame.index:05d}" == video.frame_name(frame.index)
    assert_equal_frames(video.frames(reverse=True), forwards[::-1])
    assert_equal_frames(video.frames(9, 33), forwards[9:33])
    for index in (0, 1, 8, 13, 39):
        np.testing.assert_array_equal(video.frame(index).image, forwards[index].image)
    monkeypatch.setattr(video_file, "WINDOW_BYTES", 0)  # as for a video too large for one window
    assert_equal_frames(video.frames(2, 37, reverse=True), forwards[2:37][::-1])


def test_range_is_that_of_a_slice(tmp_path):
    video = open_video(write_clip(tmp_path / "a.mp4", frames=10))
    assert [frame.index for frame in video.frames(8, 99)] == [8, 9]
    assert [frame.index for frame in video.frames(8, 99, reverse=True)] == [9, 8]
    assert list(video.frames(5, 5)) == [] == list(video.frames(99))
    with pytest.raises(OptionError, match="count from 0"):
        next(video.frames(-1))
    with pytest.raises(OptionError, match="no frame 10; it has 10"):
        video.frame(10)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_tag_is_honoured(tmp_path, degrees):
    path = write_clip(tmp_path / "phone.mp4", frames=4, rotation=degrees)
    video = open_video(path)
    upright = np.rot90(picture(2), degrees // 90)  # both turn counter-clockwise
    assert video.size == upright.shape[:2]
    assert np.abs(video.frame(2).image.astype(int) - upright).mean() < 5


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
def test_odd_sizes(tmp_path, codec):
    path = write_clip(tmp_path / "odd.mkv", frames=3, codec=codec, size=(47, 61))
    assert [frame.image.shape for frame in open_video(path).frames()] == [(47, 61, 3)] * 3


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times_s = [0, 0.04, 0.1, 0.11, 0.5, 0.517, 1.0]
    options = {"bf": "2", "g": "3"}
    video = open_video(write_clip(tmp_path / "a.mp4", frames=7, times_s=times_s, options=options))
    assert [frame.time_s for frame in video.frames()] == pytest.approx(times_s, abs=1e-3)
    assert_equal_frames(video.frames(reverse=True), list(video.frames())[::-1])


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
def test_clip_that_begins_late_is_whole(tmp_path, name):
    times_s = [5 + index / 25 for index in range(20)]
    video = open_video(write_clip(tmp_path / name, frames=20, times_s=times_s))
    frames = list(video.frames())
    assert [picture_index(frame.image) for frame in frames] == list(range(20))
    assert frames[0].time_s == 0
    assert_equal_frames(video.frames(7, reverse=True), frames[7:][::-1])


@pytest.mark.parametrize("options", [SHORT_GOP, OPEN_GOP], ids=["closed", "open"])
def test_recording_that_begins_between_key_frames(tmp_path, options):
    path = write_clip(tmp_path / "a.ts", frames=60, options=options)
    path.write_bytes(path.read_bytes()[188 * 30 :])
    video = open_video(path)
    frames = list(video.frames())
    indices = [picture_index(frame.image) for frame in frames]
    assert indices == list(range(indices[0], 60))
    assert 0 < indices[0] < 40
    assert video.frame_count == len(frames)
    assert_equal_frames(video.frames(reverse=True), frames[::-1])


def test_joined_recordings_whose_times_begin_anew(tmp_path):
    path = write_clip(tmp_path / "a.ts", frames=20, options=SHORT_GOP)
    path.write_bytes(path.read_bytes() * 2)
    video = open_video(path)
    frames = list(video.frames())
    assert [picture_index(frame.image) for frame in frames] == [*range(20), *range(20)]
    assert_equal_frames(video.frames(reverse=True), frames[::-1])


def test_sound_alone_is_not_a_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=48000)
        for samples in tone(1, stream.codec_context.format.name):
            container.mux(stream.encode(samples))
    with pytest.raises(VideoError, match="has only sound"):
        open_video(path)


def test_folder_in_natural_order_with_any_names(tmp_path):
    names = ["shot 2.png", "shot 10.jpg", "shot 9.webp", "Shot 1.TIFF", "über.bmp"]
    write_folder(tmp_path / "shots.v2", names)
    (tmp_path / "shots.v2" / "notes.txt").write_text("not a frame")
    (tmp_path / "shots.v2" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "shots.v2" / ".shot 3.png.part").write_bytes(b"\0")
    video = open_video(tmp_path / "shots.v2")
    stems = ["Shot 1", "shot 2", "shot 9", "shot 10", "über"]
    assert [frame.name for frame in video.frames()] == stems
    assert [video.frame_name(i) for i in range(video.frame_count)] == stems
    assert (video.name, video.size, video.fps) == ("shots.v2", SIZE, Fraction(24))
    assert [frame.name for frame in video.frames(1, 4, reverse=True)] == stems[1:4][::-1]
    assert open_video(tmp_path / "shots.v2", fps=30).frame(3).time_s == pytest.approx(0.1)
    np.testing.assert_array_equal(video.frame(1).image, picture(0))


def test_one_image_is_a_video_of_one_frame(tmp_path):
    write_folder(tmp_path, ["still.png"])
    (frame,) = open_video(tmp_path / "still.png").frames()
    assert frame.name == "still"


def test_image_types(tmp_path):
    grey = picture(0)[..., 0]
    half = np.full(SIZE, 128, np.uint8)
    folder = tmp_path / "types"
    folder.mkdir()
    Image.fromarray(grey).save(folder / "1-grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "2-sixteen-bit.png")
    Image.fromarray(np.dstack([picture(0), half])).save(folder / "3-alpha.png")
    Image.fromarray(picture(0)).convert("P").save(folder / "4-palette.png")
    Image.fromarray(picture(0)).convert("CMYK").save(folder / "5-cmyk.tiff")
    Image.fromarray(grey.astype(np.float32) / 255).save(folder / "6-float.tiff")
    frames = list(open_video(folder).frames())
    for frame in (frames[0], frames[1], frames[5]):
        np.testing.assert_array_equal(frame.image, np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(frames[2].alpha, half)
    assert [frame.alpha is None for frame in frames] == [True, True, False, True, True, True]
    assert all(frame.image.dtype == np.uint8 for frame in frames)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_honoured(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: show it a quarter clockwise
    options = {"compression": "tiff_lzw"} if suffix == ".tif" else {"quality": 95}
    Image.fromarray(picture(0)).save(tmp_path / f"0{suffix}", exif=exif, **options)
    Image.fromarray(np.rot90(picture(1), -1)).save(tmp_path / f"1{suffix}", quality=95)
    video = open_video(tmp_path)
    assert video.size == SIZE[::-1]
    assert np.abs(video.frame(0).image.astype(int) - np.rot90(picture(0), -1)).mean() < 5


def test_an_animated_png_gives_all_its_frames(tmp_path):
    frames = [Image.fromarray(picture(index)) for index in range(8)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=100)
    video = open_video(tmp_path / "a.png")
    assert [picture_index(frame.image) for frame in video.frames()] == list(range(8))


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".tif"])
def test_other_files_of_several_frames_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(picture(index)) for index in range(3)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for source in (path, tmp_path):
        with pytest.raises(VideoError, match=rf"a\{suffix} has 3 frames or pages"):
            open_video(source)


def test_folder_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError, match="has no images"):
        open_video(tmp_path / "empty")
    write_folder(tmp_path / "twins", ["a.png", "a.jpg"])
    with pytest.raises(VideoError, match="the same name; remove one"):
        open_video(tmp_path / "twins")
    folder = write_folder(tmp_path / "sizes", ["1.png", "2.png", "4.png"])
    write_folder(folder, ["3.png"], size=(48, 65))
    with pytest.raises(VideoError, match=r"3\.png is 65x48 but the first frame is 64x48"):
        open_video(folder)


def test_damaged_image_ends_the_folder(tmp_path):
    folder = write_folder(tmp_path / "a", ["1.png", "2.png", "3.png"])
    data = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(data[: len(data) // 2])
    read, error = read_until_error(open_video(folder).frames())
    assert [frame.name for frame in read] == ["1"]
    assert isinstance(error, TruncatedVideoError)
    assert "2.png is not a readable image" in str(error)
    assert error.frames_read == 1


def test_a_png_that_claims_more_than_it_has_takes_no_memory(tmp_path):
    """OpenCV would allocate the 2.9 GB that the chunk of pixels says it has."""
    path = tmp_path / "a.png"
    Image.fromarray(np.full((8, 12, 3), 7, np.uint8)).save(path)
    data = path.read_bytes()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + bytes.fromhex("b0000000") + b"IDAT" + bytes(40))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from rotomask.errors import VideoError\nfrom rotomask.video.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(Path(sys.argv[1]))\n"
        "except VideoError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    answer = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert int(answer.stdout) < 300 << 10, answer.stderr  # KiB


def test_a_page_without_dimensions_is_damage(tmp_path):
    """Pillow raises a TypeError there. The first page is sound: a frame, but no mask."""
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((8, 12, 3), 7, np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, len(data))  # the next page: no entry
    path.write_bytes(bytes(data) + bytes(6))
    assert (read_image(path)[0] == 7).all()
    with pytest.raises(MaskError, match="is not a readable image"):
        read_mask(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "does not exist"),
        ("empty.mp4", b"", "not a video"),
        ("text.txt", b"not a video\n" * 50, "not a video"),
        ("garbage.mp4", bytes(range(256)) * 8, "not a video"),
        ("garbage.png", bytes(range(256)) * 8, "not a readable image"),
    ],
)
def test_what_is_not_a_video(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        open_video(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.webm", "cut.avi"])
def test_truncated_video_gives_what_is_there_then_raises(tmp_path, name):
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name[4:], "libx264")
    muxer = {"movflags": "faststart"} if name.endswith("mp4") else None
    path = write_clip(tmp_path / name, frames=60, codec=codec, muxer=muxer)
    whole = list(open_video(path).frames())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    read, error = read_until_error(open_video(path).frames())
    assert isinstance(error, TruncatedVideoError)
    assert "frames read" in str(error)
    assert 0 < error.frames_read == len(read) < 60
    assert open_video(path).frame_count == len(read)
    for left, right in zip(read[:-1], whole, strict=False):
        np.testing.assert_array_equal(left.image, right.image)
    backwards, error = read_until_error(open_video(path).frames(reverse=True))
    assert isinstance(error, TruncatedVideoError)
    assert_equal_frames(backwards[::-1], read)


def test_damage_in_mid_stream_raises_after_the_frames_before(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=60, options=LONG_GOP)
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + len(data) // 2
    data[middle : middle + 400] = bytes(i * 37 % 256 for i in range(400))
    path.write_bytes(bytes(data))
    read, error = read_until_error(open_video(path).frames())
    assert isinstance(error, TruncatedVideoError)
    assert [frame.index for frame in read] == list(range(error.frames_read))
    assert 0 < len(read) < 60


def test_memory_does_not_grow_with_length(tmp_path):
    frames, options = 400, {"g": "250", "preset": "ultrafast"}
    path = write_clip(tmp_path / "a.mp4", frames=frames, size=(240, 320), options=options)
    script = f"""
import resource
from pathlib import Path
from rotomask.video import VideoFrame, open_video, video_file
from rotomask.video.images import read_image
video_file.WINDOW_BYTES = 4 << 20
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
video = open_video({str(path)!r})
for _ in video.frames(0, 40): pass
for _ in video.frames(0, 40, reverse=True): pass
early = peak()
assert sum(1 for _ in video.frames()) == {frames}
assert sum(1 for _ in video.frames(reverse=True)) == {frames}
print(peak() - early)
"""
    grown_kib = subprocess.run(  # its own process: the peak of this one is that of other tests
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert int(grown_kib) < 15_000  # the frames together are 46,000 decoded and 92,000 as RGB


def test_size_change_in_mid_stream_is_refused(tmp_path):
    parts = [write_clip(tmp_path / f"{w}.ts", frames=5, size=(48, w)) for w in (64, 96)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(VideoError, match="is 96x48 but the first is 64x48"):
        list(open_video(path).frames())


def test_pixel_aspect_and_frame_rate_are_read(tmp_path):
    path = tmp_path / "dv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", Fraction(30000, 1001))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        container.mux(stream.encode(None))
    video = open_video(path)
    assert video.pixel_aspect == Fraction(16, 15)
    assert video.fps == pytest.approx(30000 / 1001)


def test_real_frames():
    frames, _ = davis_sequence("blackswan")
    video = open_video(frames)
    assert video.size == (480, 854)
    assert video.frame(0).name == "00000"


@given(st.lists(st.text(alphabet="ab01 29._é", max_size=6)))
def test_natural_order_is_total_and_numeric(names):
    ordered = sorted(names, key=natural_key)
    ordered.reverse()
    assert sorted(ordered, key=natural_key) == sorted(names, key=natural_key)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_natural_order_counts(left, right):
    in_order = natural_key(f"f{left}.png") < natural_key(f"f{right}.png")
    assert in_order == (left < right)


def test_bad_fps(tmp_path: Path):
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="fps must be above 0"):
            open_video(tmp_path, fps=fps)


def test_a_file_that_names_other_files_is_not_opened(tmp_path):
    """A script with the name of a video must not make rotomask decode another file."""
    write_clip(tmp_path / "secret.mp4")
    scripts = {
        "concat.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
        "playlist.m3u8": (
            "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mp4\n#EXT-X-ENDLIST\n"
        ),
        "session.sdp": (
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        ),
        "manifest.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    }
    assert open_video(tmp_path / "secret.mp4").frame_count > 0
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoError, match="name other files are not read"):
            open_video(tmp_path / name)


def test_a_relative_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    write_clip(tmp_path / "Interview: take 2.mp4")
    monkeypatch.chdir(tmp_path)
    assert open_video("Interview: take 2.mp4").frame_count > 0


@pytest.mark.parametrize("suffix", [".mp4", ".png", ".pth"])
def test_a_name_too_long_for_the_file_system_is_one_clear_error(tmp_path, suffix):
    path = tmp_path / ("x" * 300 + suffix)
    readers: dict[str, Any] = {".mp4": open_video, ".png": read_mask, ".pth": load_state}
    with pytest.raises(RotomaskError, match="cannot be reached: File name too long"):
        readers[suffix](path)
