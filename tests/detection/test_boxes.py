"""Boxes against counted pixels, and scores of detectors against figures worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.detection import Detections
from rotomask.detection.boxes import (
    box_iou,
    boxes_mask,
    enclosing_box,
    label_boxes,
    mask_box,
    non_maximum_suppression,
)
from rotomask.detection.detector import clean_detections
from rotomask.detection.letterbox import boxes_in_frame, letterbox
from rotomask.errors import ShapeError
from rotomask.evaluation.measures.detection import average_precision, recall

SIZE = (24, 32)
_ends = st.tuples(st.integers(0, 31), st.integers(0, 23), st.integers(1, 16), st.integers(1, 16))
_box = _ends.map(lambda b: [b[0], b[1], min(32, b[0] + b[2]), min(24, b[1] + b[3])])
_boxes = st.lists(_box, min_size=1, max_size=8).map(lambda b: np.array(b, np.float32))


@settings(max_examples=60)
@given(_boxes, _boxes)
def test_overlap_is_that_of_the_pixels(a, b):
    overlap = box_iou(a, b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            first, second = boxes_mask(one[None], SIZE), boxes_mask(other[None], SIZE)
            counted = (first & second).sum() / (first | second).sum()
            assert overlap[i, j] == pytest.approx(counted, abs=1e-5)
    assert np.allclose(overlap, box_iou(b, a).T)
    assert np.allclose(np.diag(box_iou(a, a)), 1)


def test_empty_boxes_overlap_nothing():
    flat = np.array([[3, 3, 3, 9], [5, 5, 2, 2]], np.float32)
    assert (box_iou(flat, flat) == 0).all()
    assert box_iou(np.zeros((0, 4), np.float32), flat).shape == (0, 2)


@settings(max_examples=60)
@given(_boxes, st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.7]))
def test_suppression_keeps_the_best_of_what_overlaps(boxes, seed, limit):
    scores = np.random.default_rng(seed).permutation(len(boxes)).astype(np.float32)
    kept = non_maximum_suppression(boxes, scores, limit)
    overlap = box_iou(boxes, boxes)
    assert (np.diff(scores[kept]) < 0).all()
    apart = overlap[np.ix_(kept, kept)] - np.eye(len(kept))
    assert (apart <= limit + 1e-6).all()
    for i in set(range(len(boxes))) - set(kept.tolist()):
        better = [k for k in kept if scores[k] > scores[i]]
        assert (overlap[i, better] > limit).any()


@settings(max_examples=40)
@given(_boxes)
def test_masks_and_boxes_say_the_same(boxes):
    assert (mask_box(boxes_mask(boxes[:1], SIZE)) == boxes[:1]).all()
    assert (mask_box(boxes_mask(boxes, SIZE)) == enclosing_box(boxes)).all()


def test_labels_have_a_box_each():
    labels = np.zeros(SIZE, np.uint8)
    labels[2:6, 3:9], labels[10:20, 1:4] = 3, 1
    assert label_boxes(labels).tolist() == [[1, 10, 4, 20], [3, 2, 9, 6]]
    assert label_boxes(np.zeros(SIZE, np.uint8)).shape == (0, 4)
    assert mask_box(np.zeros(SIZE, bool)).shape == (0, 4)


def test_a_margin_makes_boxes_larger():
    box = np.array([[10, 10, 20, 14]], np.float32)
    assert (mask_box(boxes_mask(box, SIZE, 0.5)) == [[5, 8, 25, 16]]).all()


def test_detections_are_put_in_order_and_inside_the_frame():
    boxes = np.array([[-5, 2, 8, 9], [3, 3, 50, 6], [40, 1, 60, 5], [1, 1, 4, 4]], np.float32)
    scores = np.array([0.4, 0.9, 0.8, 0.1], np.float32)
    found = clean_detections(boxes, scores, np.arange(4), size=SIZE, least_score=0.2)
    assert found.boxes.tolist() == [[3, 3, 32, 6], [0, 2, 8, 9]]
    assert found.classes.tolist() == [1, 0]
    assert len(clean_detections(boxes, scores, np.arange(4), size=SIZE, most=1)) == 1


def test_detections_of_unlike_lengths_are_refused():
    with pytest.raises(ShapeError, match="one score and one class"):
        Detections(np.zeros((2, 4), np.float32))
    with pytest.raises(ShapeError, match="N×4"):
        Detections(np.zeros((2, 3), np.float32))


@settings(max_examples=40)
@given(st.integers(8, 90), st.integers(8, 90), st.integers(32, 96), st.integers(32, 96))
def test_boxes_come_back_out_of_a_letterbox(height, width, to_height, to_width):
    frame = np.full((height, width, 3), 255, np.uint8)
    letter = letterbox(frame, (to_height, to_width))
    assert letter.image.shape == (to_height, to_width, 3)
    there = mask_box(letter.image[..., 0] > 200)
    back = boxes_in_frame(there, letter)
    assert np.abs(back - [[0, 0, width, height]]).max() <= 1 / letter.scale


def _found(*rows):
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[4] for row in rows], np.float32)
    return Detections(boxes, scores, np.zeros(len(rows), np.int64))


RIGHT, WRONG = (0, 0, 10, 10), (20, 0, 30, 10)


def test_average_precision_by_hand():
    truth = np.array([RIGHT], np.float32)
    assert average_precision([_found((*RIGHT, 0.9))], [truth]) == 1
    # Wrong first, then right: precision 1/2 at recall 1.
    assert average_precision([_found((*WRONG, 0.9), (*RIGHT, 0.5))], [truth]) == 0.5
    # Finding it twice is one hit and one fault behind it.
    assert average_precision([_found((*RIGHT, 0.9), (0, 0, 10, 9, 0.5))], [truth]) == 1
    # Over two images: hit, fault, hit: 1/2 · 1 + 1/2 · 2/3.
    both = [_found((*RIGHT, 0.9), (*WRONG, 0.8)), _found((*RIGHT, 0.7))]
    assert average_precision(both, [truth, truth]) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision([_found()], [truth]) == 0
    assert math.isnan(average_precision([_found((*RIGHT, 0.9))], [np.zeros((0, 4), np.float32)]))


def test_recall_by_hand():
    truth = np.array([RIGHT, (0, 12, 10, 22)], np.float32)
    found = [_found((*WRONG, 0.9), (*RIGHT, 0.8), (0, 12, 10, 22, 0.1))]
    assert recall(found, [truth]) == 1
    assert recall(found, [truth], per_image=2) == 0.5
    assert recall(found, [truth], per_image=1) == 0
    half_over = np.array([(0, 0, 10, 21)], np.float32)
    assert recall([_found((*RIGHT, 0.8))], [half_over]) == 0
    with pytest.raises(ShapeError, match="got 1 and 0"):
        recall(found, [])
