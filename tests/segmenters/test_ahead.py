"""Frames encoded ahead of their turn."""

import threading
from functools import partial

import numpy as np
import pytest
import torch

from rotomask.data.training.synthetic import moving_shapes
from rotomask.jobs.loading import load_model
from rotomask.segmenters.ahead import AheadEncoder
from rotomask.segmenters.base import Segmenter


def _frames(count):
    return [np.full((2, 2, 3), k, np.uint8) for k in range(count)]


def _number(frame, plan=0):
    return int(frame[0, 0, 0])


def _completed(encoded, plan):
    number, *plans = encoded
    return (number, *plans, plan)


def _as_it_is(encoded, plan):
    return encoded


def _asked(ahead, frame, plan, *plans):
    """A frame that is waited for while those after it are begun."""
    taken = ahead.take(frame, plan)
    ahead.begin(*plans)
    return taken.result(timeout=60)


def _is_in(numbers, number):
    return number in numbers


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_next_frame_is_encoded_while_the_one_before_is_used():
    encoded, names = [], set()
    seen = threading.Condition()

    def encode(frame, plan):
        with seen:
            encoded.append(_number(frame))
            names.add(threading.current_thread().name)
            seen.notify()
        return _number(frame), plan

    frames = _frames(6)
    with AheadEncoder(encode, _completed, 1) as ahead:
        for frame in frames[:4]:  # read ahead of the loop, as `pipeline.read_ahead` does
            ahead.expect(frame)
        assert not encoded
        for number in (1, 2, 3):  # frame 0 is the reference, which is never asked for
            assert _asked(ahead, frames[number], f"plan {number}", f"plan {number + 1}") == (
                number,
                f"plan {number}",
            )
            if number < 3:
                with seen:
                    upcoming = number + 1
                    assert seen.wait_for(partial(_is_in, encoded, upcoming), timeout=60)
        ahead.expect(frames[5])
        # It was not expected: it does not cost the expected one its place.
        assert _asked(ahead, frames[4], "plan 4", "plan 5") == (4, "plan 4")
        # It was begun as the next after frame 3; whoever asks compares the plans.
        assert _asked(ahead, frames[5], "plan 5", "plan 6") == (5, "plan 4", "plan 5")
    assert sorted(encoded) == [1, 2, 3, 4, 5]
    assert len(names) == 1


def test_a_frame_with_an_early_plan_begins_two_before_and_is_completed_by_its_own():
    encoded, seen = [], threading.Condition()

    def encode(frame, plan):
        with seen:
            encoded.append(_number(frame))
            seen.notify()
        return _number(frame), plan

    frames = _frames(6)
    with AheadEncoder(encode, _completed, 1) as ahead:
        for frame in frames:
            ahead.expect(frame)
        assert _asked(ahead, frames[1], "plan 1", "plan 2", "early 3") == (1, "plan 1")
        with seen:
            assert seen.wait_for(partial(_is_in, encoded, 3), timeout=60)
        # Frame 2 was begun by its own plan; frame 4 has no early one and waits for it.
        assert _asked(ahead, frames[2], "plan 2", "plan 3") == (2, "plan 2")
        assert _asked(ahead, frames[3], "plan 3", "plan 4", "early 5") == (3, "early 3", "plan 3")
        assert _asked(ahead, frames[4], "plan 4", "early 5") == (4, "plan 4")
        # The early plan turned out to be the whole plan: nothing is left to do.
        assert _asked(ahead, frames[5], "early 5", "plan 6") == (5, "early 5")
    assert encoded == [1, 2, 3, 4, 5]


def test_an_early_frame_that_is_skipped_is_dropped_with_its_completion():
    frames = _frames(6)
    with AheadEncoder(lambda frame, plan: (_number(frame), plan), _completed, 1) as ahead:
        for frame in frames:
            ahead.expect(frame)
        assert _asked(ahead, frames[1], "plan 1", "plan 2", "early 3")[0] == 1
        assert _asked(ahead, frames[2], "plan 2", "plan 3")[0] == 2
        assert _asked(ahead, frames[5], "plan 5", "plan 6") == (5, "plan 5")
        assert _asked(ahead, frames[3], "plan 3", "plan 4") == (3, "plan 3")


def test_a_task_is_computed_in_the_calling_thread_with_the_threads_of_the_encoder(two_threads):
    with AheadEncoder(_number, _as_it_is, 1) as ahead:
        found = ahead.compute(lambda: (torch.get_num_threads(), threading.current_thread()))
    assert found == (1, threading.current_thread())
    assert torch.get_num_threads() == 2


def test_frames_that_are_skipped_are_dropped():
    frames = _frames(20)
    with AheadEncoder(_number, _as_it_is, 1) as ahead:
        assert _asked(ahead, frames[0], 0, 0) == 0
        for frame in frames[1:]:  # those of a resumed job are not asked for
            ahead.expect(frame)
        assert _asked(ahead, frames[19], 0, 0) == 19
        assert _asked(ahead, frames[18], 0, 0) == 18


def test_an_error_belongs_to_the_frame():
    def encode(frame, plan):
        if frame[0, 0, 0] == 1:
            raise ValueError("frame 1")
        return 0

    frames = _frames(3)
    with AheadEncoder(encode, _as_it_is, 1) as ahead:
        ahead.expect(frames[0])
        ahead.expect(frames[1])
        assert _asked(ahead, frames[0], 0, 0) == 0
        with pytest.raises(ValueError, match="frame 1"):
            _asked(ahead, frames[1], 0, 0)
        assert _asked(ahead, frames[2], 0, 0) == 0


def _followed(segmenter: Segmenter, images, mask, *, ahead: bool):
    segmenter.start(images[0], mask)
    with segmenter.working_ahead() as expect:
        found = []
        for index, image in enumerate(images[1:], 1):
            if ahead and expect is not None:
                for upcoming in images[index : index + 3]:
                    expect(upcoming)
            found.append(segmenter.step(image))
    return found


@pytest.mark.parametrize("settings", [{}, {"boxes": "tracked"}])
@pytest.mark.parametrize("size", [(96, 128), (320, 448)])
def test_a_clip_has_the_same_probabilities_ahead_or_not(two_threads, settings, size):
    images, labels = moving_shapes(3, frames=8, size=size)
    segmenter = load_model("stm-lite", precision="float32", device="cpu", **settings)
    in_turn = _followed(segmenter, images, labels[0], ahead=False)
    threads = torch.get_num_threads()
    beside = _followed(segmenter, images, labels[0], ahead=True)
    assert torch.get_num_threads() == threads == 2
    for a, b in zip(in_turn, beside, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_video_of_another_size_is_encoded_anew(two_threads):
    segmenter = load_model("stm-lite", precision="float32", device="cpu")
    small, small_labels = moving_shapes(3, frames=3, size=(96, 128))
    large, large_labels = moving_shapes(3, frames=3, size=(128, 160))
    segmenter.start(small[0], small_labels[0])
    with segmenter.working_ahead() as expect:
        assert expect is not None
        expect(large[1])  # read before the next pass has started
        segmenter.start(large[0], large_labels[0])
        found = segmenter.step(large[1])
    assert found.shape[1:] == (128, 160)
    fresh = load_model("stm-lite", precision="float32", device="cpu")
    fresh.start(large[0], large_labels[0])
    np.testing.assert_allclose(found, fresh.step(large[1]), atol=1e-5)


def test_one_thread_works_in_turn():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with load_model("stm-lite", device="cpu").working_ahead() as expect:
            assert expect is None
    finally:
        torch.set_num_threads(before)
