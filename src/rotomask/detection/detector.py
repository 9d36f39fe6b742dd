"""The contract of every detector: a frame in, boxes with classes and scores out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.detection.boxes import Boxes, check_boxes
from rotomask.errors import ShapeError


@dataclass(frozen=True)
class Detections:
    """What a detector found in one frame, best score first."""

    boxes: Boxes
    """N×4 float32, px of the frame: x0, y0, x1, y1."""
    scores: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """N float32, 0 to 1."""
    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """N int64, numbers of classes; a detector that knows no classes gives 0 everywhere."""

    def __post_init__(self) -> None:
        check_boxes(self.boxes)
        if not len(self.boxes) == len(self.scores) == len(self.classes):
            raise ShapeError(
                f"a box has one score and one class, got {len(self.boxes)} boxes, "
                f"{len(self.scores)} scores and {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> "Detections":
        """Those of these indices, or where this is true, in that order."""
        return Detections(self.boxes[chosen], self.scores[chosen], self.classes[chosen])


NOTHING = Detections(np.zeros((0, 4), np.float32))


class Detector(ABC):
    """Finds objects in single frames. It knows nothing of videos, so one serves any number.

    Attributes:
        class_names: Names by number, as far as they are known.
    """

    class_names: dict[int, str]

    @abstractmethod
    def detect(self, frame: Frame) -> Detections:
        """The objects of a frame.

        Args:
            frame: H×W×3 uint8 RGB, of any size.

        Returns:
            Boxes in px of this frame and inside it, best score first.

        Raises:
            ShapeError: If this is not a frame.
        """

    def class_name(self, number: int) -> str:
        """A class's name, or its number where it has none."""
        return self.class_names.get(number, str(number))


class NoDetector(Detector):
    """Finds nothing, so that objects have boxes tracked from their masks (paper 4, sec. 3.3.2)."""

    def __init__(self) -> None:
        self.class_names = {}

    def detect(self, frame: Frame) -> Detections:
        """Nothing."""
        return NOTHING


def tidy(
    boxes: npt.NDArray[np.floating],
    scores: npt.NDArray[np.floating],
    classes: npt.NDArray[np.integer],
    *,
    size: tuple[int, int],
    least_score: float = 0.0,
    most: int | None = None,
) -> Detections:
    """Boxes inside the frame, best score first.

    Args:
        boxes: N×4, px.
        scores: N.
        classes: N.
        size: The frame's height and width, px.
        least_score: Those below go.
        most: Those after so many go; None: none.

    Returns:
        Those that are left and have an area.
    """
    height, width = size
    inside = np.asarray(boxes, np.float32).reshape(-1, 4).copy()
    inside[:, 0::2] = inside[:, 0::2].clip(0, width)
    inside[:, 1::2] = inside[:, 1::2].clip(0, height)
    found = Detections(inside, scores.astype(np.float32), classes.astype(np.int64))
    has_area = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    found = found.take(has_area & (found.scores >= least_score))
    return found.take(np.argsort(-found.scores, kind="stable")[:most])
