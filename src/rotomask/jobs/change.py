"""One correction of a finished cut: its masks before and after, and how it is carried.

`jobs.correct` has the job around it.
"""

import contextlib
import shutil
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OutputError, PromptError
from rotomask.jobs.carrying import (
    QUIET_FRAMES,
    is_large,
    is_quiet,
    is_worth_carrying,
    nearest,
    nearness,
)
from rotomask.jobs.confidence import STORED, store_confidences
from rotomask.jobs.correction_log import CONFIDENCES
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.mask_files import replace_matte
from rotomask.masks import read_labels, write_mask
from rotomask.pipeline import Stage, read_ahead
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import ConfidenceMeter, ObjectConfidence
from rotomask.segmenters.follow import Annotation, FollowedFrame, follow
from rotomask.segmenters.framing import ids_in
from rotomask.video import Video, VideoFrame


def mask_file(folder: Path, video: Video, index: int) -> Path:
    """Where a cut has the mask of a frame."""
    return folder / "masks" / f"{video.frame_name(index)}.png"


def read_cut_mask(folder: Path, video: Video, index: int) -> npt.NDArray[np.int32]:
    """The mask of a frame of a finished cut.

    Raises:
        OutputError: If the folder has none, or one of another size.
    """
    file = mask_file(folder, video, index)
    if not file.is_file():
        raise OutputError(
            f"{folder} has no mask of frame {index} ({file.name}); finish the cut first"
        )
    labels = read_labels(file)
    if labels.shape != video.size:
        raise OutputError(
            f"{file} is {labels.shape[1]}x{labels.shape[0]} but the video "
            f"{video.size[1]}x{video.size[0]}; give the video that was cut"
        )
    return labels


def nearest_masks(
    folder: Path, video: Video, index: int, references: set[int]
) -> dict[int, npt.NDArray[np.int32]]:
    """The masks that the reference frames nearest to a frame have now, by frame."""
    return {
        other: read_cut_mask(folder, video, other)
        for other in nearest(references, index)
        # The cut was perhaps of a range, or the frame lost.
        if mask_file(folder, video, other).is_file()
    }


def check_is_shown(folder: Path, video: Video, index: int, new: Mask, references: set[int]) -> None:
    """Check that a frame shows an object: this one after its correction, or a reference frame.

    Raises:
        PromptError: If the correction took the only marks of the video away.
    """
    masks = nearest_masks(folder, video, index, references).values()
    if not new.any() and not any(mask.any() for mask in masks):
        raise PromptError(
            f"the correction leaves no object in frame {index}, and no other frame is marked; "
            "mark the object in a frame that shows it first"
        )


