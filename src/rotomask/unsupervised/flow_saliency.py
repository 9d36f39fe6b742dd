"""What motion alone gives: the part of the picture that does not move with the camera."""

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
from rotomask.unsupervised.stored import (
    FrameCounter,
    KeptScores,
    Refine,
    StoredDiscovery,
    certainty,
    keep_scores,
)

CELL_PX = 4
"""Side of the cells in which flow is averaged, px of the working size."""


@dataclass(frozen=True, kw_only=True)
class FlowSaliencyConfig:
    """How moving objects are told from the camera's motion."""

    size: int | None = 384
    """Short side at which frames are looked at, px; None: their own."""
    still_px: float = 0.5
    """Where nothing moves more than this, px of the working size, there is no object."""
    crf: bool = False
    """Refine the masks of every frame by a dense CRF."""


class FlowSaliencyDiscoverer(Discoverer):
    """Takes for the object what moves unlike the camera: the baseline for every other method.

    In each frame the length of the flow less the camera's is split in two by Otsu's threshold. A
    frame in which nothing moves has no object.
    """

    def __init__(
        self, config: FlowSaliencyConfig | None = None, *, flow: OpticalFlow | None = None
    ) -> None:
        self.config = config or FlowSaliencyConfig()
        self.flow = flow or DISFlow()
        self.refine: Refine | None = dense_crf if self.config.crf else None

    def __repr__(self) -> str:
        """Settings."""
        return f"flow saliency, {self.config}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> StoredDiscovery:
        """Look at the whole video; there is one object at most."""
        if objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {objects}")
        counter = FrameCounter(on_frames)
        kept = list(self._saliencies(source, counter))
        if not kept:
            raise InputError("the video has no frame to find an object in")
        score = float(np.mean([frame.clarity[0] for frame in kept]))
        return StoredDiscovery(source, kept, [score], self.refine)

    def _saliencies(self, source: FrameSource, counter: FrameCounter) -> Iterator[KeptScores]:
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

    def _saliency(self, frame: Frame, other: Frame | None) -> KeptScores:
        size = fitted_size((frame.shape[0], frame.shape[1]), self.config.size, CELL_PX)
        if other is None:
            flow: Flow = np.zeros((size[0] // CELL_PX, size[1] // CELL_PX, 2), np.float32)
        else:
            flow = map_flow(self.flow, frame, other, size, CELL_PX)
        probability = moving_probability(np.linalg.norm(flow, axis=-1), self.config.still_px)
        scores: Probabilities = np.stack([1 - probability, probability]).astype(np.float32)
        return keep_scores(scores, [certainty(scores[1])])


def moving_probability(length: npt.NDArray[np.float32], still_px: float) -> npt.NDArray[np.float32]:
    """How surely each cell moves: 0.5 at the threshold that best splits the lengths (Otsu 1979).

    Args:
        length: Of the flow less the camera's, h×w, px.
        still_px: Where no cell moves more than this, none does.

    Returns:
        h×w, 0 to 1.
    """
    longest = float(np.percentile(length, 99.5))
    if longest <= still_px:
        return np.zeros_like(length)
    levels = (np.clip(length / longest, 0, 1) * 255).astype(np.uint8)
    level, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    threshold = max((level + 0.5) / 255 * longest, still_px)
    squared = np.square(length)
    probability: npt.NDArray[np.float32] = squared / (squared + threshold**2)
    return probability
