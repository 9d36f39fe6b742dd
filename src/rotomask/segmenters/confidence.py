"""Confidence: how well a mask probably fits, for each object and frame, without the truth.

`ConfidenceMeter` looks at each frame that a segmenter follows and predicts the region similarity J
of every object. It sees what changes when an object is lost, jumps to a look-alike or falls into
parts: how sure the probabilities are, whether area, shape and place go on from the frame before,
and whether the colours are still those of the reference frame and differ from the surroundings.
The prediction is a logistic regression; `python -m studies.confidence` fits it to the sequences of
DAVIS-2016 train and measures it on others. It is lowered by what of the mask lies far from the
rest: a look-alike that the segmenter took in is as sure, and as like the object, as the object.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.segmenters.follow import FollowedFrame

SHORT_SIDE = 240
"""Frames are measured at this short side at most, px."""
COLOUR_BINS = (6, 8, 8)
"""Bins of lightness, a and b of a histogram in CIE Lab."""
LEFT_CONFIDENCE, LOST_CONFIDENCE = 0.8, 0.2
"""Confidence of absence: of an object that last touched the frame's border, and of any other."""
TOUCHES_BORDER = 0.2
"""Pixels on the border per root of the area, from which an object may be leaving the frame."""

ELSEWHERE_DISTANCE = 0.5
"""Distance between the boxes of a part and of the largest one, per root of the largest one's area,
from which the part lies elsewhere."""

UNCERTAIN = 0.7
"""Confidence below which a mask is worth a look: in a tenth of the frames of held-out videos with
J of 0.5 and more, and most of those with less."""

FEATURES: dict[str, str] = {
    "expected_iou": "IoU of the mask with the truth that the probabilities expect",
    "mean_probability": "mean probability inside the mask",
    "shape_iou": "IoU with the mask of the frame before, moved onto this one by the centre",
    "area_step": "|log| of the area's ratio to the frame before, at most 2",
    "jump": "way of the centre since the frame before, per root of the area, at most 3",
    "reference_colour": "similarity of the colours to the nearest reference mask's, 0 to 1",
    "previous_colour": "similarity of the colours to those of the frame before, 0 to 1",
    "ring_colour": "similarity of the colours to those around the object, 0 to 1",
    "parts": "area outside the largest part, as a fraction, beyond that of a reference mask",
    "border": "pixels on the border of the frame per root of the area, at most 3",
    "reference_area": "|log| of the area's ratio to the nearest reference mask, at most 3",
    "log_area": "log of the area in px at the measured size, per 10",
}
"""What is measured of a mask, in the order of `WEIGHTS`."""

WEIGHTS: dict[str, float] = {
    "expected_iou": 3.603,
    "mean_probability": 1.669,
    "shape_iou": 0.529,
    "area_step": 0.117,
    "jump": -0.162,
    "reference_colour": 2.748,
    "previous_colour": -0.484,
    "ring_colour": -0.477,
    "parts": -1.175,
    "border": 0.089,
    "reference_area": 0.039,
    "log_area": 0.432,
}
BIAS = -5.445

REASONS: dict[str, tuple[str, ...]] = {
    "unsure": ("expected_iou", "mean_probability"),
    "changes shape": ("shape_iou", "area_step", "reference_area", "log_area"),
    "jumps": ("jump",),
    "other colours": ("reference_colour", "previous_colour"),
    "like its surroundings": ("ring_colour",),
    "in parts": ("parts",),
    "at the border": ("border",),
}
"""Each reason for a low confidence, and the features that speak for it."""
ELSEWHERE = "partly elsewhere"
"""Reason of a mask of which much lies far from the rest."""
TYPICAL: dict[str, float] = {
    "expected_iou": 0.895,
    "mean_probability": 0.943,
    "shape_iou": 0.742,
    "area_step": 0.062,
    "jump": 0.098,
    "reference_colour": 0.974,
    "previous_colour": 0.993,
    "ring_colour": 0.633,
    "parts": 0.0,
    "border": 0.0,
    "reference_area": 0.21,
    "log_area": 0.849,
}
"""Medians of the features of masks with J of 0.8 and more."""

