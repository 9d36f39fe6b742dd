"""Filtering by boxes over a video: two shapes alike, of which one is meant."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rotomask.arrays import Probabilities
from rotomask.detection import Detections, Detector
from rotomask.detection.boxes import label_boxes
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.box_filtered import BoxFiltered

SIZE = (48, 96)
RED, BLUE = (200, 20, 20), (20, 20, 200)
SIDE = 12


class ByColour(Segmenter):
    """Takes for the object whatever has its mean colour: an appearance model at its plainest."""

    def __init__(self) -> None:
        self.colours: dict[int, npt.NDArray[np.float64]] = {}

    @property
    def object_ids(self):
        return tuple(self.colours)

    def start(self, frame, mask):
        self.colours = {}
        self._learn(frame, mask)

    def _learn(self, frame, mask):
        for k in np.unique(mask[mask > 0]):
            self.colours[int(k)] = frame[mask == k].mean(0)

    def step(self, frame):
        likely = [np.abs(frame - c).max(-1) < 60 for c in self.colours.values()]
        chances = np.stack(likely).astype(np.float32) * np.float32(0.95)
        answer: Probabilities = np.concatenate([1 - chances.sum(0)[None], chances])
        return answer

    def add(self, frame, mask, object_ids=None) -> Probabilities:
        self._learn(frame, mask)
        answer: Probabilities = self.step(frame)
        for k in object_ids or np.unique(mask[mask > 0]):
            answer[:, mask == k] = 0
            row = 1 + self.object_ids.index(int(k))
            answer[0] += answer[row] * (mask != k)
            answer[row] = mask == k
        return answer

    def observe(self, frame, mask):
        pass


class OfShapes(Detector):
    """Finds whatever stands out of the black ground; reds are class 1, blues class 2."""

    def __init__(self, blind: bool = False) -> None:
        self.class_names = {1: "red", 2: "blue"}
        self.blind, self.asked = blind, 0

    def detect(self, frame):
        self.asked += 1
        shape = (frame.max(-1) > 100).astype(np.uint8)
        boxes = label_boxes(cv2.connectedComponents(shape)[1])
        centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int)
        classes = np.array([1 if frame[y, x, 0] > 100 else 2 for x, y in centres], np.int64)
        found = Detections(boxes, np.full(len(boxes), 0.9, np.float32), classes)
        return found.take(np.zeros(len(boxes), bool)) if self.blind else found


def _frame(*shapes):
    """Squares of SIDE at x, y in a colour on black, and their labels 1, 2, ..."""
    frame, labels = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.int32)
    for k, (x, y, colour) in enumerate(shapes, start=1):
        frame[y : y + SIDE, x : x + SIDE] = colour
        labels[y : y + SIDE, x : x + SIDE] = k
    return frame, labels


def _video(length=6):
    """Two red squares that move right, a blue one that stands; the first red is meant."""
    return [_frame((4 + 3 * t, 6, RED), (40 + 3 * t, 6, RED), (4, 30, BLUE)) for t in range(length)]


def _cut(segmenter, video, wanted=(1,)):
    frames, labels = zip(*video, strict=True)
    segmenter.start(frames[0], np.where(np.isin(labels[0], wanted), labels[0], 0))
    return [segmenter.labels(segmenter.step(frame)) for frame in frames[1:]]


@pytest.mark.parametrize("blind", [False, True])
def test_of_two_alike_the_marked_one_is_cut(blind):
    video = _video()
    plain = _cut(ByColour(), video)
    filtered = _cut(BoxFiltered(ByColour(), OfShapes(blind)), video)
    for (_, truth), without, found in zip(video[1:], plain, filtered, strict=True):
        assert ((without > 0) == np.isin(truth, (1, 2))).all()
        assert ((found > 0) == (truth == 1)).all()


def test_switched_off_nothing_changes():
    video = _video()
    off = BoxFilterConfig(restrict="nothing")
    for plain, same in zip(
        _cut(ByColour(), video), _cut(BoxFiltered(ByColour(), OfShapes(), off), video), strict=True
    ):
        assert (plain == same).all()


def test_every_object_has_its_own_boxes():
    video = _video()
    both = _cut(BoxFiltered(ByColour(), OfShapes()), video, wanted=(2, 3))
    for (_, truth), found in zip(video[1:], both, strict=True):
        assert (found == np.where(truth > 1, truth, 0)).all()


def test_an_object_that_leaves_and_comes_back_elsewhere():
    there, gone = (30, 6, RED), (4, 30, BLUE)
    video = [_frame(there, gone), _frame(there, gone), _frame(gone), _frame(gone)]
    back, _ = _frame((70, 30, RED), gone)
    for blind in (False, True):
        segmenter = BoxFiltered(ByColour(), OfShapes(blind))
        found = _cut(segmenter, video)
        assert [int(f.sum()) for f in found] == [SIDE**2, 0, 0]
        again = segmenter.labels(segmenter.step(back))
        assert (again > 0).sum() == SIDE**2
        assert (again[30:42, 70:82] == 1).all()


def test_a_resumed_job_filters_as_one_that_was_not_stopped():
    video = _video(8)
    whole = _cut(BoxFiltered(ByColour(), OfShapes()), video)
    resumed = BoxFiltered(ByColour(), OfShapes())
    resumed.start(video[0][0], np.where(video[0][1] == 1, 1, 0))
    for (frame, _), mask in zip(video[1:5], whole[:4], strict=True):
        resumed.observe(frame, mask)
    for (frame, _), mask in zip(video[5:], whole[4:], strict=True):
        assert (resumed.labels(resumed.step(frame)) == mask).all()


def test_a_correction_moves_the_object_and_a_new_one_gets_its_class():
    video = _video()
    segmenter = BoxFiltered(ByColour(), OfShapes())
    segmenter.start(video[0][0], np.where(video[0][1] == 1, 1, 0))
    segmenter.step(video[1][0])
    frame, truth = video[2]
    told = np.where(truth == 2, 1, 0) + np.where(truth == 3, 5, 0)
    answer = segmenter.labels(segmenter.add(frame, told))
    assert segmenter.object_ids == (1, 5)
    assert (answer == told).all()
    frame, truth = video[3]
    found = segmenter.labels(segmenter.step(frame))
    assert (found == np.where(truth == 2, 1, 0) + np.where(truth == 3, 5, 0)).all()


def test_an_object_known_to_be_absent_is_lost_but_not_forgotten():
    video = _video()
    segmenter = BoxFiltered(ByColour(), OfShapes())
    segmenter.start(video[0][0], np.where(video[0][1] == 3, 1, 0))
    without, _ = _frame((4, 6, RED))
    assert not segmenter.labels(segmenter.add(without, np.zeros(SIZE, int), [1])).any()
    frame, truth = video[2]
    assert ((segmenter.labels(segmenter.step(frame)) > 0) == (truth == 3)).all()


def test_the_detector_is_asked_once_a_frame_and_only_if_needed():
    video = _video()
    detector = OfShapes()
    _cut(BoxFiltered(ByColour(), detector), video, wanted=(1, 2, 3))
    assert detector.asked == len(video)
    blind = OfShapes(blind=True)
    _cut(BoxFiltered(ByColour(), blind), video)
    assert blind.asked == 1
    unused = OfShapes()
    _cut(BoxFiltered(ByColour(), unused, BoxFilterConfig(detections=False)), video)
    assert unused.asked == 0
