"""Corrections that carry: only what is concerned changes, and undo restores it."""

import numpy as np
import pytest
from PIL import Image

from rotomask.errors import OptionError, OutputError, PromptError
from rotomask.jobs.correct import correct, undo_correction, undoing
from rotomask.jobs.cut import cut as run_cut
from rotomask.jobs.export import export
from rotomask.masks import read_labels
from rotomask.prompts import (
    Click,
    GrabCutMarker,
    Marker,
    Polygon,
    Prompt,
    Prompts,
    RoughMask,
)
from rotomask.prompts.drawing import View, draw_all
from rotomask.prompts.kinds import is_positive
from rotomask.segmenters.base import Segmenter
from rotomask.video import open_video
from tests.clips import write_clip

SIZE = (48, 64)
FRAMES = 12


class Painted(Marker):
    """Polygons are the mask, whatever the picture; a rough mask stays where there is none."""

    def object_probability(self, prompts: tuple[Prompt, ...]):
        height, width = self.frame.shape[:2]
        polygons = [p for p in prompts if isinstance(p, Polygon) and p.positive]
        masks = [p for p in prompts if isinstance(p, RoughMask)]
        return (draw_all(polygons or masks, View.whole((height, width))) > 0).astype(np.float32)


class Adding(Painted):
    """Polygons are added to the rough mask."""

    def object_probability(self, prompts: tuple[Prompt, ...]):
        height, width = self.frame.shape[:2]
        parts = [p for p in prompts if is_positive(p)]
        return (draw_all(parts, View.whole((height, width))) > 0).astype(np.float32)


class Still(Segmenter):
    """A segmenter that holds the last mask: what is carried is plain to see."""

    def __init__(self):
        self.mask = np.zeros(SIZE, int)

    @property
    def object_ids(self):
        return tuple(int(k) for k in np.unique(self.mask) if k)

    def start(self, frame, mask):
        self.mask = np.array(mask)

    def step(self, frame):
        rows = [self.mask == k for k in (0, *self.object_ids)]
        return np.stack(rows).astype(np.float32)

    def add(self, frame, mask, object_ids=None):
        raise NotImplementedError

    def observe(self, frame, mask):
        self.mask = np.array(mask)


class Learning(Still):
    """Notes the references that it is given beside the frame it starts at."""

    def __init__(self):
        super().__init__()
        self.learnt = []

    def start(self, frame, mask):
        super().start(frame, mask)
        self.learnt.append([])

    def add_reference(self, frame, mask, object_ids=None):
        self.learnt[-1].append(np.array(mask))


class Flickering(Still):
    """Wrong in one step, right in all others."""

    def __init__(self, step, wrong):
        super().__init__()
        self.left, self.wrong = step, wrong

    def step(self, frame):
        self.left -= 1
        if self.left:
            return super().step(frame)
        return np.stack([self.wrong == k for k in (0, 1)]).astype(np.float32)


@pytest.fixture
def cut(tmp_path):
    """A finished cut of twelve frames with two objects, marked in frame 0."""
    video = write_clip(tmp_path / "clip.mp4", frames=FRAMES, size=SIZE)
    labels = np.zeros(SIZE, np.int32)
    labels[10:20, 10:20], labels[30:40, 40:55] = 1, 2
    run_cut(video, labels, tmp_path / "out", segmenter=Still(), formats=())
    return video, tmp_path / "out", labels


def read_all(folder):
    return [read_labels(folder / "masks" / f"{i:05d}.png") for i in range(FRAMES)]


def square(x, y, side, object_id=1):
    corners = ((x, y), (x + side, y), (x + side, y + side), (x, y + side))
    return Polygon(corners, object_id=object_id)


def test_a_correction_is_carried_to_the_reference_frames_and_no_further(cut):
    video, folder, labels = cut
    first = correct(video, folder, [square(10, 10, 8)], at=8, marker=Painted(), segmenter=Still())
    assert first.frame_index == 8
    assert first.frames_redone == 3 + 7  # to the end; back to the marked frame
    masks = read_all(folder)
    np.testing.assert_array_equal(masks[0], labels)  # the user's own
    for index in range(9, FRAMES):  # no reference frame beyond: the new mask alone
        np.testing.assert_array_equal(masks[index], masks[8])
    # Between two reference frames each end has its own mask: near 0 the old, near 8 the new one.
    np.testing.assert_array_equal(masks[1], labels)
    np.testing.assert_array_equal(masks[7], masks[8])
    before = read_all(folder)
    correct(video, folder, [square(11, 11, 9)], at=4, marker=Painted(), segmenter=Still())
    after = read_all(folder)
    for index in (0, 8, 9, 10, 11):
        np.testing.assert_array_equal(before[index], after[index])
    for old, new in zip(before, after, strict=True):  # the other object never changes
        np.testing.assert_array_equal(old == 2, new == 2)


