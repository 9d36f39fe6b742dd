"""Writing videos: what was put in comes out of a decoder, whole or not at all."""

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from rotomask.errors import OutputError, ShapeError
from rotomask.video import PRORES_4444, VP9_ALPHA, VideoWriter, h264, open_video
from rotomask.video import writer as writer_module
from tests.clips import SIZE, picture, picture_index, write_clip, write_folder


def disc_alpha(size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A disc with a soft edge, and a patch of half transparency."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(y - size[0] / 2, x - size[1] / 2)
    alpha = ((size[0] / 3 - distance) * 0.3 + 0.5).clip(0, 1) * 255
    alpha[:10, :12] = 128
    result: npt.NDArray[np.uint8] = alpha.astype(np.uint8)
    return result


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(**{kind: 0}) if p.size]


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def rewrite(source: Path, target: Path, start: int = 0, stop: int | None = None) -> None:
    video = open_video(source)
    with VideoWriter(target, video.size, video.fps, h264(), sound_from=video) as writer:
        for frame in video.frames(start, stop):
            writer.write(frame.image, frame.time_s)


@pytest.mark.parametrize("size", [(48, 64), (47, 61), (120, 33)])
def test_overlay_video_plays_everywhere_at_any_size(tmp_path, size):
    path = tmp_path / "new folder" / "overlay.mp4"
    with VideoWriter(path, size, Fraction(30000, 1001), h264()) as writer:
        for index in range(12):
            writer.write(picture(index, size))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30000, 1001)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # it starts to play before it is loaded
    frames = list(open_video(path).frames())
    assert [picture_index(f.image[: size[0], : size[1]]) for f in frames] == list(range(12))
    assert frames[0].image.shape[:2] == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    difference = frames[3].image[: size[0], : size[1]].astype(int) - picture(3, size)
    assert np.abs(difference).mean() < 5  # the colour matrix is the one that is tagged
    assert abs(difference.mean()) < 1
    assert [p.name for p in path.parent.iterdir()] == ["overlay.mp4"]


@pytest.mark.parametrize(
    ("name", "encoding"), [("cutout.webm", VP9_ALPHA), ("cutout.mov", PRORES_4444)]
)
@pytest.mark.parametrize("size", [(48, 64), (47, 61)])
def test_transparency_survives(tmp_path, name, encoding, size):
    alpha = disc_alpha(size)
    with VideoWriter(tmp_path / name, size, 25, encoding) as writer:
        for index in range(5):
            writer.write(np.dstack([picture(index, size), alpha]))
    video = open_video(tmp_path / name)
    frames = list(video.frames())
    assert [picture_index(frame.image) for frame in frames] == list(range(5))
    assert video.size == size
    for frame in frames:
        assert frame.alpha is not None
        assert np.abs(frame.alpha.astype(int) - alpha).max() <= 12
        assert np.abs(frame.alpha.astype(int) - alpha).mean() < 1


@pytest.mark.parametrize("size", [(48, 64), (47, 61)])
def test_alpha_that_is_encoded_after_the_colours_gives_the_same_file(tmp_path, monkeypatch, size):
    monkeypatch.setattr(writer_module, "LARGE_FRAME_PIXELS", 0)
    sound = open_video(write_clip(tmp_path / "sound.mkv", frames=9, sound="libopus"))
    for name, is_apart in (("apart.webm", True), ("together.webm", False)):
        encoding = replace(VP9_ALPHA, large_alpha_apart=is_apart)
        with VideoWriter(tmp_path / name, size, 25, encoding, sound_from=sound) as writer:
            for index in range(9):
                alpha = np.roll(disc_alpha(size), index, axis=1)
                writer.write(np.dstack([picture(index, size), alpha]))
    assert (tmp_path / "apart.webm").read_bytes() == (tmp_path / "together.webm").read_bytes()
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".mkv", ".webm", ".webm"]


