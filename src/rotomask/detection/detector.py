"""The base class of detectors, and the detections they return."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.detection.boxes import Boxes, check_boxes
from rotomask.errors import ShapeError


@dataclass(frozen=True)
class Detections:
    """Detections in one frame, best score first."""

    boxes: Boxes
    """N×4 float32, px of the frame: x0, y0, x1, y1."""
    scores: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """N float32, 0 to 1."""
    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Class numbers, N int64; 0 for detectors without classes."""

    def __post_init__(self) -> None:
        check_boxes(self.boxes)
        if not len(self.boxes) == len(self.scores) == len(self.classes):
            raise ShapeError(
                f"each box needs one score and one class, got {len(self.boxes)} boxes, "
                f"{len(self.scores)} scores and {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Detections":
        """The detections at these indices, in that order, or where a mask of N bool is true."""
        return Detections(self.boxes[index], self.scores[index], self.classes[index])


NO_DETECTIONS = Detections(np.zeros((0, 4), np.float32))


class Detector(ABC):
    """Base class of object detectors. They have no state per video: one serves any number.

    Attributes:
        class_names: Names by class number; may be incomplete.
    """

    class_names: dict[int, str]

    @abstractmethod
    def detect(self, frame: Frame) -> Detections:
        """The objects in a frame.

        Args:
            frame: H×W×3 uint8 RGB, of any size.

        Returns:
            Boxes inside the frame, in its px, best score first.

        Raises:
            ShapeError: If the argument is not a frame.
        """

    def class_name(self, number: int) -> str:
        """The name of a class, or its number if it has no name."""
        return self.class_names.get(number, str(number))


class NoDetector(Detector):
    """A detector without detections: box filters then track boxes from masks (paper 4, 3.3.2)."""

    def __init__(self) -> None:
        self.class_names = {}

    def detect(self, frame: Frame) -> Detections:
        """No detections, whatever the frame."""
        return NO_DETECTIONS


def clean_detections(
    boxes: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    *,
    size: tuple[int, int],
    least_score: float = 0.0,
    most: int | None = None,
) -> Detections:
    """Detections from a model's raw output: clipped to the frame, filtered and sorted by score.

    Args:
        boxes: N×4, px.
        scores: N.
        classes: N.
        size: Height and width of the frame, px.
        least_score: Detections with a lower score are removed.
        most: Largest number of detections; None: no limit.

    Returns:
        The remaining detections whose boxes have an area, best score first.
    """
    height, width = size
    clipped = np.asarray(boxes, np.float32).reshape(-1, 4).copy()
    # Columns are x0, y0, x1, y1.
    clipped[:, 0::2] = clipped[:, 0::2].clip(0, width)
    clipped[:, 1::2] = clipped[:, 1::2].clip(0, height)
    detections = Detections(clipped, scores.astype(np.float32), classes.astype(np.int64))
    has_area = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    detections = detections.take(has_area & (detections.scores >= least_score))
    return detections.take(np.argsort(-detections.scores, kind="stable")[:most])