def test_both_sides_learn_from_the_nearest_reference_frames(cut):
    video, folder, _ = cut
    corners = {8: 12, 2: 14, 10: 16, 6: 18, 4: 20, 5: 22}
    learnt = {}
    for index, corner in corners.items():
        segmenter = Learning()
        prompts = [square(corner, 2, corner)]
        correct(video, folder, prompts, at=index, marker=Painted(), segmenter=segmenter)
        learnt[index] = segmenter.learnt
    masks = read_all(folder)
    for index, expected in ((8, [0]), (2, [0, 8]), (4, [2, 6, 0, 8]), (5, [4, 6, 2, 8])):
        assert len(learnt[index]) == 2  # one start for each side
        for found in learnt[index]:
            assert len(found) == len(expected)
            for mask, reference in zip(found, expected, strict=True):
                np.testing.assert_array_equal(mask, masks[reference])


def test_undo_restores_every_bit(cut):
    video, folder, _ = cut
    files = sorted((folder / "masks").iterdir())
    before = [file.read_bytes() for file in files]
    correct(video, folder, [square(12, 12, 8)], at=5, marker=Painted(), segmenter=Still())
    once = [file.read_bytes() for file in files]
    correct(video, folder, [square(2, 2, 9, 2)], at=7, marker=Painted(), segmenter=Still())
    assert undo_correction(folder) == 7
    assert [file.read_bytes() for file in files] == once != before
    assert undo_correction(folder) == 5
    assert [file.read_bytes() for file in files] == before
    with pytest.raises(OutputError, match="has no correction to undo"):
        undo_correction(folder)


def test_cut_outs_follow_a_correction_and_its_undoing(tmp_path):
    """Mattes are corrected with their masks: what was taken out is transparent."""
    video = write_clip(tmp_path / "clip.mp4", frames=FRAMES, size=SIZE)
    labels = np.zeros(SIZE, np.int32)
    labels[10:20, 10:20], labels[30:40, 40:55] = 1, 2
    out = tmp_path / "out"
    run_cut(video, labels, out, segmenter=Still(), formats=("rgba",))
    mattes = sorted((out / "mattes").iterdir())
    before = [file.read_bytes() for file in mattes]
    correct(video, out, [square(40, 5, 8)], at=8, marker=Painted(), segmenter=Still())
    export(video, out, formats=("rgba",))
    alpha = np.asarray(Image.open(out / "rgba/00008.png"))[..., 3]
    assert not alpha[8:22, 8:22].any()  # the old place, its soft edge among it
    assert (alpha[7:12, 42:47] == 255).all()
    assert (alpha[32:38, 42:53] == 255).all()  # the other object
    carried = np.asarray(Image.open(out / "rgba/00011.png"))[..., 3]
    np.testing.assert_array_equal(carried, alpha)
    assert undo_correction(out) == 8
    assert [file.read_bytes() for file in mattes] == before


def test_an_undo_that_was_stopped_takes_back_no_second_correction(cut):
    video, folder, _ = cut
    correct(video, folder, [square(12, 12, 8)], at=5, marker=Painted(), segmenter=Still())
    once = read_all(folder)
    correct(video, folder, [square(2, 2, 9, 2)], at=7, marker=Painted(), segmenter=Still())
    with pytest.raises(KeyboardInterrupt), undoing(folder):
        raise KeyboardInterrupt  # while the command renders
    assert undo_correction(folder) == 7
    np.testing.assert_array_equal(read_all(folder), once)
    assert undo_correction(folder) == 5


def test_a_request_that_was_made_last_is_not_made_again(cut):
    video, folder, _ = cut
    prompts = Prompts.on_frame([Click(14, 14)], 5).add(Click(20, 20), frame=9)
    for index in (5, 9):
        correct(video, folder, prompts, at=index, marker="grabcut", size=32)
    log = (folder / "corrections/log.json").read_bytes()
    once = read_all(folder)
    for index in (5, 9):  # the same command once more
        result = correct(video, folder, prompts, at=index, marker="grabcut", size=32)
        assert (result.changed_pixels, result.frames_redone) == (0, 0)
    assert (folder / "corrections/log.json").read_bytes() == log
    np.testing.assert_array_equal(read_all(folder), once)


def test_the_same_correction_twice_changes_nothing_more(cut):
    video, folder, _ = cut
    correct(video, folder, [square(12, 12, 8)], at=5, marker=Painted(), segmenter=Still())
    once = read_all(folder)
    again = correct(video, folder, [square(12, 12, 8)], at=5, marker=Painted(), segmenter=Still())
    assert (again.changed_pixels, again.frames_redone) == (0, 0)
    for a, b in zip(once, read_all(folder), strict=True):
        np.testing.assert_array_equal(a, b)


