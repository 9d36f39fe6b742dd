"""Each step of filtering by boxes: what it does, and that without it the answer is another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.detection import NO_DETECTIONS, Detections
from rotomask.detection.boxes import box_iou, boxes_mask, enclosing_box, mask_box
from rotomask.errors import OptionError, ShapeError
from rotomask.refine import ComponentsConfig
from rotomask.refine.box_filters import (
    BoxFilterConfig,
    Track,
    best_boxes,
    filter_object,
    join_maps,
    map_overlaps,
    near_previous,
    restrict_map,
    select_boxes,
    start_track,
    track_box,
    without_doubtful,
)

SIZE = (40, 60)
CAR, PERSON = 3, 1
LEFT, RIGHT = (5, 10, 20, 30), (35, 10, 50, 30)


def _detections(*rows):
    """Rows of a box and its class; scores fall."""
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(rows)).astype(np.float32)
    return Detections(boxes, scores, np.array([row[4] for row in rows], np.int64))


def _map(*boxes, value=0.95, size=SIZE):
    probability = np.zeros(size, np.float32)
    for box in boxes:
        probability[boxes_mask(np.array([box], np.float32), size)] = value
    return probability


def _track(box, classes=(CAR,), **changes):
    mask = _map(box) > 0
    empty = np.zeros((0, 4), np.float32)
    track = Track(classes=None if classes is None else frozenset(classes), box=empty)
    return replace(track.after(mask), **changes)


PLAIN = BoxFilterConfig(components=ComponentsConfig(low=0.4, high=0.8))


def test_the_first_frame_remembers_the_class_of_the_box_that_fits():
    found = _detections((*RIGHT, PERSON), (4, 9, 21, 31, CAR), (0, 0, 60, 40, 7))
    track = start_track(found, _map(LEFT) > 0, PLAIN)
    assert track.classes == frozenset({CAR})
    assert track.box.tolist() == [list(LEFT)]
    assert track.area == 15 * 20


def test_what_does_not_fit_the_first_mask_is_no_detection():
    found = _detections((*RIGHT, PERSON), (0, 0, 60, 40, 7))
    assert start_track(found, _map(LEFT) > 0, PLAIN).classes is None
    lenient = replace(PLAIN, first_overlap=0.05)
    assert start_track(found, _map(LEFT) > 0, lenient).classes == frozenset({7})
    assert start_track(found, _map(RIGHT) > 0, replace(PLAIN, detections=False)).classes is None


def test_a_rider_and_a_horse_are_two_boxes_of_one_object():
    rider, horse = (20, 2, 28, 14), (12, 14, 40, 34)
    found = _detections((*rider, PERSON), (*horse, 17), (*LEFT, CAR))
    mask = _map(rider, horse) > 0
    assert start_track(found, mask, PLAIN).classes == frozenset({17})
    both = replace(PLAIN, most_boxes=3)
    assert start_track(found, mask, both).classes == frozenset({PERSON, 17})
    assert best_boxes(found.boxes, mask, 3, 0.9).tolist() == [1]


def test_other_classes_are_not_taken():
    probability = _map(LEFT)
    found = _detections((*LEFT, PERSON), (4, 8, 24, 34, CAR))
    track = _track(LEFT)
    assert select_boxes(found, probability, track, PLAIN).tolist() == [[4, 8, 24, 34]]
    any_class = replace(PLAIN, classes=False)
    assert select_boxes(found, probability, track, any_class).tolist() == [list(LEFT)]


def test_appearance_chooses_what_the_best_score_does_not():
    probability = _map((6, 11, 20, 30))
    loose, tight = (2, 6, 28, 36), (5, 10, 20, 30)
    found = _detections((*loose, CAR), (*tight, CAR))
    track = _track(LEFT)
    assert select_boxes(found, probability, track, PLAIN).tolist() == [list(tight)]
    by_score = replace(PLAIN, appearance=False)
    assert select_boxes(found, probability, track, by_score).tolist() == [list(loose)]


def test_time_keeps_to_the_object_where_another_looks_more_like_it():
    """Figure 5, below: the other car's box fits the map better."""
    probability = np.maximum(_map(RIGHT), _map((8, 14, 16, 26)))
    found = _detections((*LEFT, CAR), (*RIGHT, CAR))
    track = _track(LEFT)
    assert select_boxes(found, probability, track, PLAIN).tolist() == [list(LEFT)]
    without = replace(PLAIN, temporal=False)
    assert select_boxes(found, probability, track, without).tolist() == [list(RIGHT)]


