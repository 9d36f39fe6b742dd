"""detector-lite, the shipped detector: boxes from the peaks of the network's centre map."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from rotomask.arrays import Frame, check_frame
from rotomask.detection.boxes import Boxes, non_maximum_suppression
from rotomask.detection.detector import Detections, Detector, clean_detections
from rotomask.errors import OptionError
from rotomask.networks.detector_lite import BoxMaps, DetectorLite, boxes_at_cells
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import fitted_size


@dataclass(frozen=True, kw_only=True)
class LiteConfig:
    """Settings of running the network on a frame."""

    size: int = 320
    """Short side to which frames are resized, px; smaller frames are enlarged."""
    least_score: float = 0.05
    """Least score of a detection."""
    overlap: float = 0.6
    """IoU above which non-maximum suppression removes the box with the lower score."""
    most: int = 20
    """Largest number of detections in a frame."""

    def __post_init__(self) -> None:
        if self.size < DetectorLite.multiple or self.most < 1:
            raise OptionError(
                f"size must be {DetectorLite.multiple} px or more and most at least 1, got "
                f"{self.size} px and {self.most}"
            )


class LiteDetector(Detector):
    """A class-agnostic detector with the network `DetectorLite`; all objects have class 0."""

    def __init__(
        self,
        network: DetectorLite,
        config: LiteConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.config = config or LiteConfig()
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval().requires_grad_(False)
        self.class_names = {0: "object"}

    def __repr__(self) -> str:
        """Network, device, precision and settings."""
        return f"DetectorLite on {self.runtime.device}, {self.runtime.precision}, {self.config}"

    def detect(self, frame: Frame) -> Detections:
        """The objects in a frame; see `Detector.detect`."""
        maps, scale = self.maps(frame)
        # More peaks than needed: suppression removes some.
        boxes, scores = peaks(maps, 4 * self.config.most, self.config.least_score)
        # From px of the resized frame to those of the video: x0 y0 x1 y1 by x, y, x, y.
        boxes /= np.array([*scale, *scale], np.float32)
        classes = np.zeros(len(boxes), np.int64)
        detections = clean_detections(boxes, scores, classes, size=(frame.shape[0], frame.shape[1]))
        remaining = non_maximum_suppression(
            detections.boxes, detections.scores, self.config.overlap
        )
        return detections.take(remaining[: self.config.most])

    def maps(self, frame: Frame) -> tuple[BoxMaps, tuple[float, float]]:
        """The network's output for a frame, and the scale in x and y of the resized frame."""
        check_frame(frame)
        height, width = frame.shape[:2]
        # Each side is rounded by itself, so that x and y have slightly different scales.
        h, w = fitted_size((height, width), self.config.size, DetectorLite.multiple)
        method = cv2.INTER_AREA if h < height else cv2.INTER_LINEAR
        small = cv2.resize(frame, (w, h), interpolation=method)
        image = (
            torch.tensor(np.ascontiguousarray(small), device=self.runtime.device)
            .permute(2, 0, 1)[None]
            .float()
            / 255
        )
        with self.runtime.inference():
            maps = self.network(image.contiguous(memory_format=torch.channels_last))
        return maps, (w / width, h / height)


def peaks(maps: BoxMaps, most: int, least_score: float) -> tuple[Boxes, npt.NDArray[np.float32]]:
    """Boxes and scores at the peaks of the centre map of one image.

    A peak is the maximum of its 3×3 neighbourhood, as in CenterNet.

    Args:
        maps: Output of the network for one image (B = 1).
        most: Largest number of peaks.
        least_score: Least score of a peak.

    Returns:
        Boxes N×4 float32, px of the network's input, and N scores, best first.
    """
    score = torch.sigmoid(maps.centre)  # 1×h×w
    # Equal to the largest of its neighbourhood: pooling takes the place of suppression for centres.
    is_peak = F.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score
    flat = (score * is_peak).flatten()
    top = flat.topk(min(most, len(flat)))
    selected = top.indices[top.values >= least_score]
    boxes = boxes_at_cells(maps.reach, DetectorLite.stride).flatten(0, 2)[
        selected
    ]  # 1×h×w×4 -> N×4
    return boxes.cpu().numpy(), flat[selected].cpu().numpy()