def test_carrying_stops_where_nothing_changes_any_more(tmp_path):
    """One frame alone was wrong: eight frames on, the masks agree, and the rest is left."""
    video = write_clip(tmp_path / "clip.mp4", frames=24, size=SIZE)
    right = np.zeros(SIZE, np.int32)
    right[10:30, 10:40] = 1
    wrong = right.copy()
    wrong[10:14, 40:50] = 1
    run_cut(video, right, tmp_path / "out", segmenter=Flickering(4, wrong), formats=())
    assert (read_labels(tmp_path / "out" / "masks" / "00004.png") == wrong).all()
    prompts = [Polygon(((10, 10), (39, 10), (39, 29), (10, 29)))]
    result = correct(video, tmp_path / "out", prompts, at=4, marker=Painted(), segmenter=Still())
    assert result.frames_redone == 8 + 3
    corrected = read_labels(tmp_path / "out" / "masks" / "00004.png")
    np.testing.assert_array_equal(corrected, right)


def test_what_is_marked_afresh_owes_nothing_to_its_old_mask(cut):
    video, folder, labels = cut
    patch = square(30, 10, 8)
    correct(video, folder, [patch], at=6, marker=Adding(), segmenter=Still())
    mended = read_all(folder)[6]
    assert (mended == 1)[labels == 1].all()
    correct(video, folder, [patch], at=6, marker=Adding(), segmenter=Still(), afresh=True)
    anew = read_all(folder)[6]
    assert not (anew == 1)[labels == 1].any()
    np.testing.assert_array_equal(anew == 2, labels == 2)  # the other object
    assert ((mended == 1) & (labels != 1)).sum() == (anew == 1).sum() > 0
    before = read_all(folder)
    outside = Click(30, 40, positive=False)
    with pytest.raises(PromptError, match=r"object 1 .* positive"):
        correct(video, folder, [outside], at=6, marker=Adding(), segmenter=Still(), afresh=True)
    for old, new in zip(before, read_all(folder), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_new_object_is_carried_too(cut):
    video, folder, labels = cut
    correct(video, folder, [square(30, 5, 8, 3)], at=6, marker=Painted(), segmenter=Still())
    masks = read_all(folder)
    assert (masks[11] == 3).any()
    for old, new in zip([labels] * FRAMES, masks, strict=True):
        np.testing.assert_array_equal(new[old > 0], old[old > 0])


def test_what_cannot_be_corrected_is_refused(cut, tmp_path):
    video, folder, _ = cut
    with pytest.raises(OutputError, match="has no mask of frame 3"):
        correct(video, tmp_path / "other", [Click(1, 1)], at=3, marker=GrabCutMarker())
    on_two = Prompts().add(Click(1, 1), 1).add(Click(1, 1), 2)
    with pytest.raises(OptionError, match="a correction is of one frame"):
        correct(video, folder, on_two)
    other = write_clip(tmp_path / "other.mp4", frames=12, size=(64, 64))
    with pytest.raises(OutputError, match="give the video that was cut"):
        correct(open_video(other), folder, [Click(1, 1)], at=3, marker=GrabCutMarker())


class Rejoining(Learning):
    """Takes what an annotation says is absent for lost: it follows the rest."""

    def add(self, frame, mask, object_ids=None):
        self.mask = np.array(mask)
        self.learnt[-1].append(object_ids)
        return self.step(frame)


def test_an_object_that_is_not_in_a_frame_is_followed_from_frames_that_show_it(tmp_path):
    video = write_clip(tmp_path / "clip.mp4", frames=FRAMES, size=SIZE)
    labels = np.zeros(SIZE, np.int32)
    labels[10:20, 10:20] = 1
    folder = tmp_path / "out"
    run_cut(video, labels, folder, segmenter=Still(), formats=())
    corners = ((8, 8), (22, 8), (22, 22), (8, 22))
    erased = Polygon(corners, positive=False)
    with pytest.raises(PromptError, match="leaves no object in frame 0, and no other"):
        correct(video, folder, [erased], at=0, marker=Painted(), segmenter=Still())
    for mask in read_all(folder):
        np.testing.assert_array_equal(mask, labels)
    segmenter = Rejoining()
    done = correct(video, folder, [erased], at=6, marker=Painted(), segmenter=segmenter)
    assert done.frames_redone == 5 + 5
    # A pass for each side: it starts at frame 0, which shows the object, and is told of frame 6.
    assert segmenter.learnt == [[(1,)], [(1,)]]
    masks = read_all(folder)
    np.testing.assert_array_equal(masks[0], labels)
    assert not any(mask.any() for mask in masks[1:])
    undo_correction(folder)
    for mask in read_all(folder):
        np.testing.assert_array_equal(mask, labels)
