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
from rotomask.detection.drawing import draw_boxes
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
    named = draw_boxes(image, box, [(255, 0, 0)], ["dog"])
    assert named[8:28, 10:30].any(-1).sum() > drawn[8:28, 10:30].any(-1).sum()