def test_a_box_without_the_object_in_it_is_not_taken():
    found = _detections((*LEFT, CAR))
    assert len(select_boxes(found, _map(RIGHT), _track(LEFT), PLAIN)) == 0
    assert len(select_boxes(found, _map(RIGHT), _track(LEFT, None), PLAIN)) == 0


def test_the_tracked_box_follows_what_touches_the_last_place():
    moved = (10, 12, 26, 33)
    probability = np.maximum(_map(moved), _map(RIGHT))
    assert track_box(probability, _track(LEFT, None), PLAIN).tolist() == [list(moved)]
    weak = np.maximum(_map(moved, value=0.6), _map(RIGHT))
    assert len(track_box(weak, _track(LEFT, None), PLAIN)) == 0


def test_the_tracked_box_reaches_beyond_the_last_place():
    """A part that is cut off, or an object that moves by more than its gap, is not lost."""
    body, part = (5, 10, 14, 30), (15, 10, 20, 30)
    track = _track(body, None)
    both = _map(body, part)
    assert track_box(both, track, PLAIN).tolist() == [[5, 10, 20, 30]]
    assert track_box(both, track, replace(PLAIN, reach=0.0)).tolist() == [list(body)]
    far = (40, 10, 50, 30)
    assert len(track_box(_map(far), track, PLAIN)) == 0


def test_the_fallback_is_a_switch():
    probability = np.maximum(_map(LEFT), _map(RIGHT))
    found = filter_object(probability, NO_DETECTIONS, _track(LEFT, None), PLAIN)
    assert not found.detected
    assert found.boxes.tolist() == [list(LEFT)]
    assert (mask_box(found.probability > 0.5) == [LEFT]).all()
    without = replace(PLAIN, fallback=False)
    whole = filter_object(probability, NO_DETECTIONS, _track(LEFT, None), without)
    assert len(whole.boxes) == 0
    assert (whole.probability == probability).all()


def test_what_boxes_do_to_a_map():
    """Figure 5, above: clipping cuts the swan's neck off, components keep it."""
    swan, neck = (10, 15, 30, 30), (25, 4, 28, 15)
    probability = np.maximum(_map(swan, RIGHT), _map(neck, value=0.5))
    boxes = np.array([swan], np.float32)
    nothing, clip, components = (
        restrict_map(probability, boxes, replace(PLAIN, restrict=kind))
        for kind in ("nothing", "clip", "components")
    )
    assert (nothing == probability).all()
    assert ((clip > 0) == (_map(swan) > 0)).all()
    assert ((components > 0) == (_map(swan, neck) > 0)).all()
    inside = restrict_map(probability, boxes, replace(PLAIN, weak_in_boxes=True))
    assert ((inside > 0) == (_map(swan) > 0)).all()
    wide = restrict_map(probability, boxes, replace(PLAIN, restrict="clip", margin=0.5))
    assert (wide[8:15, 25:28] > 0).all()


def test_both_thresholds_count():
    body, limb, speck = (10, 10, 20, 20), (20, 13, 30, 16), (14, 30, 20, 36)
    probability = _map(body)
    probability = np.maximum(probability, _map(limb, value=0.45))
    probability = np.maximum(probability, _map(speck, value=0.7))
    boxes = np.array([[8, 8, 32, 38]], np.float32)
    found = restrict_map(probability, boxes, PLAIN)
    assert ((found >= 0.5) == (_map(body, limb) > 0)).all()
    high = replace(PLAIN, components=ComponentsConfig(low=0.5, high=0.6))
    assert ((restrict_map(probability, boxes, high) >= 0.5) == (_map(body, speck) > 0)).all()


def test_soft_edges_stay_and_a_map_without_a_removed_part_is_the_map_itself():
    body, speck = (10, 10, 20, 20), (35, 10, 40, 15)
    body_alone = np.maximum(_map(body), _map((9, 9, 21, 21), value=0.2))
    boxes = np.array([[8, 8, 22, 22]], np.float32)
    assert restrict_map(body_alone, boxes, BoxFilterConfig()) is body_alone
    with_speck = np.maximum(body_alone, _map((34, 9, 41, 16), value=0.2))
    found = restrict_map(np.maximum(with_speck, _map(speck)), boxes, BoxFilterConfig())
    np.testing.assert_array_equal(found, body_alone)  # the speck's soft edge goes with it


def test_no_object_wins_a_pixel_with_less_than_one_half():
    shares = np.array([0.25, 0.4, 0.35], np.float32)[:, None, None]
    np.testing.assert_array_equal(without_doubtful(shares).ravel(), [1, 0, 0])
    sure = np.array([0.3, 0.6, 0.1], np.float32)[:, None, None]
    assert without_doubtful(sure) is sure
    edge = np.array([0.6, 0.4, 0.0], np.float32)[:, None, None]
    assert without_doubtful(edge) is edge, "the background wins: the soft edge stays"


