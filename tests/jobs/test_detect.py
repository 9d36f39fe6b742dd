"""`rotomask detect`: boxes on disk as COCO's own tools read them."""

import contextlib
import io
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from rotomask.detection import Detections, Detector
from rotomask.detection.boxes import label_boxes
from rotomask.detection.detector import NO_DETECTIONS
from rotomask.detection.drawing import draw_boxes
from rotomask.detection.linking import MOST_MISSED, TrackLinker
from rotomask.errors import OptionError
from rotomask.jobs.detect import coco_boxes, detect


class Whites(Detector):
    """Boxes of what is white; large ones are of class 2."""

    def __init__(self):
        self.class_names = {1: "small", 2: "large"}

    def detect(self, frame):
        boxes = label_boxes(cv2.connectedComponents((frame[..., 0] > 200).astype(np.uint8))[1])
        large = (boxes[:, 2] - boxes[:, 0]) > 10
        scores = np.where(large, 0.9, 0.2).astype(np.float32)
        return Detections(boxes, scores, np.where(large, 2, 1).astype(np.int64))


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for t in range(4):
        frame = np.zeros((40, 64, 3), np.uint8)
        frame[5:25, 8 + t : 28 + t] = 255
        frame[30:34, 50:54] = 255
        cv2.imwrite(str(folder / f"{t:03d}.png"), frame)
    return folder


def test_boxes_are_written_as_coco_reads_them(video, tmp_path):
    result = detect(video, tmp_path / "out", detector=Whites(), least_score=0.1, start=1)
    assert (result.frames, result.count) == (3, 6)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(result.boxes))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [
        "001",
        "002",
        "003",
    ]
    assert coco.loadCats([1, 2]) == [{"id": 1, "name": "small"}, {"id": 2, "name": "large"}]
    large = coco.loadAnns(coco.getAnnIds(imgIds=[2], catIds=[2]))
    assert [a["bbox"] for a in large] == [[10, 5, 20, 20]]
    assert [a["score"] for a in large] == [0.9]
    sheet = cv2.imread(str(result.sheet))
    assert sheet is not None
    assert sheet.shape[1] > 600


def test_low_scores_are_left_out(video, tmp_path):
    result = detect(video, tmp_path / "out", detector=Whites())
    categories = [a["category_id"] for a in json.loads(result.boxes.read_text())["annotations"]]
    assert categories == [2] * 4


def test_a_range_without_frames_is_named(video, tmp_path):
    with pytest.raises(OptionError, match="4 frames, 0 to 3; frame 4 is out of range"):
        detect(video, tmp_path / "out", detector=Whites(), start=4)


def test_a_class_without_a_name_has_its_number():
    found = {"a": Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32), np.array([7]))}
    assert {"id": 7, "name": "7"} in coco_boxes(found, Whites(), (8, 8))["categories"]


def test_boxes_are_drawn_where_they_are():
    image = np.zeros((40, 60, 3), np.uint8)
    box = np.array([[10, 8, 30, 28]], np.float32)
    drawn = draw_boxes(image, box, [(255, 0, 0)])
    assert (drawn[8, 10:30] == (255, 0, 0)).all()
    assert (drawn[27, 29] == (255, 0, 0)).all()
    assert not drawn[:8].any()
    assert not drawn[12:24, 14:26].any()
    assert not image.any()


def test_captions_are_on_a_ground_of_their_own_and_inside_the_picture():
    image = np.full((200, 300, 3), 90, np.uint8)
    boxes = np.array([[40, 60, 120, 150], [250, 2, 299, 80]], np.float32)
    plain = draw_boxes(image, boxes, [(255, 0, 0), (255, 255, 0)])
    named = draw_boxes(image, boxes, [(255, 0, 0), (255, 255, 0)], ["#1 dog 0.91", "#2 cat 0.50"])
    rows, columns = np.nonzero((named != plain).any(-1))
    first = columns < 200
    assert rows[first].max() < 60  # above the box: what it frames stays visible
    assert rows[first].max() - rows[first].min() >= 12
    assert columns[~first].max() == 299  # moved in from the border, not cut off
    changed = named[(named != plain).any(-1)].reshape(-1, 3)
    dark, red = (changed.max(-1) < 60).sum(), (changed == (255, 0, 0)).all(-1).sum()
    assert red > 200
    assert dark + (changed.min(-1) > 200).sum() > 40  # ink in black or white


def test_boxes_of_one_object_have_one_track_id(video, tmp_path):
    result = detect(video, tmp_path / "out", detector=Whites(), least_score=0.1)
    assert result.tracks == 2
    annotations = json.loads(result.boxes.read_text())["annotations"]
    by_class = {c: {a["track_id"] for a in annotations if a["category_id"] == c} for c in (1, 2)}
    assert all(len(tracks) == 1 for tracks in by_class.values())
    assert by_class[1] != by_class[2]


def one(x: float, class_number: int = 0) -> Detections:
    return Detections(
        np.array([[x, 0, x + 10, 10]], np.float32), np.ones(1, np.float32), np.array([class_number])
    )


def test_track_survives_missed_frames_and_ends_after_many():
    linker = TrackLinker()
    assert linker.link(one(0)).tolist() == [1]
    assert linker.link(NO_DETECTIONS).tolist() == []
    assert linker.link(one(2)).tolist() == [1]
    assert linker.link(one(30)).tolist() == [2]  # elsewhere
    assert linker.link(one(2, class_number=3)).tolist() == [3]  # of another class
    for _ in range(MOST_MISSED + 1):
        linker.link(NO_DETECTIONS)
    assert linker.link(one(2)).tolist() == [4]


def test_boxes_that_cross_are_paired_one_to_one():
    linker = TrackLinker()
    both = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], np.float32)
    scores, classes = np.ones(2, np.float32), np.zeros(2, np.int64)
    assert linker.link(Detections(both, scores, classes)).tolist() == [1, 2]
    # Greedily, 2 would take the first box, which is 1's only choice.
    moved = np.array([[3, 0, 13, 10], [6, 0, 16, 10]], np.float32)
    assert linker.link(Detections(moved, scores, classes)).tolist() == [1, 2]
