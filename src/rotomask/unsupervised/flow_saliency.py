"""Flow saliency, the baseline: the object is what moves differently from the camera."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities, check_frame
from rotomask.errors import InputError, OptionError
from rotomask.flow.optical_flow import DISFlow, Flow, OpticalFlow
from rotomask.networks.sizing import fitted_size
from rotomask.refine.dense_crf import dense_crf
from rotomask.segmenters.follow import FrameSource
from rotomask.unsupervised.base import Discoverer, OnFrames
from rotomask.unsupervised.features import map_flow
from rotomask.unsupervised.stored_discovery import (
    FrameCounter,
    StoredDiscovery,
    StoredScores,
    certainty,
    store_scores,
)

CELL_PX = 4
"""Side of the cells over which flow is averaged, px of the working size."""


@dataclass(frozen=True, kw_only=True)
class FlowSaliencyConfig:
    """Settings of `FlowSaliencyDiscoverer`."""

    size: int | None = 384
    """Short side at which frames are processed, px; None: their own."""
    still_px: float = 0.5
    """A frame in which nothing moves more than this, px of the working size, has no object."""
    crf: bool = False
    """Refine the masks of every frame with a dense CRF."""


class FlowSaliencyDiscoverer(Discoverer):
    """Unsupervised segmentation by motion alone, the baseline for the other methods.

    In each frame the length of the stabilised flow is split by Otsu's threshold. A frame in which
    nothing moves has no object.
    """

    def __init__(
        self, config: FlowSaliencyConfig | None = None, *, flow: OpticalFlow | None = None
    ) -> None:
        self.config = config or FlowSaliencyConfig()
        self.flow = flow or DISFlow()
        self.refine = dense_crf if self.config.crf else None

    def __repr__(self) -> str:
        """Settings."""
        return f"flow saliency, {self.config}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> StoredDiscovery:
        """Find the moving object of a video; at most one, whatever `objects` is."""
        if objects < 1:
            raise OptionError(f"objects must be at least 1, got {objects}")
        counter = FrameCounter(on_frames)
        stored = list(self._saliencies(source, counter))
        if not stored:
            raise InputError("the video has no frames to find an object in")
        score = float(np.mean([frame.clarity[0] for frame in stored]))
        return StoredDiscovery(source, stored, [score], self.refine)

    def _saliencies(self, source: FrameSource, counter: FrameCounter) -> Iterator[StoredScores]:
        """Scores of every frame by its flow to the next one; the last frame's goes backwards."""
        previous: Frame | None = None
        before: Frame | None = None
        for frame in source.frames():
            check_frame(frame, None if previous is None else previous.shape[:2])
            if previous is not None:
                yield self._saliency(previous, frame)
                counter.add()
            before, previous = previous, frame
        if previous is not None:
            yield self._saliency(previous, before)
            counter.add()

    def _saliency(self, frame: Frame, other: Frame | None) -> StoredScores:
        size = fitted_size((frame.shape[0], frame.shape[1]), self.config.size, CELL_PX)
        if other is None:
            flow: Flow = np.zeros((size[0] // CELL_PX, size[1] // CELL_PX, 2), np.float32)
        else:
            flow = map_flow(self.flow, frame, other, size, CELL_PX)
        probability = moving_probability(np.linalg.norm(flow, axis=-1), self.config.still_px)
        scores: Probabilities = np.stack([1 - probability, probability]).astype(np.float32)
        return store_scores(scores, [certainty(scores[1])])


def moving_probability(length: npt.NDArray[np.float32], still_px: float) -> npt.NDArray[np.float32]:
    """Probability that a cell moves: 0.5 at Otsu's threshold of the flow's length (Otsu 1979).

    Args:
        length: Length of the stabilised flow, h×w, px.
        still_px: If no cell moves more than this, the probability is 0 everywhere.

    Returns:
        h×w float32, 0 to 1.
    """
    # A percentile, not the maximum: single errors of the flow would compress the 256 levels.
    longest = float(np.percentile(length, 99.5))
    if longest <= still_px:
        return np.zeros_like(length)
    levels = (np.clip(length / longest, 0, 1) * 255).astype(np.uint8)  # OpenCV's Otsu needs uint8
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    threshold = max((level + 0.5) / 255 * longest, still_px)  # back to px
    # l² / (l² + t²) is 0.5 at the threshold t and rises smoothly, unlike a hard split.
    squared = np.square(length)
    probability: npt.NDArray[np.float32] = squared / (squared + threshold**2)
    return probability
