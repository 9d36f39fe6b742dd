"""Which detector boxes are the object's, and what they leave of its appearance map.

From the one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.3 and 3.4.
An appearance network takes every similar thing for the object; a detector tells instances apart.
Every step is a function here and a switch of `BoxFilterConfig`; `segmenters/box_filtered.py` runs
them over a video. "Map" is an object's probability in every pixel, "mask" what of it is taken.

The paper says nothing of objects that leave and come back. Here an object is lost while its mask is
empty: its place is no longer asked for, but more evidence is, until it is found anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.detection.boxes import Boxes, box_iou, hull, mask_box, region_of
from rotomask.detection.detector import Detections
from rotomask.errors import OptionError, ShapeError
from rotomask.refine.components import BoolMask, ComponentsConfig, strong_components, touching

Map = npt.NDArray[np.float32]
"""An object's probability in every pixel, H×W."""

NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, kw_only=True)
class BoxFilterConfig:
    """The switches of every step, and their thresholds."""

    detections: bool = True
    """Whether the detector's boxes are used; else every object has the box that is tracked."""
    classes: bool = True
    """Whether later boxes must be of a class that was remembered from the first frame."""
    appearance: bool = True
    """Whether the box is chosen that fits the map best (sec. 3.3.1); else the best score is."""
    temporal: bool = True
    """Whether a box must overlap the object's place in the frame before (sec. 3.3.2)."""
    fallback: bool = True
    """Whether a box is tracked where none is detected (sec. 3.3.2); else such maps stay whole."""
    restrict: Literal["nothing", "clip", "components"] = "components"
    """What boxes do to the map: nothing; all outside is cut off; components that do not touch
    a box go (sec. 3.4)."""
    first_overlap: float = 0.5
    """Least intersection over union of an object's first detection with the box of its mask."""
    temporal_overlap: float = 0.3
    """Least intersection over union with the object's place in the frame before."""
    appearance_overlap: float = 0.1
    """Least intersection over union of a box and the map, thresholded low."""
    return_overlap: float = 0.3
    """The same for the box of an object that was lost."""
    return_area: float = 0.25
    """Least part of its last area that a component has where a lost object comes back."""
    reach: float = 0.25
    """The place of the frame before is made larger by this part of its sides, each way, where a
    box is tracked: objects move, and a part that was cut off comes back."""
    most_boxes: int = 1
    """Most boxes of an object: a rider and a horse are two things to a detector with classes."""
    gain: float = 0.03
    """A further box must raise the intersection over union with the map by so much."""
    margin: float = 0.0
    """Boxes are made larger by this part of their sides, each way, before they restrict."""
    weak_in_boxes: bool = False
    """Whether weak pixels count inside boxes only, or wherever they touch strong ones."""
    components: ComponentsConfig = field(default_factory=lambda: ComponentsConfig(low=0.5))
    """The two thresholds."""

    def __post_init__(self) -> None:
        if self.restrict not in ("nothing", "clip", "components"):
            raise OptionError(
                f"boxes restrict by nothing, clip or components, got {self.restrict!r}"
            )
        if self.most_boxes < 1 or min(self.margin, self.reach) < 0:
            raise OptionError(
                "an object has 1 box or more, their margin and reach are 0 or more, got "
                f"{self.most_boxes}, {self.margin} and {self.reach}"
            )


FOLLOWING = BoxFilterConfig(margin=0.1, components=ComponentsConfig(low=0.3))
"""As suits a model that follows its object, such as stm-lite; the defaults suit one-shot models.
Both are from the held-out videos (studies/box_filters.py)."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is known of an object between two frames; all but the classes follows from its masks."""

    classes: frozenset[int] | None
    """Those remembered from its first frame; None: nothing was detected there."""
    place: Boxes
    """The box of its last mask that was not empty, 1×4; 0×4 before the first."""
    area: int = 0
    """Of that mask, px."""
    lost: bool = False
    """Whether the mask of the frame before was empty."""

    def after(self, mask: BoolMask) -> "Track":
        """What is known after a frame with this mask of the object, H×W."""
        if not mask.any():
            return replace(self, lost=True)
        return replace(self, place=mask_box(mask), area=int(mask.sum()), lost=False)


class Filtered(NamedTuple):
    """What is left of an object's map, and why."""

    probability: Map
    boxes: Boxes
    """Those that were chosen or tracked; none where the object was not found."""
    detected: bool
    """Whether they are the detector's."""


def begin_track(detections: Detections, mask: BoolMask, config: BoxFilterConfig) -> Track:
    """What is remembered of an object from its first frame (sec. 3.3.1).

    Args:
        detections: Of that frame.
        mask: The object's, H×W.
        config: The switches.

    Returns:
        A track with the classes of the boxes that fit the mask best, if those fit well enough.
    """
    unseen = Track(classes=None, place=NO_BOXES, lost=True).after(mask)
    if not config.detections or not mask.any():
        return unseen
    chosen = choose_boxes(detections.boxes, mask, config.most_boxes, config.gain)
    around = hull(detections.boxes[chosen])
    if not len(chosen) or box_iou(around, unseen.place)[0, 0] < config.first_overlap:
        return unseen
    return replace(unseen, classes=frozenset(int(c) for c in detections.classes[chosen]))


