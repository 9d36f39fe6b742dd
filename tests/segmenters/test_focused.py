"""The objects' neighbourhood in place of large frames."""

import cv2
import numpy as np
import pytest
import torch

from rotomask.errors import OptionError
from rotomask.jobs.demo import demo_folder
from rotomask.jobs.loading import load_model
from rotomask.masks import read_labels
from rotomask.segmenters.focused import Focused
from rotomask.segmenters.framing import FramedMasks, Framing
from rotomask.segmenters.state import restore, state_of
from rotomask.segmenters.views import View
from rotomask.video import open_video

SIDE = 96
"""Processing size; the frames have twice as many lines, the object a tenth of their area."""


def _focused(**settings: object) -> Focused:
    settings = {"size": SIDE, "device": "cpu", "precision": "float32", **settings}
    segmenter = load_model("stm-lite", enlarge=False, focus="always", **settings)  # type: ignore[arg-type]
    assert isinstance(segmenter, Focused)
    return segmenter


def _reduced(**settings: object):
    settings = {"size": SIDE, "device": "cpu", "precision": "float32", **settings}
    return load_model("stm-lite", enlarge=False, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clip() -> tuple[list[np.ndarray], np.ndarray]:
    """A small dog from the demo clip, on a large field of blurred grass, and its first mask."""
    video = open_video(demo_folder() / "clip.mp4")
    mask = read_labels(demo_folder() / "first_mask.png")
    small = [cv2.resize(f, (170, 96), interpolation=cv2.INTER_AREA) for f in video[:12]]
    labels = cv2.resize(mask.astype(np.uint8), (170, 96), interpolation=cv2.INTER_NEAREST)
    frames = []
    for t, picture in enumerate(small):
        ground = cv2.GaussianBlur(cv2.resize(picture, (342, 192)), (0, 0), 9)
        ground[60:156, 20 + 6 * t : 190 + 6 * t] = picture
        frames.append(ground)
    whole = np.zeros((192, 342), np.int32)
    whole[60:156, 20:190] = labels
    return frames, whole


def _boxed(mask: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(ys.min()), int(xs.min()), int(ys.max()), int(xs.max())


def test_frames_that_are_not_reduced_are_segmented_whole_with_the_same_bits(clip):
    frames, mask = clip
    focused, plain = _focused(size=192), _reduced(size=192)
    for segmenter in (focused, plain):
        segmenter.start(frames[0], mask)
    for frame in frames[1:3]:
        assert np.array_equal(focused.step(frame), plain.step(frame))


def test_a_view_that_is_the_whole_frame_gives_the_same_bits(clip):
    frames, mask = clip
    large = np.zeros_like(mask)
    large[10:180, 10:330] = 1  # no finer scale has room for it
    focused, plain = _focused(), _reduced()
    for segmenter in (focused, plain):
        segmenter.start(frames[0], large)
    assert np.array_equal(focused.step(frames[1]), plain.step(frames[1]))


def test_the_view_follows_the_object_at_a_finer_scale(clip):
    frames, mask = clip
    segmenter = _focused()
    segmenter.start(frames[0], mask)
    for frame in frames[1:]:
        probabilities = segmenter.step(frame)
        assert probabilities.shape == (2, 192, 342)
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        labels = segmenter.labels(probabilities)
    view = segmenter._view
    assert view is not None
    assert view.scale >= 0.59  # the whole frame is reduced to half
    top, left, bottom, right = _boxed(labels == 1)
    assert view.top <= top
    assert bottom < view.top + view.height
    assert view.left <= left
    assert right < view.left + view.width
    expected = cv2.countNonZero((mask > 0).astype(np.uint8))
    assert 0.5 * expected < (labels == 1).sum() < 2 * expected


def test_an_object_that_comes_back_elsewhere_is_found(clip):
    frames, mask = clip
    segmenter = _focused()
    segmenter.start(frames[0], mask)
    segmenter.step(frames[1])
    empty = cv2.GaussianBlur(frames[2], (0, 0), 15)
    for _ in range(3):
        gone = segmenter.labels(segmenter.step(empty))
    assert (gone == 1).mean() < 0.01
    back = np.ascontiguousarray(np.roll(frames[2], 130, axis=1))
    for _ in range(2):
        labels = segmenter.labels(segmenter.step(back))
    _, left, _, right = _boxed(mask > 0)
    found = _boxed(labels == 1)
    assert abs((found[1] + found[3]) / 2 - ((left + right) / 2 + 12 + 130)) < 25


@pytest.mark.parametrize("objects", [1, 2])
def test_the_stored_state_goes_on_with_the_same_bits(clip, objects):
    frames, mask = clip
    if objects == 2:
        mask = mask.copy()
        mask[:, 120:][mask[:, 120:] == 1] = 2
    segmenter = _focused()
    segmenter.look_every = 3
    segmenter.start(frames[0], mask)
    fresh = _focused()
    for index, frame in enumerate(frames[1:9]):
        if index == 4:
            restore(fresh, state_of(segmenter))
        expected = segmenter.step(frame)
        if index >= 4:
            assert np.array_equal(fresh.step(frame), expected)


def test_a_correction_and_a_new_object_outside_the_view_are_exactly_as_given(clip):
    frames, mask = clip
    segmenter = _focused()
    segmenter.start(frames[0], mask)
    segmenter.step(frames[1])
    more = np.zeros_like(mask)
    more[8:24, 300:330] = 7
    labels = segmenter.labels(segmenter.add(frames[2], more))
    assert segmenter.object_ids == (1, 7)
    assert np.array_equal(labels == 7, more == 7)
    assert (labels == 1).any()
    assert (segmenter.labels(segmenter.step(frames[3])) == 1).any()
    segmenter.observe(frames[4], mask)
    assert segmenter.step(frames[5]).shape == (3, 192, 342)


def test_a_video_can_be_started_again_and_by_a_twin(clip):
    frames, mask = clip
    first, twin = _focused(), _focused().twin()
    outputs = []
    for segmenter in (first, first, twin):
        segmenter.start(frames[0], mask)
        outputs.append([segmenter.step(frame) for frame in frames[1:4]])
    for other in outputs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(outputs[0], other, strict=True))


def test_only_models_that_can_focus_do():
    assert not isinstance(load_model("stm-lite", device="cpu"), Focused)
    assert isinstance(load_model("stm-lite", device="cpu", size=None), Focused)
    assert not isinstance(load_model("stm-lite", device="cpu", size=None, focus="never"), Focused)
    assert not isinstance(load_model("rgmp-lite", device="cpu", size=None), Focused)
    with pytest.raises(OptionError, match="rgmp-lite cannot focus on the objects; stm-lite"):
        load_model("rgmp-lite", device="cpu", focus="always")
    with pytest.raises(OptionError, match="without online learning"):
        load_model("stm-lite", device="cpu", focus="always", online=5)


def _framing(view: View | None) -> Framing:
    size = (192, 342)
    return Framing(
        size=size,
        working_size=(96, 171) if view is None else view.working_size,
        stride=16,
        device=torch.device("cpu"),
        view=view,
    )


def test_masks_move_between_framings(clip):
    _, mask = clip
    whole, near = _framing(None), _framing(View(50, 40, 112, 160, 1 / np.sqrt(2)))
    for source, target in ((whole, near), (near, whole)):
        masks = FramedMasks(source.masks(mask, (1,)), source)
        moved = masks.on(target)
        assert float((moved - target.masks(mask, (1,))).abs().mean()) < 0.02
        assert np.allclose(masks.box or (), _boxed(mask == 1), atol=3)
    assert FramedMasks(whole.masks(mask, (1,)), whole).on(whole) is not None
    beyond = torch.ones(1, 96, 176)
    outside = FramedMasks(near.masks(mask, (1,)), near).on(whole, beyond)
    assert float(outside[0, 5, 5]) == 1.0
    assert float(outside[0, 30, 25]) == 0.0


def test_a_reference_elsewhere_is_learnt_in_a_view_of_its_own(clip):
    frames, mask = clip
    segmenter = _focused()
    segmenter.start(frames[0], mask)
    view = segmenter._view
    far = np.ascontiguousarray(np.roll(frames[3], 130, axis=1))
    segmenter.add_reference(far, np.roll(mask, 148, axis=1))
    assert segmenter._view == view
    assert len(segmenter.near._bank.elsewhere) == len(segmenter.whole._bank.elsewhere) == 1
    values = segmenter.near._bank.elsewhere[0].value
    expected = segmenter.near._bank.frames[0].value
    assert values.shape[-1] > 0.5 * expected.shape[-1], "the object is in the view"
    labels = segmenter.labels(segmenter.step(frames[1]))
    truth = np.roll(mask, 6, axis=1) > 0
    assert ((labels == 1) & truth).sum() > 0.7 * ((labels == 1) | truth).sum()