Histogram = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ObjectConfidence:
    """How well an object's mask of one frame probably fits."""

    value: float
    """Predicted J, 0 to 1."""
    reason: str
    """What lowers it most: a name of `REASONS`, `ELSEWHERE`, ``lost`` or ``left``."""

    @property
    def is_uncertain(self) -> bool:
        """Whether the mask is worth a look."""
        return self.value < UNCERTAIN


@dataclass(frozen=True, eq=False)
class _Seen:
    """An object in one frame."""

    index: int
    size: tuple[int, int]
    """Height and width at which it is measured."""
    packed: npt.NDArray[np.uint8]
    """The mask, with a pixel at least, in bits: masks of 300 objects would take 60 MB."""
    area: int
    centre: tuple[float, float]
    """x, y."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1; the last two one past the mask."""
    colours: Histogram
    parts: float
    border: float
    elsewhere: float
    """Fraction of the mask in parts far from the largest."""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """H×W at the measured size."""
        count = self.size[0] * self.size[1]
        # Bytes are padded with zero bits, which count leaves out.
        return np.unpackbits(self.packed, count=count).reshape(self.size).astype(bool)


@dataclass
class ConfidenceMeter:
    """The confidence of every object, frame by frame, through one pass over a video."""

    _references: dict[int, list[_Seen]] = field(default_factory=dict)
    _last: dict[int, _Seen] = field(default_factory=dict)
    """The latest frame that shows each object."""

    def add_reference(
        self,
        index: int,
        frame: Frame,
        labels: Mask,
        *,
        is_last: bool = True,
        object_ids: Collection[int] | None = None,
    ) -> None:
        """Take a true mask as reference.

        Args:
            index: The frame's number.
            frame: H×W×3 uint8 RGB.
            labels: H×W integers.
            is_last: Whether it is the frame before the next one that is measured.
            object_ids: Only these objects; None: all that the mask shows.
        """
        for object_id, observation in _observe_all(index, _to_lab(frame), labels).items():
            if object_ids is not None and object_id not in object_ids:
                continue
            self._references.setdefault(object_id, []).append(observation)
            if is_last:
                self._last[object_id] = observation

    def look_back(self, index: int, frame: Frame, labels: Mask) -> bool:
        """Take the mask of an earlier frame for the objects that no later one showed.

        A resumed pass calls it with the frames before it, the latest first.

        Returns:
            Whether every object with a reference has been seen now.
        """
        for object_id, observation in _observe_all(index, _to_lab(frame), labels).items():
            self._last.setdefault(object_id, observation)
        return self._references.keys() <= self._last.keys()

    def measure(
        self, followed: FollowedFrame, object_ids: Sequence[int]
    ) -> dict[int, ObjectConfidence]:
        """Confidence of each object in the next frame of a pass.

        Args:
            followed: The frame, its labels and, where it was segmented, its probabilities. A
                reference or a correction becomes a reference.
            object_ids: Ids of the rows 1.. of the probabilities.

        Returns:
            By object id; empty for a reference frame, a correction, and where nothing was
            segmented.
        """
        before = dict(self._last)
        confidences = {}
        for object_id, values in self.features(followed, object_ids).items():
            if values is not None:
                confidences[object_id] = self._lowered(predict(values), object_id)
                continue
            last = before.get(object_id)
            # The best guess for an object that is gone: it left if it was cut off by the border
            # before.
            has_left = last is not None and last.border >= TOUCHES_BORDER
            confidences[object_id] = ObjectConfidence(
                value=LEFT_CONFIDENCE if has_left else LOST_CONFIDENCE,
                reason="left" if has_left else "lost",
            )
        return confidences

    def _lowered(self, predicted: ObjectConfidence, object_id: int) -> ObjectConfidence:
        """The confidence if what lies elsewhere in the last frame is none of the object."""
        # An object that is in pieces in its reference may be in pieces here.
        usual = max(reference.elsewhere for reference in self._references[object_id])
        elsewhere = self._last[object_id].elsewhere - usual
        if elsewhere <= 0:
            return predicted
        # If what lies elsewhere is wrong, so is that fraction of the mask, and J falls by it.
        value = predicted.value * (1 - elsewhere)
        is_reason = not predicted.is_uncertain and value < UNCERTAIN
        return ObjectConfidence(value=value, reason=ELSEWHERE if is_reason else predicted.reason)

    def features(
        self, followed: FollowedFrame, object_ids: Sequence[int]
    ) -> dict[int, dict[str, float] | None]:
        """What `measure` predicts from: the features of each object, None where it is gone."""
        if followed.origin in ("reference", "correction"):
            self.add_reference(followed.index, followed.frame, followed.labels)
            return {}
        if followed.probabilities is None:
            if followed.origin == "finished":
                lab = _to_lab(followed.frame)
                self._last |= _observe_all(followed.index, lab, followed.labels)
            return {}
        # In Lab the distance of two colours is about what one sees; frames are reduced, so that a
        # mask of 4K costs no more than one of 480p.
        lab = _to_lab(followed.frame)
        small = _SmallMaps(followed.probabilities, lab.shape[:2])
        labels = small.labels()
        measured: dict[int, dict[str, float] | None] = {}
        for row, object_id in enumerate(object_ids, start=1):
            references, mask = self._references.get(object_id), labels == row
            if references is None:
                continue
            measured[object_id] = None
            if mask.any():
                observation, last = _observe(followed.index, lab, mask), self._last.get(object_id)
                measured[object_id] = _features(observation, lab, small[row], references, last)
                self._last[object_id] = observation
        return measured