def filter_object(
    probability: Map, detections: Detections, track: Track, config: BoxFilterConfig
) -> Filtered:
    """One object's map, filtered by the boxes of its frame.

    Args:
        probability: The object's map, H×W float32, 0 to 1.
        detections: Of this frame.
        track: What is known of the object from the frames before.
        config: The switches.

    Returns:
        The filtered map and the boxes that filtered it.

    Raises:
        ShapeError: If the map is not H×W.
    """
    if probability.ndim != 2:
        raise ShapeError(f"an object's map is H×W, got {probability.shape}")
    boxes = select_boxes(detections, probability, track, config)
    detected = len(boxes) > 0
    if not detected and not config.fallback:
        return Filtered(probability, boxes, detected)
    if not detected:
        boxes = track_box(probability, track, config)
    return Filtered(restrict_map(probability, boxes, config), boxes, detected)


def select_boxes(
    detections: Detections, probability: Map, track: Track, config: BoxFilterConfig
) -> Boxes:
    """The detected boxes of an object, N×4: by class, place and appearance (sec. 3.3).

    Args:
        detections: Of this frame.
        probability: The object's map, H×W.
        track: What is known of it; without classes nothing is selected.
        config: The switches.
    """
    if not config.detections or track.classes is None:
        return NO_BOXES
    found = detections
    if config.classes:
        found = found.take(np.isin(found.classes, list(track.classes)))
    if config.temporal and not track.lost:
        found = found.take(near_place(found.boxes, track.place, config.temporal_overlap))
    likely = probability >= config.components.low
    if config.appearance:
        least = config.return_overlap if track.lost else config.appearance_overlap
        found = found.take(map_overlaps(found.boxes, likely) >= least)
        chosen = choose_boxes(found.boxes, likely, config.most_boxes, config.gain)
    else:
        chosen = np.argsort(-found.scores, kind="stable")[: config.most_boxes]
    return found.boxes[chosen]


def near_place(boxes: Boxes, place: Boxes, overlap: float) -> BoolMask:
    """Which boxes overlap the object's place in the frame before enough, N bool (sec. 3.3.2)."""
    return np.asarray((box_iou(boxes, place) >= overlap).any(1))


def map_overlaps(boxes: Boxes, likely: BoolMask) -> npt.NDArray[np.float64]:
    """Intersection over union of each box and a map's likely pixels (sec. 3.3.1).

    Args:
        boxes: N×4, px.
        likely: H×W.

    Returns:
        N, 0 to 1.
    """
    size = (likely.shape[0], likely.shape[1])
    return np.array([_overlap(region_of(box[None], size), likely) for box in boxes], np.float64)


def choose_boxes(
    boxes: Boxes, likely: BoolMask, most: int = 1, gain: float = 0.0
) -> npt.NDArray[np.intp]:
    """The boxes that together fit a map's likely pixels best.

    The best one first; then, as long as the intersection over union of all and the map rises by
    the gain, the one that raises it most.

    Args:
        boxes: N×4, px.
        likely: H×W.
        most: Most boxes.
        gain: Least rise for a further box.

    Returns:
        Indices, the best one first; none if no box meets a likely pixel.
    """
    size = (likely.shape[0], likely.shape[1])
    regions = [region_of(box[None], size) for box in boxes]
    chosen: list[int] = []
    covered, reached = np.zeros(size, bool), 0.0
    while regions and len(chosen) < most:
        overlaps = np.array([_overlap(covered | region, likely) for region in regions])
        best = int(overlaps.argmax())
        if overlaps[best] <= reached + (gain if chosen else 0):
            break
        chosen.append(best)
        covered, reached = covered | regions[best], float(overlaps[best])
    return np.array(chosen, np.intp)


def track_box(probability: Map, track: Track, config: BoxFilterConfig) -> Boxes:
    """The box of an object that is not detected: 1×4, or 0×4 where it is not seen (sec. 3.3.2).

    It is around the strong components that touch the object's place in the frame before. Of a lost
    object it is around the largest strong component, if that is large enough.

    Args:
        probability: The object's map, H×W.
        track: What is known of it.
        config: The switches.
    """
    strong = probability >= config.components.high
    if not strong.any():
        return NO_BOXES
    if not track.lost:
        size = (strong.shape[0], strong.shape[1])
        return mask_box(touching(strong, region_of(track.place, size, config.reach)))
    largest = _largest_component(strong)
    return mask_box(largest) if largest.sum() >= config.return_area * track.area else NO_BOXES


def restrict_map(probability: Map, boxes: Boxes, config: BoxFilterConfig) -> Map:
    """What boxes leave of a map (sec. 3.4).

    Args:
        probability: H×W.
        boxes: N×4, px; of none, nothing is left.
        config: The switches; by components, the low threshold becomes one half.

    Returns:
        H×W float32: 0 where the object is not.
    """
    if config.restrict == "nothing":
        return probability
    region = region_of(boxes, (probability.shape[0], probability.shape[1]), config.margin)
    if config.restrict == "clip":
        return np.where(region, probability, np.float32(0))
    thresholds = config.components
    if config.weak_in_boxes:
        kept = strong_components(probability, thresholds, region)
    else:
        strong = touching(probability >= thresholds.high, region)
        kept = touching(probability >= thresholds.low, strong)
    lifted = np.interp(probability, [0, thresholds.low, 1], [0, 0.5, 1])
    return np.where(kept, lifted, 0).astype(np.float32)


def join_maps(maps: Sequence[Map]) -> Probabilities:
    """Objects' filtered maps as one distribution O+1×H×W; the background has what is left."""
    stacked = np.stack(maps)
    total = stacked.sum(0)
    stacked /= np.maximum(total, 1)
    return np.concatenate([np.maximum(1 - total, 0)[None], stacked])


def _overlap(region: BoolMask, likely: BoolMask) -> float:
    shared = np.count_nonzero(region & likely)
    union = np.count_nonzero(region) + np.count_nonzero(likely) - shared
    return shared / union if union else 0.0


def _largest_component(mask: BoolMask) -> BoolMask:
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())
