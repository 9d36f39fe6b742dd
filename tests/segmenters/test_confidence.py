"""The confidence meter on masks that are right, lost, swapped or torn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.segmenters.confidence import (
    FEATURES,
    LEFT_CONFIDENCE,
    LOST_CONFIDENCE,
    UNCERTAIN,
    ConfidenceMeter,
)
from rotomask.segmenters.follow import FollowedFrame

SIZE = (120, 160)


def scene(x, colour=(200, 40, 40), seed=0):
    """A disk of radius 20 on noise, and its mask."""
    rng = np.random.default_rng(seed)
    frame = rng.integers(60, 120, (*SIZE, 3)).astype(np.uint8)
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = (xs - x) ** 2 + (ys - 60) ** 2 < 400
    frame[mask] = colour
    return frame, mask


def followed(index, frame, mask, certainty=0.98):
    probability = np.where(mask, certainty, 1 - certainty).astype(np.float32)
    probabilities = np.stack([1 - probability, probability])
    return FollowedFrame(index, frame, mask.astype(np.int32), probabilities, "segmented")


def started():
    meter = ConfidenceMeter()
    frame, mask = scene(60)
    meter.add_reference(0, frame, mask.astype(np.int32))
    return meter


def test_a_mask_that_follows_is_certain_and_a_wrong_one_is_not():
    good = started().measure(followed(1, *scene(64)), (1,))[1]
    assert good.value > 0.85
    assert not good.is_uncertain
    frame, mask = scene(64)
    elsewhere = np.roll(mask, 70, axis=1)
    for wrong in (
        elsewhere,
        mask & (np.arange(SIZE[1]) < 52),
        mask & (np.indices(SIZE).sum(0) % 12 < 4),
    ):
        assert started().measure(followed(1, frame, wrong), (1,))[1].value < good.value - 0.05
    faint = started().measure(followed(1, frame, mask, certainty=0.55), (1,))[1]
    assert faint.is_uncertain
    assert faint.reason == "unsure"


def test_a_look_alike_that_is_taken_in_is_told():
    """As sure and of the same colours, but far from the rest; near parts are an object's own."""
    frame, mask = scene(40)
    meter = started()
    meter.measure(followed(1, frame, mask), (1,))
    alone = meter.measure(followed(2, frame, mask), (1,))[1]
    assert not alone.is_uncertain
    both = mask | (np.indices(SIZE)[1] >= SIZE[1] - 6) & (np.indices(SIZE)[0] < 100)
    frame[both] = (200, 40, 40)
    meter.measure(followed(3, frame, both), (1,))
    taken_in = meter.measure(followed(4, frame, both), (1,))[1]  # no change any more
    assert taken_in.is_uncertain
    assert taken_in.reason == "partly elsewhere"
    split = mask & (abs(np.indices(SIZE)[1] - 40) > 2)
    assert meter.measure(followed(5, frame, split), (1,))[1].reason != "partly elsewhere"


def test_an_object_that_is_gone_is_lost_unless_it_was_leaving():
    empty = np.zeros(SIZE, bool)
    frame, _ = scene(60)
    lost = started().measure(followed(1, frame, empty), (1,))[1]
    assert (lost.value, lost.reason) == (LOST_CONFIDENCE, "lost")
    meter = started()
    meter.measure(followed(1, *scene(0)), (1,))
    left = meter.measure(followed(2, frame, empty), (1,))[1]
    assert (left.value, left.reason) == (LEFT_CONFIDENCE, "left")
    assert LOST_CONFIDENCE < UNCERTAIN < LEFT_CONFIDENCE


def test_a_reference_counts_from_where_it_is_and_other_frames_have_no_value():
    meter = ConfidenceMeter()
    frame, mask = scene(60)
    labels = mask.astype(np.int32)
    assert meter.measure(followed(0, frame, mask), (1,)) == {}  # nothing to compare with
    assert meter.measure(FollowedFrame(0, frame, labels, None, "reference"), (1,)) == {}
    assert meter.measure(FollowedFrame(1, frame, labels, None, "finished"), (1,)) == {}
    assert list(meter.measure(followed(2, frame, mask), (1,))) == [1]


def test_looking_back_gives_what_an_unbroken_run_gives():
    frames = [scene(60 + 4 * i, seed=i) for i in range(5)]
    whole = started()
    for index in range(1, 5):
        last = whole.measure(followed(index, *frames[index]), (1,))
    resumed = ConfidenceMeter()
    resumed.add_reference(0, frames[0][0], frames[0][1].astype(np.int32), is_last=False)
    assert resumed.look_back(3, frames[3][0], frames[3][1].astype(np.int32))
    assert resumed.measure(followed(4, *frames[4]), (1,)) == last


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=30)
def test_any_probabilities_give_a_value(seed, objects):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, 2))
    frame = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    labels = rng.integers(0, objects + 1, size).astype(np.int32)
    scores = rng.random((objects + 1, *size)).astype(np.float32) ** rng.integers(1, 20)
    probabilities = scores / scores.sum(0)
    meter = ConfidenceMeter()
    meter.add_reference(0, frame, labels)
    step = FollowedFrame(1, frame, probabilities.argmax(0), probabilities, "segmented")
    ids = tuple(range(1, objects + 1))
    values = meter.measure(step, ids)
    assert set(values) == set(np.unique(labels)) - {0}
    assert all(0 <= value.value <= 1 for value in values.values())
    for features in meter.features(step, ids).values():
        assert features is None or list(features) == list(FEATURES)


def test_features_are_what_they_say():
    values = started().features(followed(1, *scene(64)), (1,))[1]
    assert values is not None
    assert values["shape_iou"] == pytest.approx(1, abs=0.02)
    assert values["jump"] == pytest.approx(4 / np.sqrt(1257), abs=0.02)
    area = scene(64)[1].sum()
    outside = SIZE[0] * SIZE[1] - area
    expected = 0.98 * area / (area + 0.02 * outside)
    assert values["expected_iou"] == pytest.approx(expected, abs=1e-4)
    assert values["mean_probability"] == pytest.approx(0.98, abs=1e-4)
    assert values["log_area"] == pytest.approx(np.log(area) / 10, abs=1e-6)
