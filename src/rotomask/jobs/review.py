"""Which frames of a cut most need a look: the segmenter's confidence, stored frame by frame."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rotomask.arrays import Probabilities
from rotomask.errors import OptionError, OutputError
from rotomask.files import output_errors
from rotomask.jobs.correct import CorrectionLog, read_cut_mask, reference_frames
from rotomask.jobs.doubt import least_confident
from rotomask.jobs.folder import JobFolder, add_to
from rotomask.jobs.manifest import PRIVATE
from rotomask.render import contact_sheet, overlay
from rotomask.video import Video, open_video

CONFIDENCE = f"{PRIVATE}/confidence.jsonl"
"""File, in the folder of a cut, of a line a segmented frame."""
SHEET = "review.png"


@dataclass(frozen=True, kw_only=True)
class ReviewedFrame:
    """A frame that is worth a look."""

    index: int
    name: str
    confidence: float
    """0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ReviewResult:
    """The frames that most need a look."""

    frames: tuple[ReviewedFrame, ...]
    """The least confident first."""
    sheet: Path
    """A picture of them with their masks."""


def frame_confidence(probabilities: Probabilities) -> float:
    """How sure a segmenter is of a frame, 0 to 1: that of the object it is least sure of.

    One minus the doubt min(p, 1 - p), added up over the frame, per half of the object's soft area.
    An object's outline is always in doubt; one of a wrong or fading mask is so all over. Without
    any object the frame counts as sure.

    Args:
        probabilities: O+1×H×W, background first.
    """
    objects = probabilities[1:]
    doubt = np.minimum(objects, 1 - objects).sum((1, 2))
    area = objects.sum((1, 2))
    seen = area >= 1
    if not seen.any():
        return 1.0
    return float(np.clip(1 - 2 * doubt[seen] / area[seen], 0, 1).min())


def store_confidence(folder: JobFolder, index: int, probabilities: Probabilities) -> None:
    """Add a segmented frame's confidence to the cut's file."""
    line = {"frame": index, "confidence": round(frame_confidence(probabilities), 4)}
    path = folder.root / CONFIDENCE
    with output_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_confidence(folder: Path) -> dict[int, float]:
    """Confidence by frame; of a frame that was segmented again, the last one.

    Raises:
        OutputError: If the cut stored none.
    """
    try:
        lines = (folder / CONFIDENCE).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise OutputError(
            f"{folder} has no {CONFIDENCE}: it is no cut of this version, or has no segmented frame"
        ) from error
    values: dict[int, float] = {}
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:  # the last line of a job that was killed
            continue
        values[int(line["frame"])] = float(line["confidence"])
    return values


def review(
    video: str | Path | Video, folder: str | Path, *, count: int = 5, apart: int | None = None
) -> ReviewResult:
    """The frames of a cut that most need a look; pictures them in ``review.png`` in its folder.

    Frames that the user marked or corrected are left out.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut`.
        count: Frames to give.
        apart: Least distance between two of them, frames; by default a twentieth of the video: a
            mistake is seen in one of its frames.

    Raises:
        OptionError: If `count` is below 1.
        OutputError: If the folder is no cut of this version.
    """
    if count < 1:
        raise OptionError(f"a review needs at least 1 frame, got {count}")
    opened, cut = open_video(video), Path(folder)
    values = read_confidence(cut)
    apart = max(1, opened.frame_count // 20) if apart is None else apart
    fixed = reference_frames(cut, CorrectionLog.read(cut))
    worst = least_confident(values, fixed, count, apart)
    if not worst:
        raise OutputError(f"{cut} has no frame to review: all were marked or corrected")
    pictures = [overlay(opened.frame(i).image, read_cut_mask(cut, opened, i)) for i in worst]
    names = [f"frame {i}  {values[i]:.2f}" for i in worst]
    with add_to(cut, [SHEET], [opened.path]) as held, held.write(SHEET) as temporary:
        Image.fromarray(contact_sheet(pictures, names)).save(temporary, format="PNG")
    frames = tuple(
        ReviewedFrame(index=i, name=opened.frame_name(i), confidence=values[i]) for i in worst
    )
    return ReviewResult(frames=frames, sheet=cut / SHEET)
