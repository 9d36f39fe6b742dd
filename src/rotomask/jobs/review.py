"""Which frames of a cut most need a look: the segmenter's confidence, stored frame by frame."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rotomask.errors import OptionError, OutputError, lists_keywords
from rotomask.jobs.change import read_cut_mask
from rotomask.jobs.confidence import read_confidences
from rotomask.jobs.correction_log import CorrectionLog, reference_frames
from rotomask.jobs.doubt import least_confident
from rotomask.jobs.folder import add_to
from rotomask.render import contact_sheet, overlay
from rotomask.video import VideoSource, open_video

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


def read_confidence(folder: Path) -> dict[int, float]:
    """Confidence by frame: that of the object with the lowest.

    Raises:
        OutputError: If the cut stored none.
    """
    stored = read_confidences(folder)
    return {i: min(c.value for c in objects.values()) for i, objects in stored.items() if objects}


@lists_keywords
def review(
    video: VideoSource, folder: str | Path, *, count: int = 5, apart: int | None = None
) -> ReviewResult:
    """The frames of a cut that most need a look; pictures them in ``review.png`` in its folder.

    Frames that the user marked or corrected are left out.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut`.
        count: Frames to give.
        apart: Least distance between two of them and from a marked frame, frames; by default a
            twentieth of the frames that were cut: a mistake is seen in one of its frames.

    Raises:
        OptionError: If `count` is below 1.
        OutputError: If the folder is no cut of this version.
    """
    if count < 1:
        raise OptionError(f"a review needs at least 1 frame, got {count}")
    opened, cut = open_video(video), Path(folder)
    values = read_confidence(cut)
    fixed = reference_frames(cut, CorrectionLog.read(cut))
    if apart is None:
        apart = max(1, len(fixed.union(values)) // 20)
    # Where so many are marked that no other is as far from them, one beside them.
    worst = least_confident(values, fixed, count, apart) or least_confident(values, fixed, 1, 1)
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
