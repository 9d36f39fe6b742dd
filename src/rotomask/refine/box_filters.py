"""Filter an object's probability map by the boxes of a detector.

The one-shot appearance network with detector boxes (DAVIS 2017 challenge), sec. 3.3 and 3.4. An
appearance network responds to everything similar to the object; a detector separates instances.
Each step of the paper is a function here and a switch of `BoxFilterConfig`;
`segmenters/box_filtered.py` applies them to a video.

A map is the probability of one object at every pixel. A track is what is remembered of an object
between two frames.

The paper does not cover objects that leave and come back. Here an object is lost while its mask is
empty. A lost object can reappear anywhere in the frame, but the overlap of its box with the map
must be higher than usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.detection.boxes import Boxes, box_iou, boxes_mask, enclosing_box, mask_box
from rotomask.detection.detector import Detections
from rotomask.errors import OptionError, ShapeError
from rotomask.refine.components import (
    BoolMask,
    ComponentsConfig,
    connected_to,
    lift_threshold,
    strong_components,
    with_background,
)

Map = npt.NDArray[np.float32]
"""Probability of one object at every pixel, H×W."""

SOFT_EDGE_PX = 8
"""How far from a component its probability fades to 0; further off it was none of its own."""

NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


@dataclass(frozen=True, kw_only=True)
class BoxFilterConfig:
    """Switches and thresholds of the steps."""

    detections: bool = True
    """Use the detector's boxes. False: use the box that is tracked from the masks."""
    classes: bool = True
    """Accept only boxes of the classes detected on the object in its first frame."""
    appearance: bool = True
    """Select the box that fits the map best (sec. 3.3.1). False: the one with the best score."""
    temporal: bool = True
    """Accept only boxes that overlap the object's box in the previous frame (sec. 3.3.2)."""
    fallback: bool = True
    """Track a box where none is detected (sec. 3.3.2). False: leave such maps unfiltered."""
    restrict: Literal["nothing", "clip", "components"] = "components"
    """How boxes filter the map: not at all; remove all pixels outside; or remove connected
    components that do not touch a box (sec. 3.4)."""
    first_overlap: float = 0.5
    """Least IoU of an object's first detection with the bounding box of its mask."""
    temporal_overlap: float = 0.3
    """Least IoU of a box with the object's box in the previous frame."""
    appearance_overlap: float = 0.1
    """Least IoU of a box with the map's pixels above the low threshold."""
    return_overlap: float = 0.3
    """`appearance_overlap` for an object that was lost."""
    return_area: float = 0.25
    """Least area of the component with which a lost object returns, as a fraction of its last
    area."""
    reach: float = 0.25
    """Fraction of its sides by which the previous box is enlarged on each side before a box is
    tracked: objects move, and parts that were cut off can return."""
    most_boxes: int = 1
    """Largest number of boxes of an object; a detector with classes sees a rider and a horse."""
    gain: float = 0.03
    """Least increase of the IoU with the map by each further box."""
    margin: float = 0.0
    """Fraction of their sides by which boxes are enlarged on each side before they filter."""
    weak_in_boxes: bool = False
    """Keep weak pixels only inside boxes. False: wherever they are connected to strong ones."""
    components: ComponentsConfig = field(default_factory=lambda: ComponentsConfig(low=0.5))
    """The two thresholds of the map."""

    def __post_init__(self) -> None:
        if self.restrict not in ("nothing", "clip", "components"):
            raise OptionError(
                f"restrict must be nothing, clip or components, got {self.restrict!r}"
            )
        if self.most_boxes < 1 or min(self.margin, self.reach) < 0:
            raise OptionError(
                "most_boxes must be 1 or more, margin and reach 0 or more, got "
                f"{self.most_boxes}, {self.margin} and {self.reach}"
            )


FOLLOWING = BoxFilterConfig(margin=0.1)
"""Settings for models that propagate masks, such as stm-lite; the defaults are for one-shot models.
Both were selected on held-out videos (studies/box_filters.py). The low threshold is 0.5: a lower
one moves the edges of masks outwards."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """State of an object between two frames; all but the classes follows from its masks."""

    classes: frozenset[int] | None
    """Classes detected on the object in its first frame; None if nothing was detected."""
    box: Boxes
    """Bounding box of its last mask that was not empty, 1×4 px; 0×4 before the first."""
    area: int = 0
    """Area of that mask, px."""
    lost: bool = False
    """True if its mask in the previous frame was empty."""

    def after(self, mask: BoolMask) -> "Track":
        """The track after a frame in which the object has this mask, H×W bool."""
        if not mask.any():
            return replace(self, lost=True)
        return replace(self, box=mask_box(mask), area=int(mask.sum()), lost=False)


class FilteredMap(NamedTuple):
    """An object's map after the filter, with the boxes that filtered it."""

    probability: Map
    boxes: Boxes
    """Detected or tracked boxes, N×4 px; 0×4 if the object is not in the frame."""
    detected: bool
    """True if the boxes are detections, False if they are tracked."""