@dataclass
class Change:
    """One correction: the corrected frame before and after, and where masks go."""

    video: Video
    folder: JobFolder
    backups: str
    index: int
    ids: tuple[int, ...]
    old: Mask
    new: Mask

    @property
    def is_worth_carrying(self) -> bool:
        """True if the correction is more than a few pixels."""
        return is_worth_carrying(self.old, self.new, self.ids)

    @property
    def is_large(self) -> bool:
        """True if most of the object was wrong."""
        return is_large(self.old, self.new, self.ids)

    def replace(self, index: int, labels: Mask) -> None:
        """Write a frame's mask, and its matte if it has one; the old ones are backed up first."""
        file = mask_file(self.folder.root, self.video, index)
        matte = file.parents[1] / "mattes" / file.name
        before = read_labels(file)
        for path, backup in ((file, file.name), (matte, f"mattes/{file.name}")):
            backup = f"{self.backups}/{backup}"
            if path.is_file() and not self.folder.is_finished(backup):
                with self.folder.write(backup) as temporary:
                    shutil.copyfile(path, temporary)
        replace_matte(self.folder, file.stem, before, labels)
        write_mask(file, labels, self.folder.commit)

    def back_up_confidence(self) -> None:
        """Keep what is known of the masks; the corrected objects are certain in this frame."""
        for name, file in CONFIDENCES.items():
            if (self.folder.root / file).is_file():
                with self.folder.write(f"{self.backups}/{name}") as temporary:
                    shutil.copyfile(self.folder.root / file, temporary)
        # A user looked at this mask: no guess is better.
        certain = ObjectConfidence(value=1.0, reason="corrected")
        if (self.folder.root / STORED).is_file():
            store_confidences(self.folder, self.index, dict.fromkeys(self.ids, certain))

    def carry(
        self, segmenter: Segmenter, references: set[int], to_the_end: bool
    ) -> Generator[int, None, None]:
        """Redo the frames on both sides; gives the number of each frame that was redone."""
        # The nearest reference frame on each side: what the user gave or corrected is never redone.
        after = min((i for i in references if i > self.index), default=None)
        before = max((i for i in references if i < self.index), default=None)
        elsewhere = self._annotated(references)
        for limit, reverse in ((after, False), (before, True)):
            yield from self._carry_side(segmenter, limit, reverse, to_the_end, elsewhere)

    def _annotated(self, references: set[int]) -> dict[int, tuple[Frame, Annotation]]:
        """The nearest reference frames, each with the objects that it shows."""
        masks = nearest_masks(self.folder.root, self.video, self.index, references)
        return {i: (self.video.frame(i).image, Annotation(mask)) for i, mask in masks.items()}

    def _carry_side(
        self,
        segmenter: Segmenter,
        limit: int | None,
        reverse: bool,
        to_the_end: bool,
        elsewhere: dict[int, tuple[Frame, Annotation]],
    ) -> Generator[int, None, None]:
        """Redo one side, up to the frame before a reference frame, or to the video's end."""
        if reverse:
            # Both sides begin at the corrected frame, from which the segmenter learns the new mask.
            start, stop = 0 if limit is None else limit + 1, self.index + 1
        else:
            start, stop = self.index, self.video.frame_count if limit is None else limit
        quiet, meter = 0, ConfidenceMeter()
        shown = ids_in(self.new)
        absent = [k for k in self.ids if k not in shown]
        corrected = {self.index: Annotation(self.new, (*shown, *absent))}
        frames = self.video.frames(start, stop, reverse=reverse)
        with (
            contextlib.closing(read_ahead(frames, lambda frame: frame.image.nbytes)) as ahead,
            Stage("masks") as writer,
        ):
            numbered = self._numbered(ahead)
            for followed in follow(segmenter, numbered, corrected, elsewhere=elsewhere.values()):
                if followed.probabilities is None:  # the corrected frame itself
                    meter.add_reference(followed.index, followed.frame, self.new)
                    # What the frame does not show is compared with frames that do.
                    for other, (image, known) in elsewhere.items() if absent else ():
                        meter.add_reference(
                            other, image, known.labels, is_last=False, object_ids=absent
                        )
                    continue
                index, rows = followed.index, segmenter.object_ids
                old = read_cut_mask(self.folder.root, self.video, index)
                labels = self._blended(followed.probabilities, rows, old, index, limit)
                quiet = quiet + 1 if is_quiet(old, labels, self.ids) else 0
                size = followed.frame.nbytes + labels.nbytes + followed.probabilities.nbytes
                step = replace(followed, labels=labels)
                writer.submit(self._store, step, rows, old, meter, size=size)
                yield index
                if quiet >= QUIET_FRAMES and not to_the_end and not self.is_large:
                    return

    def _numbered(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, Frame]]:
        """Frames with their numbers, up to the first without a mask: the cut was of a range."""
        for frame in frames:
            if not mask_file(self.folder.root, self.video, frame.index).is_file():
                return
            yield frame.index, frame.image

    def _store(
        self, step: FollowedFrame, rows: tuple[int, ...], old: Mask, meter: ConfidenceMeter
    ) -> None:
        """Replace a frame's mask if it changed, and store how much to trust it."""
        # An unchanged mask keeps its file, and the cut no backup that says nothing.
        if not np.array_equal(step.labels, old):
            self.replace(step.index, step.labels)
        values = meter.measure(step, rows)
        # Objects that were not corrected keep their masks, so their confidence stands, too.
        corrected = {k: value for k, value in values.items() if k in self.ids}
        store_confidences(self.folder, step.index, corrected)

    def _blended(
        self,
        probabilities: Probabilities,
        rows: tuple[int, ...],
        old: Mask,
        index: int,
        limit: int | None,
    ) -> npt.NDArray[np.int32]:
        """Old and new mask of a frame as one: the new one counts for less the nearer the limit.

        Args:
            probabilities: What the segmenter gave, O+1×H×W.
            rows: Ids of rows 1.. .
            old: Labels before, H×W.
            index: The frame.
            limit: The reference frame on this side; None: there is none, and the new mask counts
                alone.
        """
        weight = 1.0
        if limit is not None and not self.is_large:
            weight = nearness(index, self.index, limit)
        labels = np.array(old, np.int32)
        # Cleared first, then drawn: pixels that no corrected object claims go to the background,
        # and those of other objects are taken only where the new mask says so.
        labels[np.isin(old, self.ids)] = 0
        for k in self.ids:
            row = probabilities[1 + rows.index(k)] if k in rows else np.float32(0)
            # The old mask is certain of itself, 0 or 1. A row is missing where the corrected mask
            # has nothing of the object.
            mixed = weight * row + (1 - weight) * (old == k)
            labels[mixed > 0.5] = k
        return labels