def test_an_object_that_leaves_is_lost_and_found_again_anywhere():
    track = _track(LEFT).after(np.zeros(SIZE, bool))
    assert track.lost
    assert track.box.tolist() == [list(LEFT)]
    found = _detections((*RIGHT, CAR))
    back = filter_object(_map(RIGHT), found, track, PLAIN)
    assert back.detected
    assert back.boxes.tolist() == [list(RIGHT)]
    assert not track.after(back.probability > 0.5).lost
    # While it is not lost, there it would be another one.
    assert not filter_object(_map(RIGHT), found, _track(LEFT), PLAIN).probability.any()


def test_a_lost_object_needs_more_than_a_speck_to_come_back():
    track = _track(LEFT, None, lost=True)
    assert len(track_box(_map((40, 20, 44, 24)), track, PLAIN)) == 0
    assert track_box(_map((40, 20, 50, 34)), track, PLAIN).tolist() == [[40, 20, 50, 34]]
    seen = _track(LEFT, lost=True)
    part = _map((36, 12, 40, 18))
    least = replace(PLAIN, return_overlap=0.05, fallback=False)
    strict = replace(least, return_overlap=0.3)
    assert len(select_boxes(_detections((*RIGHT, CAR)), part, seen, least)) == 1
    assert len(select_boxes(_detections((*RIGHT, CAR)), part, seen, strict)) == 0


_box = st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(2, 10), st.integers(2, 10))
_boxes = st.lists(_box.map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])), min_size=1)


@settings(max_examples=40)
@given(_boxes, st.integers(0, 1000))
def test_choice_is_the_best_overlap_and_more_boxes_never_fit_worse(boxes, seed):
    rng = np.random.default_rng(seed)
    array = np.array(boxes[:6], np.float32)
    likely = rng.random(SIZE) < 0.3
    overlaps = map_overlaps(array, likely)
    for box, overlap in zip(array, overlaps, strict=True):
        region = boxes_mask(box[None], SIZE)
        assert overlap == pytest.approx((region & likely).sum() / (region | likely).sum())
    fits = []
    for most in (1, 2, 3):
        region = boxes_mask(array[best_boxes(array, likely, most)], SIZE)
        fits.append((region & likely).sum() / (region | likely).sum())
    assert fits[0] == pytest.approx(overlaps.max())
    assert fits == sorted(fits)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(["clip", "components"]), st.booleans())
def test_restriction_only_takes_away(seed, kind, weak_in_boxes):
    rng = np.random.default_rng(seed)
    probability = rng.random(SIZE).astype(np.float32)
    boxes = np.array([LEFT, RIGHT], np.float32)[: rng.integers(0, 3)]
    config = replace(PLAIN, restrict=kind, weak_in_boxes=weak_in_boxes)
    kept = restrict_map(probability, boxes, config) >= 0.5
    threshold = 0.5 if kind == "clip" else config.components.low
    assert not (kept & (probability < threshold)).any()
    assert kept.any() == (len(boxes) > 0)
    both = restrict_map(probability, enclosing_box(boxes), config) >= 0.5
    assert (both >= kept).all()


def test_joined_maps_are_a_distribution():
    rng = np.random.default_rng(0)
    joined = join_maps([rng.random(SIZE).astype(np.float32) for _ in range(3)])
    assert np.abs(joined.sum(0) - 1).max() < 1e-6
    assert joined.min() >= 0
    alone = rng.random(SIZE).astype(np.float32)
    assert np.allclose(join_maps([alone])[1], alone)


def test_nearness_is_the_overlap_with_the_last_place():
    boxes = np.array([LEFT, (8, 10, 23, 30), RIGHT], np.float32)
    place = np.array([LEFT], np.float32)
    assert near_previous(boxes, place, 0.5).tolist() == [True, True, False]
    overlap = float(box_iou(boxes[1:2], place)[0, 0])
    assert near_previous(boxes, place, overlap + 0.01).tolist() == [True, False, False]


def test_wrong_settings_and_shapes_are_named():
    with pytest.raises(OptionError, match="clip or components"):
        BoxFilterConfig(restrict="cut")  # type: ignore[arg-type]
    for wrong in ({"most_boxes": 0}, {"reach": -0.1}, {"margin": -0.1}):
        with pytest.raises(OptionError, match="most_boxes must be 1 or more"):
            BoxFilterConfig(**wrong)
    with pytest.raises(ShapeError, match="H×W"):
        filter_object(np.zeros((2, 3, 4), np.float32), NO_DETECTIONS, _track(LEFT), PLAIN)