def predict(values: Mapping[str, float]) -> ObjectConfidence:
    """The confidence for measured features.

    Args:
        values: By the names of `FEATURES`.
    """
    # Logistic regression; of the reason, the group of features that lowers the sum most against
    # typical values.
    score = BIAS + sum(WEIGHTS[name] * values[name] for name in FEATURES)
    lowered = {
        reason: sum(WEIGHTS[name] * (values[name] - TYPICAL[name]) for name in names)
        for reason, names in REASONS.items()
    }
    value = 1 / (1 + float(np.exp(-score)))
    return ObjectConfidence(value=value, reason=min(lowered, key=lambda reason: lowered[reason]))


def _features(
    observation: _Seen,
    lab: Frame,
    probability: npt.NDArray[np.float32],
    references: Sequence[_Seen],
    last: _Seen | None,
) -> dict[str, float]:
    """The features of a mask; `FEATURES` says what each is."""
    inside = float(probability[observation.mask].sum())
    outside = float(probability.sum()) - inside
    near = min(references, key=lambda reference: abs(reference.index - observation.index))
    values = {
        # Expected intersection and union where each pixel is the object's with its probability.
        "expected_iou": inside / (observation.area + outside),
        "mean_probability": inside / observation.area,
        "shape_iou": 0.0,
        "area_step": 2.0,
        "jump": 3.0,
        "reference_colour": max(_similarity(observation.colours, r.colours) for r in references),
        "previous_colour": 0.0,
        "ring_colour": _similarity(observation.colours, _ring_colours(lab, observation)),
        "parts": max(0.0, observation.parts - max(r.parts for r in references)),
        "border": min(observation.border, 3.0),
        "reference_area": min(abs(np.log(observation.area / near.area)), 3.0),
        "log_area": float(np.log(observation.area)) / 10,
    }
    if last is not None:
        # How far the centre moved: shapes are compared without the motion.
        dx, dy = (a - b for a, b in zip(observation.centre, last.centre, strict=True))
        values["shape_iou"] = _moved_iou(last.mask, observation.mask, round(dx), round(dy))
        values["area_step"] = min(abs(np.log(observation.area / last.area)), 2.0)
        values["jump"] = min(float(np.hypot(dx, dy) / np.sqrt(observation.area)), 3.0)
        values["previous_colour"] = _similarity(observation.colours, last.colours)
    return values


def _moved_iou(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], dx: int, dy: int
) -> float:
    """IoU of two masks H×W, the first moved; what leaves the frame does not come back."""
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (before.shape[1], before.shape[0])
    moved = cv2.warpAffine(before.astype(np.uint8), shift, size, flags=cv2.INTER_NEAREST) > 0
    return float((moved & after).sum() / (moved | after).sum())


def _observe_all(index: int, lab: Frame, labels: Mask) -> dict[int, _Seen]:
    """Each object of a label mask that has a pixel at the measured size."""
    observations = {}
    for object_id in np.unique(labels):
        whole = (labels == object_id).astype(np.float32)
        mask = _resized(whole, lab.shape[:2]) >= 0.5
        if object_id and mask.any():
            observations[int(object_id)] = _observe(index, lab, mask)
    return observations


