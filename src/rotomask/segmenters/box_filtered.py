"""A segmenter whose masks are filtered by a detector's boxes.

The one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.3 and 3.4, over
any segmenter: its probabilities are the appearance maps of the paper. The steps are the functions
of `refine/box_filters.py`. The inner segmenter continues from its own output, not the filtered one.
"""

from collections.abc import Sequence

import numpy as np

from rotomask.arrays import Frame, Mask, Probabilities, as_labels
from rotomask.detection.boxes import Boxes
from rotomask.detection.detector import NO_DETECTIONS, Detections, Detector
from rotomask.refine.box_filters import (
    BoxFilterConfig,
    FilteredMap,
    Track,
    filter_object,
    join_maps,
    start_track,
    without_doubtful,
)
from rotomask.segmenters.base import Segmenter, WorkingAhead
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
        detections: Detections in the last frame.
        filtered: Filtered map and boxes of each segmented object in the last frame, by object id.
    """

    def __init__(
        self, segmenter: Segmenter, detector: Detector, config: BoxFilterConfig | None = None
    ) -> None:
        super().__init__(segmenter)
        self.detector = detector
        self.config = config or BoxFilterConfig()
        self.detections: Detections = NO_DETECTIONS
        self.filtered: dict[int, FilteredMap] = {}
        self._tracks: dict[int, Track] = {}

    def __repr__(self) -> str:
        """Segmenter, detector and config."""
        return f"{self.segmenter!r}, filtered by boxes of {self.detector!r}, {self.config}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video with this frame and its mask as the reference."""
        mask = as_labels(mask)
        self.segmenter.start(frame, mask)
        self._tracks, self.filtered = {}, {}
        self._update_tracks(frame, mask, self.object_ids)

    def step(self, frame: Frame) -> Probabilities:
        """Segment the next frame."""
        probabilities = self.segmenter.step(frame)
        # Only where some track was detected as a known kind: the tracked box needs no detector.
        self.detections = self._detect(frame, needed=self._uses_detections())
        return self._filter(probabilities, annotated=())

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame, given the mask of some objects, which are not filtered."""
        mask = as_labels(mask)
        ids = object_ids if object_ids is not None else [int(k) for k in np.unique(mask) if k]
        annotated = tuple(int(k) for k in ids)
        probabilities = self.segmenter.add(frame, mask, object_ids)
        self._update_tracks(frame, mask, annotated)
        return self._filter(probabilities, annotated)

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Take the next frame's mask as the segmenter's own earlier output, without segmenting."""
        self.segmenter.observe(frame, mask)
        self._advance_tracks(mask)

    def working_ahead(self) -> WorkingAhead:
        """As that of the segmenter whose masks are filtered."""
        return self.segmenter.working_ahead()

    @property
    def last_boxes(self) -> dict[int, Boxes]:
        """Last box of each object by its id, 1×4 px."""
        return {k: track.box for k, track in self._tracks.items()}

    def _uses_detections(self) -> bool:
        return any(track.classes is not None for track in self._tracks.values())

    def _detect(self, frame: Frame, *, needed: bool) -> Detections:
        return self.detector.detect(frame) if self.config.detections and needed else NO_DETECTIONS

    def _update_tracks(self, frame: Frame, mask: Mask, annotated: Sequence[int]) -> None:
        """Start the tracks of annotated objects anew; one without a pixel keeps its track."""
        self.detections = self._detect(frame, needed=True)
        for k in annotated:
            object_mask = mask == k
            if object_mask.any() or k not in self._tracks:
                self._tracks[k] = start_track(self.detections, object_mask, self.config)

    def _filter(self, probabilities: Probabilities, annotated: Sequence[int]) -> Probabilities:
        """Probabilities with the maps of all but the annotated objects filtered, O+1×H×W."""
        given, maps, self.filtered = list(probabilities[1:]), [], {}
        for k, probability in zip(self.object_ids, given, strict=True):
            if k in annotated:
                maps.append(probability)
                continue
            result = filter_object(probability, self.detections, self._tracks[k], self.config)
            self.filtered[k] = result
            maps.append(result.probability)
        # The very arrays: merging would change the bits of maps that no filter touched.
        is_unchanged = all(a is b for a, b in zip(maps, given, strict=True))
        joined = probabilities if is_unchanged else join_maps(maps)
        if len(maps) > 1 and not annotated:
            joined = without_doubtful(joined)
        # By the filtered masks: what was cut off must not draw the box along.
        self._advance_tracks(self.labels(joined))
        return joined

    def _advance_tracks(self, mask: Mask) -> None:
        """Move every track on by one frame with this mask."""
        self._tracks = {k: track.after(mask == k) for k, track in self._tracks.items()}
