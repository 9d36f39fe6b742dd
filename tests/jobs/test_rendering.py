"""Effects and the camera as jobs: files out, formats, sound, resume, what is refused."""

import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.errors import MaskError, OptionError, OutputError, VideoError
from rotomask.masks import write_mask
from rotomask.video import open_video
from tests.clips import write_clip
from tests.effects.clips import FRAMES, SIZE, image_of, write_cut


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    return write_cut(tmp_path_factory.mktemp("rendering"))


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mov", "a.gif", "a.webp", "frames"])
def test_a_picture_for_every_frame(cut, tmp_path, name):
    told = []
    result = rotomask.effect(
        "grey-background", cut[0], cut[1], tmp_path / name, amount=0.5, start=2, end=6,
        on_progress=lambda *call: told.append(call),
    )  # fmt: skip
    assert result.frames == 5
    assert told == [("effect", k, 5) for k in range(1, 6)]
    if name == "a.webp":
        with Image.open(result.out) as image:
            assert image.n_frames == 5  # type: ignore[attr-defined]
        return
    frames = list(open_video(result.out).frames())
    assert len(frames) == 5
    assert frames[0].image.shape == (*SIZE, 3)
    difference = frames[1].image.astype(float) - image_of(3)
    assert np.abs(difference[30:42, 30:40]).mean() < 25, "the disc has kept its colour"


@pytest.mark.parametrize("name", ["a.webm", "a.mov", "a.gif", "frames"])
def test_transparency_is_kept(cut, tmp_path, name):
    result = rotomask.effect(
        "sticker", cut[0], cut[1], tmp_path / name, objects=(1,), end=3, resize=64
    )
    frames = list(open_video(result.out).frames())
    assert frames[0].image.shape[1] == 64
    alpha = frames[2].alpha
    assert alpha is not None
    assert alpha.min() < 10
    assert alpha.max() > 245


