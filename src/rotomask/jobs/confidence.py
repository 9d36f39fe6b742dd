"""The confidence of a cut's masks, stored frame by frame, and the stretches that need a look.

`cut` adds lines to a private file as frames are made; when it is done, the table
``confidence.csv`` is written beside the masks, a row for each object and frame.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rotomask.arrays import Mask
from rotomask.errors import OutputError
from rotomask.files import output_errors
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.manifest import PRIVATE
from rotomask.jobs.mask_files import MaskFiles
from rotomask.segmenters.confidence import UNCERTAIN, ConfidenceMeter, ObjectConfidence
from rotomask.segmenters.follow import FollowedFrame, Pass
from rotomask.video import Video

STORED = f"{PRIVATE}/confidence.jsonl"
"""File, in the folder of a cut, of a line a segmented frame."""
TABLE = "confidence.csv"
SHORT_GAP = 2
"""Frames between two uncertain ones that do not end a stretch."""
LOOK_BACK = 100
"""Frames that a resumed cut goes back at most to see an object that is gone."""


@dataclass(frozen=True, kw_only=True)
class UncertainStretch:
    """Frames in which an object's mask is probably wrong."""

    object_id: int
    first: int
    last: int
    lowest: float
    """The lowest confidence in it."""
    reason: str
    """Why most of its frames are doubtful; see `segmenters.confidence.REASONS`."""

    def __str__(self) -> str:
        """Such as ``object 2 is uncertain from frame 44 to 60 (jumps)``."""
        where = f"in frame {self.first}"
        if self.last > self.first:
            where = f"from frame {self.first} to {self.last}"
        return f"object {self.object_id} is uncertain {where} ({self.reason})"


@dataclass
class ConfidenceRecorder:
    """Measures the frames of one pass and adds them to the file of their folder."""

    folder: JobFolder
    meter: ConfidenceMeter = field(default_factory=ConfidenceMeter)

    def record(self, followed: FollowedFrame, object_ids: Sequence[int]) -> None:
        """Measure the next frame; a frame without probabilities leaves no line.

        Raises:
            OutputError: If the disk is full.
        """
        confidences = self.meter.measure(followed, object_ids)
        if confidences:
            store_confidences(self.folder, followed.index, confidences)


def resume_recorder(
    masks: MaskFiles, frames: Pass, first: int, references: Mapping[int, Mask]
) -> ConfidenceRecorder:
    """A recorder as it was before a frame of a pass.

    Args:
        masks: The finished masks.
        frames: The whole pass.
        first: The frame that is measured next.
        references: True masks by frame number; those that the pass has come by count.
    """
    recorder = ConfidenceRecorder(masks.folder)
    before = [index for index in frames.indices if (index > first) == frames.reverse]
    before = [index for index in before if index != first]
    for index in sorted(references.keys() & set(before), reverse=frames.reverse):
        image = masks.video.frame(index).image
        recorder.meter.add_reference(index, image, references[index], is_last=False)
    # The latest first, at most LOOK_BACK of them.
    for index in before[: -LOOK_BACK - 1 : -1]:
        image = masks.video.frame(index).image
        if recorder.meter.look_back(index, image, masks.read(index)):
            break
    return recorder


def store_confidences(
    folder: JobFolder, index: int, confidences: Mapping[int, ObjectConfidence]
) -> None:
    """Add a frame to the file; a later line of the same frame and object replaces an earlier one.

    Raises:
        OutputError: If the disk is full.
    """
    objects = {str(k): [round(c.value, 4), c.reason] for k, c in confidences.items()}
    path = folder.root / STORED
    # Appended, one line a frame: a kill loses one line at most, and a rewrite of the file would
    # cost more with every frame.
    with output_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"frame": index, "objects": objects}) + "\n")


def read_confidences(folder: Path) -> dict[int, dict[int, ObjectConfidence]]:
    """Confidence of each object by frame; of one that was segmented again, the last.

    Raises:
        OutputError: If the cut stored none.
    """
    try:
        lines = (folder / STORED).read_bytes().splitlines()
    except OSError as error:
        raise OutputError(
            f"{folder} has no {STORED}: it is no cut of this version, or has no segmented frame"
        ) from error
    frames: dict[int, dict[int, ObjectConfidence]] = {}
    for text in lines:
        try:
            line = json.loads(text)
            objects = {
                int(k): ObjectConfidence(value=float(value), reason=str(reason))
                for k, (value, reason) in line["objects"].items()
            }
            # Later lines replace earlier ones of the same frame: a correction appends, too.
            frames.setdefault(int(line["frame"]), {}).update(objects)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            continue  # the last line of a job that was killed, or a damaged one
    return frames


def write_table(folder: JobFolder, video: Video) -> tuple[UncertainStretch, ...]:
    """Write ``confidence.csv`` from the stored lines.

    Returns:
        The stretches that need a look, by object and frame; none where nothing was segmented.

    Raises:
        OutputError: If it cannot be written.
    """
    if not (folder.root / STORED).is_file():
        return ()
    frames = read_confidences(folder.root)
    with folder.write(TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        rows = csv.writer(f)
        rows.writerow(["frame", "name", "object", "confidence", "reason"])
        for index in sorted(frames):
            for object_id, confidence in sorted(frames[index].items()):
                reason = confidence.reason if confidence.is_uncertain else ""
                value = f"{confidence.value:.3f}"
                rows.writerow([index, video.frame_name(index), object_id, value, reason])
    return uncertain_stretches(frames)


def uncertain_stretches(
    frames: Mapping[int, Mapping[int, ObjectConfidence]],
) -> tuple[UncertainStretch, ...]:
    """The stretches of frames in which an object's confidence is below `UNCERTAIN`.

    Args:
        frames: Confidence of each object by frame.
    """
    objects = sorted({object_id for confidences in frames.values() for object_id in confidences})
    stretches = []
    for object_id in objects:
        low = sorted(i for i, of_frame in frames.items() if _is_low(of_frame.get(object_id)))
        for group in _groups(low):
            confidences = [frames[i][object_id] for i in group]
            stretches.append(
                UncertainStretch(
                    object_id=object_id,
                    first=group[0],
                    last=group[-1],
                    lowest=min(c.value for c in confidences),
                    reason=Counter(c.reason for c in confidences).most_common(1)[0][0],
                )
            )
    return tuple(stretches)


def _is_low(confidence: ObjectConfidence | None) -> bool:
    return confidence is not None and confidence.value < UNCERTAIN


def _groups(indices: Iterable[int]) -> list[list[int]]:
    """Rising numbers, split where more than a short gap lies between two."""
    groups: list[list[int]] = []
    for index in indices:
        if groups and index - groups[-1][-1] <= SHORT_GAP + 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
