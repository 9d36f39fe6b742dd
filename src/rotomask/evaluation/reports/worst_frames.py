"""Images of the frames with the lowest scores, with result and truth outlined."""

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.results import EvaluationResult, ObjectScore

BoolMask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]

TRUTH_COLOUR = (64, 224, 96)
RESULT_COLOUR = (255, 48, 144)
"""Colours of the outlines, RGB."""

WIDTH_PX = 420
"""Width of an image."""
ASPECT = 16 / 10
"""Width of an image over its height."""
MAX_PER_SEQUENCE = 2
"""Most frames shown of one sequence."""
MIN_DISTANCE_FRAMES = 8
"""Least distance of the frames shown of one sequence, as neighbouring frames look alike."""


@dataclass(frozen=True, kw_only=True)
class WorstFrame:
    """An object's low scores in a frame."""

    sequence: str
    frame: str
    object_id: int
    matched_id: int | None
    values: dict[str, float]


def worst_frames(result: EvaluationResult, count: int = 9) -> tuple[WorstFrame, ...]:
    """The frames with the lowest mean of J and F, at most two of each sequence."""
    candidates = sorted(_candidates(result), key=lambda item: (item[0], item[1].sequence))
    selection: list[tuple[int, WorstFrame]] = []
    for _, frame, index in candidates:
        # Else a few seconds in which an object is lost would fill the whole page.
        same = [i for i, other in selection if other.sequence == frame.sequence]
        distant = all(abs(i - index) >= MIN_DISTANCE_FRAMES for i in same)
        if len(same) < MAX_PER_SEQUENCE and distant:
            selection.append((index, frame))
        if len(selection) == count:
            break
    return tuple(frame for _, frame in selection)


def outlined_picture(worst: WorstFrame, dataset: VideoDataset, results: Path) -> str | None:
    """A JPEG as a ``data:`` URL: the frame around the object, with truth and result outlined.

    If the data set has no frames, the outlines are drawn on grey. None if encoding fails.
    """
    (sequence,) = dataset.select([worst.sequence])
    folder = ResultFolder(results, "empty", flat=not (results / sequence.name).is_dir())
    (pair,) = folder.pairs(sequence, [worst.frame])
    if worst.object_id < 0 or sequence.merged:
        mask, truth = pair.prediction != 0, pair.truth != 0
    else:
        result_id = worst.object_id if worst.matched_id is None else worst.matched_id
        mask, truth = pair.prediction == result_id, pair.truth == worst.object_id
        if len(sequence.object_ids) == 1 and not mask.any():
            mask = pair.prediction != 0  # a 0/255 mask
    image = _picture(sequence, worst.frame, truth.shape)
    box = _view(mask | truth)
    return _encode(_outline(image[box], truth[box], mask[box]))


def _candidates(result: EvaluationResult) -> Iterator[tuple[float, WorstFrame, int]]:
    """(mean of J and F, frame, its index among the scored frames) of every object and frame."""
    for sequence in result.sequences:
        for item in sequence.objects:
            curves = {name: item.curves[name] for name in ("J", "F") if name in item.curves}
            for index, frame in enumerate(item.frames):
                values = {name: float(curve[index]) for name, curve in curves.items()}
                # Where neither result nor truth has the object there is nothing to look at.
                if values and not any(math.isnan(v) for v in values.values()):
                    quality = sum(values.values()) / len(values)
                    yield quality, _worst(sequence.name, frame, item, values), index


def _worst(sequence: str, frame: str, item: ObjectScore, values: dict[str, float]) -> WorstFrame:
    return WorstFrame(
        sequence=sequence,
        frame=frame,
        object_id=item.object_id,
        matched_id=item.matched_id,
        values=values,
    )


def _picture(sequence: VideoSequence, frame: str, size: tuple[int, ...]) -> Image:
    """The frame at the annotation's size, or grey if the data set has no frames: H×W×3 uint8."""
    if not sequence.images:
        return np.full((*size, 3), 90, np.uint8)
    image = sequence.frame(sequence.frame_names.index(frame))
    if image.shape[:2] != size:  # annotations may be smaller than the pictures
        image = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return image


def _view(objects: BoolMask) -> tuple[slice, slice]:
    """Rows and columns of a box of `ASPECT` around the objects, with a margin, in the frame."""
    height, width = objects.shape
    left, top, w, h = cv2.boundingRect(objects.view(np.uint8))
    if w == 0:
        left, top, w, h = 0, 0, width, height
    # 1.5 times the objects' size, at least a third of the frame: errors need some context.
    view_height = max(1.5 * h, 1.5 * w / ASPECT, height / 3)
    view_width = view_height * ASPECT
    rows, columns = min(height, round(view_height)), min(width, round(view_width))
    y = min(max(0, round(top + h / 2 - rows / 2)), height - rows)
    x = min(max(0, round(left + w / 2 - columns / 2)), width - columns)
    return slice(y, y + rows), slice(x, x + columns)


def _outline(image: Image, truth: BoolMask, mask: BoolMask) -> Image:
    """The image scaled to `WIDTH_PX` with both outlines on a dark rim."""
    scale = WIDTH_PX / image.shape[1]
    size = (WIDTH_PX, max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(image, size, interpolation=interpolation)
    # Of the enlarged mask, not the enlarged outline: lines keep their width at any scale. The dark
    # rim of 1 px on both sides shows them on a ground of their own colour.
    for item, colour in ((truth, TRUTH_COLOUR), (mask, RESULT_COLOUR)):
        enlarged = cv2.resize(item.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(enlarged, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, lines, -1, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.drawContours(canvas, lines, -1, colour, 2, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def _encode(image: Image) -> str | None:
    # OpenCV writes BGR, hence the last axis reversed.
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not done:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
