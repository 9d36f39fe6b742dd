"""A segmenter whose answers are filtered by a detector's boxes.

The one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.3 and 3.4, over
any segmenter: what it says of an object is the appearance map. The steps are the functions of
`refine/box_filters.py`. The segmenter within goes on from its own answers.
"""

from collections.abc import Sequence

import numpy as np

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.detection.boxes import Boxes
from rotomask.detection.detector import NO_DETECTIONS, Detections, Detector
from rotomask.refine.box_filters import (
    BoxFilterConfig,
    FilteredMap,
    Track,
    filter_object,
    join_maps,
    start_track,
)
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.wrappers import Wrapper


class BoxFiltered(Wrapper):
    """Keeps only those regions of a segmenter's masks that lie inside each object's boxes.

    The state of an object beside its classes follows from its masks, so that a resumed job filters
    as one that was not interrupted.

    Args:
        segmenter: Gives the appearance maps.
        detector: Gives the boxes; not called if the config uses none.
        config: The switches of the steps.

    Attributes:
        detections: Of the last frame.
        chosen: Of each object id, what filtered its map in the last frame that was segmented.
    """

    def __init__(
        self, segmenter: Segmenter, detector: Detector, config: BoxFilterConfig | None = None
    ) -> None:
        super().__init__(segmenter)
        self.detector = detector
        self.config = config or BoxFilterConfig()
        self.detections: Detections = NO_DETECTIONS
        self.chosen: dict[int, FilteredMap] = {}
        self._tracks: dict[int, Track] = {}

    def __repr__(self) -> str:
        """The segmenter and what filters it."""
        return f"{self.segmenter!r}, filtered by boxes of {self.detector!r}, {self.config}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and take this frame and its mask as the reference."""
        self.segmenter.start(frame, mask)
        self._tracks, self.chosen = {}, {}
        self._learn(frame, mask, self.object_ids)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        answer = self.segmenter.step(frame)
        self.detections = self._detect(frame, needed=self._uses_detections())
        return self._filter(answer, known=())

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask; what is known is not filtered."""
        named = object_ids if object_ids is not None else [int(k) for k in np.unique(mask) if k]
        known = tuple(int(k) for k in named)
        answer = self.segmenter.add(frame, mask, object_ids)
        self._learn(frame, mask, known)
        return self._filter(answer, known)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier answer, without segmenting."""
        self.segmenter.observe(frame, mask)
        self._remember(mask)

    @property
    def places(self) -> dict[int, Boxes]:
        """Where each object was last seen: id -> 1×4 px."""
        return {k: track.box for k, track in self._tracks.items()}

    def _uses_detections(self) -> bool:
        return any(track.classes is not None for track in self._tracks.values())

    def _detect(self, frame: Frame, *, needed: bool) -> Detections:
        return self.detector.detect(frame) if self.config.detections and needed else NO_DETECTIONS

    def _learn(self, frame: Frame, mask: Mask, known: Sequence[int]) -> None:
        """Begin the tracks of objects whose mask is known, or go on with them if it is empty."""
        self.detections = self._detect(frame, needed=True)
        for k in known:
            own = mask == k
            if own.any() or k not in self._tracks:
                self._tracks[k] = start_track(self.detections, own, self.config)

    def _filter(self, answer: Probabilities, known: Sequence[int]) -> Probabilities:
        maps, self.chosen = [], {}
        for k, probability in zip(self.object_ids, answer[1:], strict=True):
            if k in known:
                maps.append(probability)
                continue
            found = filter_object(probability, self.detections, self._tracks[k], self.config)
            self.chosen[k] = found
            maps.append(found.probability)
        joined = join_maps(maps)
        self._remember(self.labels(joined))
        return joined

    def _remember(self, mask: Mask) -> None:
        self._tracks = {k: track.after(mask == k) for k, track in self._tracks.items()}
