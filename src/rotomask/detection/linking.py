"""Detections of one object linked over the frames of a video: track ids."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from rotomask.detection.boxes import Boxes, box_iou
from rotomask.detection.detector import Detections

LEAST_IOU = 0.3
"""Overlap from which a box continues a track."""

MOST_MISSED = 10
"""Frames that an object may go undetected before its track ends."""


@dataclass
class _Track:
    """The last box of a track."""

    number: int
    box: Boxes
    """4 float32, px."""
    class_number: int
    missed: int = 0


class TrackLinker:
    """Track ids of the boxes of a video, frame by frame, by their overlap.

    Boxes and tracks of one class are paired so that the sum of their IoU is largest (as SORT does,
    Bewley et al. 2016, here without a motion model). A box without a track begins one.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._begun = 0

    def link(self, detections: Detections) -> npt.NDArray[np.int64]:
        """Track ids, from 1, of the detections of the next frame: N int64."""
        numbers = np.zeros(len(detections), np.int64)
        for track in self._tracks:
            track.missed += 1
        if self._tracks and len(detections):
            overlap = box_iou(np.stack([t.box for t in self._tracks]), detections.boxes)  # T×N
            classes = np.array([t.class_number for t in self._tracks])
            # T×N: an object does not change its kind.
            overlap[classes[:, None] != detections.classes[None]] = 0
            # The largest sum of overlaps over all pairs, not the best pair first: two objects that
            # cross keep their tracks more often.
            for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
                if overlap[row, column] >= LEAST_IOU:
                    track = self._tracks[row]
                    track.box, track.missed = detections.boxes[column], 0
                    numbers[column] = track.number
        for index in np.flatnonzero(numbers == 0):
            self._begun += 1
            numbers[index] = self._begun
            box, class_number = detections.boxes[index], int(detections.classes[index])
            self._tracks.append(_Track(self._begun, box, class_number))
        self._tracks = [track for track in self._tracks if track.missed <= MOST_MISSED]
        return numbers