def test_variable_frame_rate_is_kept_from_the_first_picture_on(tmp_path):
    times_s = [0, 0.04, 0.1, 0.11, 0.5, 0.517, 1.0]
    with VideoWriter(tmp_path / "a.mp4", SIZE, 25, h264()) as writer:
        for index, time_s in enumerate(times_s):
            writer.write(picture(index), time_s + 2)
    video = open_video(tmp_path / "a.mp4")
    assert [frame.time_s for frame in video.frames()] == pytest.approx(times_s, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "copied"),
    [
        ("aac.mp4", "aac", True),
        ("mp3.mkv", "libmp3lame", True),
        ("opus.mkv", "libopus", True),
        ("pcm.mov", "pcm_s16le", False),
        ("ac3.mkv", "ac3", False),
        ("aac.ts", "aac", True),
    ],
)
def test_sound_is_kept_and_cut_with_the_pictures(tmp_path, name, codec, copied):
    source = write_clip(tmp_path / name, frames=50, sound=codec)
    rewrite(source, tmp_path / "all.mp4")
    assert sound_seconds(tmp_path / "all.mp4") == pytest.approx(2, abs=0.07)
    if copied and name != "aac.ts":  # MPEG-TS wraps each packet in a header
        new, old = packets(tmp_path / "all.mp4", "audio"), packets(source, "audio")
        assert new == old[: len(new)]
        assert len(old) - len(new) <= 3  # what lies after the last picture
    rewrite(source, tmp_path / "part.mp4", 10, 35)
    assert sound_seconds(tmp_path / "part.mp4") == pytest.approx(1, abs=0.08)
    assert open_video(tmp_path / "part.mp4").frame_count == 25


def test_source_without_sound(tmp_path):
    rewrite(write_clip(tmp_path / "silent.mp4"), tmp_path / "a.mp4")
    rewrite(write_folder(tmp_path / "folder", ["1.png", "2.png"]), tmp_path / "b.mp4")
    assert not open_video(tmp_path / "a.mp4").has_sound
    assert open_video(tmp_path / "b.mp4").frame_count == 2


def test_last_picture_is_shown_as_long_as_the_others(tmp_path):
    rewrite(write_clip(tmp_path / "a.mp4", frames=20), tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration
        assert stream.time_base
        assert float(stream.duration * stream.time_base) == pytest.approx(20 / 25)


def test_error_or_interrupt_leaves_no_file(tmp_path):
    def interrupted() -> None:
        with VideoWriter(tmp_path / "a.mp4", SIZE, 25, h264()) as writer:
            writer.write(picture(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_is_complete(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    writer = VideoWriter(path, SIZE, 25, h264())
    writer.write(picture(0))
    assert path.read_bytes() == b"old"
    writer.close()
    assert open_video(path).frame_count == 1
    writer.close()
    writer.discard()  # neither does anything any more
    assert path.exists()


def test_writer_errors(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", SIZE, 25, h264()) as writer:
        with pytest.raises(ShapeError, match=r"takes uint8 images of shape \(48, 64, 3\)"):
            writer.write(picture(0, (50, 64)))
        writer.write(picture(0))
    with pytest.raises(OutputError, match="no frame was given"):
        VideoWriter(tmp_path / "b.mp4", SIZE, 25, h264()).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        VideoWriter(tmp_path / "file" / "c.mp4", SIZE, 25, h264())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "file"]


def test_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    # A limit on file size makes the system refuse to write, as a full disk does.
    script = f"""
import resource, signal
import numpy as np
import numpy.typing as npt
from rotomask.errors import OutputError
from rotomask.masks import write_mask
from rotomask.video import PRORES_4444, VP9_ALPHA, VideoWriter, h264
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
noise = np.random.default_rng(0).integers(0, 255, (96, 128, 4), np.uint8)
for name, encoding, channels in ("a.mp4", h264(), 3), ("a.webm", VP9_ALPHA, 4), (
    "a.mov", PRORES_4444, 4):
    try:
        with VideoWriter({str(tmp_path)!r} + "/" + name, (96, 128), 25, encoding) as writer:
            for _ in range(60):
                writer.write(noise[..., :channels])
        print("written", name)
    except OutputError as error:
        print("refused", error)
try:
    write_mask({str(tmp_path)!r} + "/a.png", noise[..., 0])
    print("written")
except OutputError as error:
    print("refused", error)
"""
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["refused"] * 4, run.stdout
    assert list(tmp_path.iterdir()) == []


ENCODE = """
import hashlib, sys
from pathlib import Path
from rotomask.video import VP9_ALPHA, VideoWriter, h264
import numpy as np
from tests.clips import picture

for encoding in (h264(), VP9_ALPHA):
    path = Path(sys.argv[1]) / f"x.{encoding.container}"
    with VideoWriter(path, (33, 50), 25, encoding) as writer:
        for t in range(6):
            image = picture(t, (33, 50))
            writer.write(np.dstack([image, image[..., 0]]) if encoding.alpha else image)
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="MALLOC_PERTURB_ is glibc's")
def test_the_same_frames_give_the_same_file_whatever_was_in_memory(tmp_path):
    outputs = set()
    for value in ("1", "170"):
        answer = subprocess.run(
            [sys.executable, "-c", ENCODE, str(tmp_path)],
            env=os.environ | {"MALLOC_PERTURB_": value},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(answer.stdout)
    assert len(outputs) == 1
