"""`rotomask.track`: frames with labels, and nothing written; results that iterate the same way."""

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.errors import InputError, MaskError, OptionError
from rotomask.jobs import cut_result
from tests.clips import picture, write_clip
from tests.jobs.still import Shifting

SIZE = (48, 64)


def mask() -> np.ndarray:
    labels = np.zeros(SIZE, bool)
    labels[10:20, 5:15] = True
    return labels


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", frames=6)


def test_every_frame_comes_with_its_labels(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    pairs = list(rotomask.track(clip, mask(), segmenter=Shifting()))
    assert len(pairs) == 6
    for t, (frame, labels) in enumerate(pairs):
        assert frame.shape == (*SIZE, 3)
        assert frame.dtype == np.uint8
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, np.roll(mask(), t, axis=1))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_range_and_a_later_mask(clip):
    pairs = list(rotomask.track(clip, mask(), at=3, start=2, end=4, segmenter=Shifting()))
    assert [bool(labels.any()) for _, labels in pairs] == [False, True, True]
    both = list(rotomask.track(clip, {0: mask(), 3: mask().astype(int) * 2}, segmenter=Shifting()))
    assert [sorted(np.unique(labels)) for _, labels in both][2:4] == [[0, 1], [0, 1, 2]]


def test_frames_in_memory_are_followed_by_the_shipped_model():
    size = (192, 256)
    frames = [np.roll(picture(0, size), 4 * t, axis=1) for t in range(3)]
    labels = np.zeros(size, bool)
    labels[:48, :64] = True  # the yellow block
    for t, (_, found) in enumerate(rotomask.track(frames, labels, device="cpu", enlarge="never")):
        truth = np.roll(labels, 4 * t, axis=1)
        assert ((found > 0) & truth).sum() / ((found > 0) | truth).sum() > 0.6


def test_what_is_wrong_is_said_before_the_first_frame(clip, tmp_path):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(MaskError):
        rotomask.track(clip, tmp_path / "small.png")
    with pytest.raises(InputError, match="needs a mask"):
        rotomask.track(clip, None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no setting 'zize'"):
        rotomask.track(clip, mask(), zize=3)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="no frame lies"):
        rotomask.track(clip, mask(), start=3, end=2)


def test_result_gives_the_frames_and_masks_that_track_gives(clip, tmp_path, monkeypatch):
    tracked = list(rotomask.track(clip, mask(), segmenter=Shifting()))
    result = rotomask.cut(clip, mask(), tmp_path / "out", segmenter=Shifting(), formats="overlay")
    assert len(result) == 6
    for (frame, labels), (other, expected) in zip(result, tracked, strict=True):
        np.testing.assert_array_equal(frame, other)
        np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(result.mask(4), tracked[4][1])
    page = result._repr_html_()
    assert page.count("<video") == 1
    assert "overlay.mp4" in page
    monkeypatch.setattr(cut_result, "MOST_PLAYER_FRAMES", 5)
    assert result._repr_html_().count("<img") == 6


def test_part_of_a_video_iterates_over_that_part(clip, tmp_path):
    result = rotomask.cut(
        clip, mask(), tmp_path / "out", start=2, end=4, segmenter=Shifting(), formats=()
    )
    assert len(list(result)) == len(result) == 3
    assert result._repr_html_().count("<video") == 1


def test_frames_in_memory_are_cut_and_told_apart(tmp_path):
    frames = np.stack([picture(t) for t in range(4)])
    out = tmp_path / "out"
    result = rotomask.cut(frames, mask(), out, segmenter=Shifting(), formats="overlay")
    assert sorted(p.name for p in (out / "masks").iterdir()) == [f"{t:05d}.png" for t in range(4)]
    assert rotomask.cut(list(frames), mask(), out, segmenter=Shifting()).frames_segmented == 0
    with pytest.raises(rotomask.RotomaskError, match="video"):
        rotomask.cut(frames[:, ::-1], mask(), out, segmenter=Shifting())
    assert len(result) == 4


def test_segmenters_take_boolean_masks():
    segmenter = rotomask.load_model("stm-lite", device="cpu", enlarge=False)
    segmenter.start(picture(0), mask())
    assert segmenter.object_ids == (1,)
    assert segmenter.add(picture(1), np.roll(mask(), 1, 1)).shape == (2, *SIZE)