def start_track(detections: Detections, mask: BoolMask, config: BoxFilterConfig) -> Track:
    """The track of an object after its first frame (sec. 3.3.1).

    Args:
        detections: Detections in that frame.
        mask: The object's mask, H×W.
        config: The switches.

    Returns:
        A track with the classes of the boxes that fit the mask best, or without classes if their
        overlap with the mask's box is below `BoxFilterConfig.first_overlap`.
    """
    # Without classes `select_boxes` selects nothing, and the object's box is tracked.
    track = Track(classes=None, box=NO_BOXES, lost=True).after(mask)
    if not config.detections or not mask.any():
        return track
    selected = best_boxes(detections.boxes, mask, config.most_boxes, config.gain)
    outer = enclosing_box(detections.boxes[selected])
    if not len(selected) or box_iou(outer, track.box)[0, 0] < config.first_overlap:
        return track
    return replace(track, classes=frozenset(int(c) for c in detections.classes[selected]))


def filter_object(
    probability: Map, detections: Detections, track: Track, config: BoxFilterConfig
) -> FilteredMap:
    """One object's map, filtered by the boxes of its frame.

    Args:
        probability: The object's map, H×W float32, 0 to 1.
        detections: Detections in this frame.
        track: The object's track up to the previous frame.
        config: The switches.

    Returns:
        The filtered map and the boxes that filtered it.

    Raises:
        ShapeError: If the map is not H×W.
    """
    if probability.ndim != 2:
        raise ShapeError(f"an object's map must be H×W, got {probability.shape}")
    boxes = select_boxes(detections, probability, track, config)
    detected = len(boxes) > 0
    if not detected and not config.fallback:
        return FilteredMap(probability, boxes, detected)
    if not detected:
        boxes = track_box(probability, track, config)
    return FilteredMap(restrict_map(probability, boxes, config), boxes, detected)


def select_boxes(
    detections: Detections, probability: Map, track: Track, config: BoxFilterConfig
) -> Boxes:
    """The detected boxes of an object, N×4: by class, position and appearance (sec. 3.3).

    Args:
        detections: Detections in this frame.
        probability: The object's map, H×W.
        track: The object's track; if it has no classes, no box is selected.
        config: The switches.
    """
    if not config.detections or track.classes is None:
        return NO_BOXES
    candidates = detections
    if config.classes:
        candidates = candidates.take(np.isin(candidates.classes, list(track.classes)))
    # A lost object can return anywhere, but its box must then fit the map better.
    if config.temporal and not track.lost:
        near = near_previous(candidates.boxes, track.box, config.temporal_overlap)
        candidates = candidates.take(near)
    likely = probability >= config.components.low
    if config.appearance:
        least = config.return_overlap if track.lost else config.appearance_overlap
        candidates = candidates.take(map_overlaps(candidates.boxes, likely) >= least)
        selected = best_boxes(candidates.boxes, likely, config.most_boxes, config.gain)
    else:
        selected = np.argsort(-candidates.scores, kind="stable")[: config.most_boxes]
    return candidates.boxes[selected]


def near_previous(boxes: Boxes, previous: Boxes, overlap: float) -> BoolMask:
    """Mask of the boxes with at least this IoU with the previous box: N bool (sec. 3.3.2).

    Args:
        boxes: N×4, px.
        previous: The object's box in the previous frame, 1×4, px.
        overlap: Least IoU.
    """
    return np.asarray((box_iou(boxes, previous) >= overlap).any(1))


def map_overlaps(boxes: Boxes, likely: BoolMask) -> npt.NDArray[np.float64]:
    """IoU of the region of each box with a map's likely pixels (sec. 3.3.1).

    Args:
        boxes: N×4, px.
        likely: Pixels above the low threshold, H×W.

    Returns:
        N values, 0 to 1.
    """
    size = (likely.shape[0], likely.shape[1])
    return np.array([_region_iou(boxes_mask(box[None], size), likely) for box in boxes], np.float64)