def test_a_movie_without_transparency_is_refused(cut, tmp_path):
    with pytest.raises(OptionError, match=r"\.mp4 holds no transparency; write \.webm, \.mov"):
        rotomask.effect("sticker", cut[0], cut[1], tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.webm", "opus")])
def test_sound_is_kept(tmp_path, name, codec):
    import av

    video = write_clip(tmp_path / "in.mkv", frames=20, sound="aac")
    for index in range(20):
        labels = np.zeros((48, 64), np.int32)
        labels[10:30, 10 + index : 30 + index] = 1
        write_mask(tmp_path / "cut" / "masks" / f"{index:05d}.png", labels)
    for run in (
        lambda out: rotomask.effect("grey-background", video, tmp_path / "cut", out),
        lambda out: rotomask.stabilise(video, tmp_path / "cut", out, overwrite=True),
    ):
        run(tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            (audio,) = container.streams.audio
            assert audio.codec_context.name == codec
            sound = sum(frame.samples for frame in container.decode(audio))
            assert sound / audio.codec_context.sample_rate == pytest.approx(20 / 25, abs=0.1)
        copy = open_video(tmp_path / name)
        assert copy.frame_count == 20
        assert copy.fps == open_video(video).fps


def test_a_still(cut, tmp_path):
    for name in ("a.png", "a.jpg", "a.webp"):
        result = rotomask.effect("outline", cut[0], cut[1], tmp_path / name, at=4)
        with Image.open(result.out) as image:
            assert image.size == (SIZE[1], SIZE[0])
    with pytest.raises(OptionError, match=r"a still is written as \.png, \.jpg"):
        rotomask.effect("outline", cut[0], cut[1], tmp_path / "a.mp4", at=4)
    with pytest.raises(OptionError, match="frame 12 is not among those cut, 0 to 11"):
        rotomask.effect("outline", cut[0], cut[1], tmp_path / "b.png", at=12)


def test_a_folder_resumes_and_equals_one_run(cut, tmp_path):
    def stop(stage, done, total):
        if done == 4:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        rotomask.effect("echo", cut[0], cut[1], tmp_path / "a", on_progress=stop)
    first = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a").glob("*.png")}
    assert len(first) == 4
    rotomask.effect("echo", cut[0], cut[1], tmp_path / "a")
    rotomask.effect("echo", cut[0], cut[1], tmp_path / "b")
    assert len(list((tmp_path / "a").glob("*.png"))) == FRAMES
    for path in (tmp_path / "a").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
        assert first.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    with pytest.raises(OutputError, match="count 6 there, 7 here"):
        rotomask.effect("echo", cut[0], cut[1], tmp_path / "a", count=7)


def test_an_interrupted_movie_leaves_nothing(cut, tmp_path):
    def stop(stage, done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotomask.stabilise(cut[0], cut[1], tmp_path / "a.mp4", on_progress=stop)
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_unasked(cut, tmp_path):
    (tmp_path / "a.mp4").write_text("somebody's")
    with pytest.raises(OutputError, match=r"a\.mp4 exists; choose another --out, or --overwrite"):
        rotomask.effect("outline", cut[0], cut[1], tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "somebody's"
    rotomask.effect("outline", cut[0], cut[1], tmp_path / "a.mp4", overwrite=True, end=2)
    assert open_video(tmp_path / "a.mp4").frame_count == 3


def test_inputs_are_never_replaced(tmp_path):
    video, folder = write_cut(tmp_path, frames=3)
    with pytest.raises(OutputError, match="lies among the outputs"):
        rotomask.effect("outline", video, folder, video.path / "00000.png", at=0, overwrite=True)
    np.testing.assert_array_equal(
        cv2.imread(str(video.path / "00000.png"))[..., ::-1],  # type: ignore[index]
        image_of(0),
    )


def test_a_file_in_the_folder_of_a_cut_is_recorded(tmp_path):
    video, _ = write_cut(tmp_path, frames=4)
    mask = tmp_path / "cut" / "masks" / "00000.png"
    from tests.jobs.still import Shifting

    out = tmp_path / "done"
    rotomask.cut(video, mask, out, segmenter=Shifting(), formats=())
    for _ in range(2):  # again without --overwrite: the file is rotomask's own
        rotomask.effect("outline", video, out, out / "outline.mp4")
    assert "outline.mp4" in (out / ".rotomask" / "files").read_text()
    (out / "mine.mp4").write_text("mine")
    with pytest.raises(OutputError, match="not written by rotomask"):
        rotomask.effect("outline", video, out, out / "mine.mp4", overwrite=True)


def test_frames_without_masks_are_told(tmp_path):
    video, folder = write_cut(tmp_path, frames=5)
    (folder / "masks" / "00002.png").unlink()
    with pytest.raises(MaskError, match=r"1 of 5 masks are missing, first .*00002\.png"):
        rotomask.effect("outline", video, folder, tmp_path / "a.mp4")
    assert rotomask.effect("outline", video, folder, tmp_path / "a.mp4", start=3).frames == 2
    shutil.rmtree(folder)
    with pytest.raises(MaskError, match="cut the video first"):
        rotomask.stabilise(video, folder, tmp_path / "b.mp4")


def test_unknown_names_are_told(cut, tmp_path):
    with pytest.raises(OptionError, match="erase has no setting 'radius'; it has margin, below"):
        rotomask.effect("erase", cut[0], cut[1], tmp_path / "a.mp4", radius=3)
    with pytest.raises(OptionError, match="stabilise has no setting 'speed'; it has framing, zoom"):
        rotomask.stabilise(cut[0], cut[1], tmp_path / "a.mp4", speed=3)
    with pytest.raises(VideoError, match=r"no\.png does not exist"):
        rotomask.effect("new-background", cut[0], cut[1], tmp_path / "a.mp4", background="no.png")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OptionError, match=r"'a\.avi' ends in none of \.mp4, \.webm"):
        rotomask.effect("erase", cut[0], cut[1], tmp_path / "a.avi")


def test_another_video_behind(cut, tmp_path):
    backdrop = tmp_path / "back"
    backdrop.mkdir()
    for index in range(3):
        cv2.imwrite(str(backdrop / f"{index}.png"), np.full((30, 90, 3), 80 * index, np.uint8))
    result = rotomask.effect(
        "new-background", cut[0], cut[1], tmp_path / "out", background=str(backdrop),
        match_light=0, light_wrap=0,
    )  # fmt: skip
    frames = [frame.image for frame in open_video(result.out).frames()]
    corners = [int(frame[-1, 0, 0]) for frame in frames[:7]]
    assert corners == [0, 80, 160, 0, 80, 160, 0], "it starts again at its end"