def _observe(index: int, lab: Frame, mask: npt.NDArray[np.bool_]) -> _Seen:
    """An object whose mask H×W has a pixel at least."""
    small = mask.astype(np.uint8)
    area = int(small.sum())
    _, _, stats, _ = cv2.connectedComponentsWithStats(small)
    parts = np.asarray(stats, np.int32)[1:]  # without the background
    x, y, width, height = cv2.boundingRect(small)
    ys, xs = np.nonzero(mask)
    # Corners count twice, which does not matter against the thresholds.
    on_border = int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    return _Seen(
        index=index,
        size=(mask.shape[0], mask.shape[1]),
        packed=np.packbits(mask),
        area=area,
        centre=(float(xs.mean()), float(ys.mean())),
        box=(x, y, x + width, y + height),
        colours=_colours(lab, small),
        parts=1 - float(parts[:, cv2.CC_STAT_AREA].max()) / area,
        border=on_border / float(np.sqrt(area)),
        elsewhere=_elsewhere(parts),
    )


def _elsewhere(parts: npt.NDArray[np.int32]) -> float:
    """Fraction of a mask's area in parts far from the largest one.

    Args:
        parts: N×5: x, y, width, height and area of each part.
    """
    # N×2 (x, y) and N.
    corners, areas = parts[:, :2], parts[:, cv2.CC_STAT_AREA]
    ends = corners + parts[:, 2:4]
    largest = int(areas.argmax())
    # Gap between the boxes along x and y; 0 where they overlap.
    gaps = np.maximum(corners - ends[largest], corners[largest] - ends).clip(0)  # N×2
    is_far = np.hypot(*gaps.T) > ELSEWHERE_DISTANCE * np.sqrt(areas[largest])
    return float(areas[is_far].sum() / areas.sum())


def _ring_colours(lab: Frame, observation: _Seen) -> Histogram:
    """Colours around an object, in a ring as wide as a quarter of the root of its area."""
    radius = max(3, int(np.sqrt(observation.area) / 4))
    x0, y0, x1, y1 = observation.box
    rows, columns = slice(max(0, y0 - radius), y1 + radius), slice(max(0, x0 - radius), x1 + radius)
    mask = observation.mask[rows, columns].astype(np.uint8)
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    ring = np.asarray(cv2.dilate(mask, kernel) - mask, np.uint8)
    return _colours(np.ascontiguousarray(lab[rows, columns]), ring)


def _colours(lab: Frame, mask: npt.NDArray[np.uint8]) -> Histogram:
    """Roots of the colours' frequencies, flat; zeros without a pixel."""
    ranges = [0.0, 256.0] * 3
    counts = cv2.calcHist([lab], [0, 1, 2], mask, list(COLOUR_BINS), ranges).reshape(-1)
    frequencies = np.asarray(counts, np.float32) / max(float(counts.sum()), 1.0)
    # Roots, so that the Bhattacharyya coefficient is a dot product.
    return np.asarray(np.sqrt(frequencies), np.float32)


def _similarity(a: Histogram, b: Histogram) -> float:
    """Bhattacharyya coefficient of two histograms of roots, 0 to 1."""
    return float(a @ b)


def _to_lab(frame: Frame) -> Frame:
    """The frame in CIE Lab, uint8, at the measured size."""
    height, width = frame.shape[:2]
    factor = min(1.0, SHORT_SIDE / min(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.uint8)


class _SmallMaps:
    """Maps C×H×W at another size, made one at a time: all of 300 objects would take 250 MB."""

    def __init__(self, maps: Probabilities, size: tuple[int, ...]) -> None:
        self._maps, self._size = maps, size

    def __getitem__(self, row: int) -> npt.NDArray[np.float32]:
        return _resized(self._maps[row], self._size)

    def labels(self) -> npt.NDArray[np.int32]:
        """Number of the largest map at each pixel, H×W; the first of equal ones."""
        largest = self[0]
        labels = np.zeros(largest.shape, np.int32)
        for row in range(1, len(self._maps)):
            one = self[row]
            # A running argmax over C: at most two maps are in memory at a time.
            labels[one > largest] = row
            np.maximum(largest, one, out=largest)
        return labels


def _resized(one: npt.NDArray[np.float32], size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """A map H×W at another height and width, averaged over areas; never the array itself."""
    height, width = size
    resized = cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)
