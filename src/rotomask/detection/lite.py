"""The shipped detector at work: frames in, peaks of the heat map with their boxes out."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from rotomask.arrays import Frame, check_frame
from rotomask.detection.boxes import Boxes, suppress
from rotomask.detection.detector import Detections, Detector, tidy
from rotomask.errors import OptionError
from rotomask.networks.detector_lite import BoxMaps, DetectorLite, boxes_at_cells
from rotomask.networks.precision import Runtime, choose_runtime


@dataclass(frozen=True, kw_only=True)
class LiteConfig:
    """How the network is run on a frame."""

    size: int = 320
    """Short side at which frames are looked at, px; smaller ones are enlarged to it."""
    least_score: float = 0.05
    """Detections below are not given."""
    overlap: float = 0.6
    """Of two boxes with a larger intersection over union, the one with the lower score goes."""
    most: int = 20
    """Most detections in a frame."""

    def __post_init__(self) -> None:
        if self.size < DetectorLite.multiple or self.most < 1:
            raise OptionError(
                f"a detector needs a size of {DetectorLite.multiple} px or more and 1 detection or "
                f"more, got {self.size} px and {self.most}"
            )


class LiteDetector(Detector):
    """Detects objects of any kind by `DetectorLite`; all are of class 0."""

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
        """The objects of a frame; see `Detector.detect`."""
        maps, scale = self.maps(frame)
        boxes, scores = peaks(maps, 4 * self.config.most, self.config.least_score)
        boxes /= np.array([*scale, *scale], np.float32)
        classes = np.zeros(len(boxes), np.int64)
        found = tidy(boxes, scores, classes, size=(frame.shape[0], frame.shape[1]))
        kept = suppress(found.boxes, found.scores, self.config.overlap)
        return found.take(kept[: self.config.most])

    def maps(self, frame: Frame) -> tuple[BoxMaps, tuple[float, float]]:
        """What the network says of a frame, and its size there over its own: x and y."""
        check_frame(frame)
        height, width = frame.shape[:2]
        factor, multiple = self.config.size / min(height, width), DetectorLite.multiple
        h, w = (max(multiple, multiple * round(v * factor / multiple)) for v in (height, width))
        method = cv2.INTER_AREA if h < height else cv2.INTER_LINEAR
        small = cv2.resize(frame, (w, h), interpolation=method)
        image = torch.tensor(small, device=self.runtime.device).permute(2, 0, 1)[None].float() / 255
        with self.runtime.inference():
            maps = self.network(image.contiguous(memory_format=torch.channels_last))
        return maps, (w / width, h / height)


def peaks(maps: BoxMaps, most: int, least_score: float) -> tuple[Boxes, npt.NDArray[np.float32]]:
    """The boxes of the heat map's peaks, of one image.

    A peak is the highest of its 3×3 cells, which CenterNet has in place of suppression.

    Args:
        maps: Of a batch of one.
        most: Most peaks.
        least_score: Lower ones are none.

    Returns:
        N×4 float32 px of the network's image, and N scores, best first.
    """
    score = torch.sigmoid(maps.centre)
    is_peak = F.max_pool2d(score[:, None], 3, 1, 1)[:, 0] == score
    flat = (score * is_peak).flatten()
    top = flat.topk(min(most, len(flat)))
    chosen = top.indices[top.values >= least_score]
    boxes = boxes_at_cells(maps.reach, DetectorLite.stride).flatten(0, 2)[chosen]
    return boxes.cpu().numpy(), flat[chosen].cpu().numpy()