def best_boxes(
    boxes: Boxes, likely: BoolMask, most: int = 1, gain: float = 0.0
) -> npt.NDArray[np.intp]:
    """Indices of the boxes that together fit a map's likely pixels best.

    A greedy search: the box with the highest IoU first, then repeatedly the box that raises the IoU
    of the union most, while it rises by more than the gain.

    Args:
        boxes: N×4, px.
        likely: Pixels above the low threshold, H×W.
        most: Largest number of boxes.
        gain: Least rise of the IoU for a further box.

    Returns:
        Indices, the best box first; empty if no box contains a likely pixel.
    """
    size = (likely.shape[0], likely.shape[1])
    regions = [boxes_mask(box[None], size) for box in boxes]
    selected: list[int] = []
    union, union_iou = np.zeros(size, bool), 0.0
    while regions and len(selected) < most:
        overlaps = np.array([_region_iou(union | region, likely) for region in regions])
        best = int(overlaps.argmax())
        # Selected boxes need no exclusion: adding one again raises nothing and ends the search.
        if overlaps[best] <= union_iou + (gain if selected else 0):
            break
        selected.append(best)
        union, union_iou = union | regions[best], float(overlaps[best])
    return np.array(selected, np.intp)


def track_box(probability: Map, track: Track, config: BoxFilterConfig) -> Boxes:
    """The box of an object without a detection: 1×4, or 0×4 if it is not in the frame (sec. 3.3.2).

    It bounds the strong components that touch the object's previous box. For a lost object it
    bounds the largest strong component, if that is large enough.

    Args:
        probability: The object's map, H×W.
        track: The object's track.
        config: The switches.
    """
    strong = probability >= config.components.high
    if not strong.any():
        return NO_BOXES
    if not track.lost:
        # The previous box is enlarged, because the object moves between two frames.
        size = (strong.shape[0], strong.shape[1])
        return mask_box(connected_to(boxes_mask(track.box, size, config.reach), strong))
    largest = _largest_component(strong)
    return mask_box(largest) if largest.sum() >= config.return_area * track.area else NO_BOXES


def restrict_map(probability: Map, boxes: Boxes, config: BoxFilterConfig) -> Map:
    """A map restricted to boxes (sec. 3.4).

    Args:
        probability: H×W, 0 to 1.
        boxes: N×4, px; without boxes the result is 0 everywhere.
        config: The switches. Restriction by components maps the low threshold to 0.5.

    Returns:
        H×W float32, below the low threshold where the object is not; the map itself if it has
        nothing to remove.
    """
    if config.restrict == "nothing":
        return probability
    region = boxes_mask(boxes, (probability.shape[0], probability.shape[1]), config.margin)
    if config.restrict == "clip":
        return np.where(region, probability, np.float32(0))
    thresholds = config.components
    # By default components are connected through weak pixels outside the boxes too: a box that is
    # too tight then does not cut off a limb.
    weak = probability >= thresholds.low
    if config.weak_in_boxes:
        components = strong_components(probability, thresholds, region)
    else:
        components = connected_to(connected_to(region, probability >= thresholds.high), weak)
    if thresholds.low != 0.5:
        return lift_threshold(probability, components, thresholds.low)
    return _without(probability, weak & ~components, components)


def _without(probability: Map, removed: BoolMask, remaining: BoolMask) -> Map:
    """A map without some components; the soft edges of the others stay, for mattes.

    Args:
        probability: H×W.
        removed: Pixels that become 0, with the soft edge around them.
        remaining: Pixels that do not.
    """
    if not removed.any():
        return probability
    if not remaining.any():
        return np.zeros_like(probability)
    edge = np.ones((2 * SOFT_EDGE_PX + 1,) * 2, np.uint8)
    near = cv2.dilate(removed.view(np.uint8), edge).view(bool)
    return np.where(near & ~remaining, np.float32(0), probability)


def join_maps(maps: Sequence[Map]) -> Probabilities:
    """The filtered maps of O objects as one distribution, O+1×H×W float32, background first."""
    return with_background(np.stack(maps))


def without_doubtful(probabilities: Probabilities) -> Probabilities:
    """Probabilities in which no object wins a pixel with less than one half.

    Several objects can share a pixel so that one of them exceeds the background with, say, 0.4.
    Such pixels are more often the background's (composed clips of studies/box_filters.py).

    Args:
        probabilities: O+1×H×W, background first.

    Returns:
        O+1×H×W; the given array if nothing changes.
    """
    best = probabilities[1:].max(0)
    doubtful = (best < 0.5) & (best > probabilities[0])
    if not doubtful.any():
        return probabilities
    cleared = probabilities.copy()
    cleared[:, doubtful] = 0
    cleared[0, doubtful] = 1
    return cleared


def _region_iou(region: BoolMask, likely: BoolMask) -> float:
    intersection = np.count_nonzero(region & likely)
    union = np.count_nonzero(region) + np.count_nonzero(likely) - intersection
    return intersection / union if union else 0.0


def _largest_component(mask: BoolMask) -> BoolMask:
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # label 0 is the background
    return np.asarray(labels == sizes.argmax())
