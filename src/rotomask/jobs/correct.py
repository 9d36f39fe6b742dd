"""Corrections that carry: a finished cut is changed at one frame, and around it as far as needed.

Frames whose mask the user gave or corrected are reference frames and never change again. A
correction is carried forward and backward by the segmenter up to the nearest reference frame on
each side (Cheng et al. 2021, MiVOS, sec. 3), and blended into the old masks by the distance in time
where both ends are reference frames. It stops early where it changes nothing any more. Every mask
is backed up before it is replaced, so that a correction can be undone to the bit. One that was
interrupted is undone by the next, so that the same command again gives what it would have given.
One that is finished is not made again by the same command: it may have been stopped afterwards, in
its next correction or while it rendered.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.catalog import DEFAULT_MARKER, DEFAULT_MODEL, load_marker
from rotomask.errors import OptionError, OutputError, PromptError
from rotomask.files import output_errors
from rotomask.jobs.carrying import (
    QUIET_FRAMES,
    corrected_mask,
    is_large,
    is_quiet,
    is_worth_carrying,
    nearest,
    nearness,
)
from rotomask.jobs.confidence import STORED, TABLE, store_confidences, write_table
from rotomask.jobs.correction_log import (
    CONFIDENCES,
    FOLDER,
    UNFINISHED,
    CorrectionLog,
    reference_frames,
)
from rotomask.jobs.folder import JobFolder, add_to
from rotomask.jobs.following import learning_report
from rotomask.jobs.job_options import RuntimeOptions
from rotomask.jobs.keywords import CorrectKeywords, takes_options, with_keywords
from rotomask.jobs.loading import load_model
from rotomask.jobs.mask_files import replace_matte
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels, write_mask
from rotomask.pipeline import Stage, read_ahead
from rotomask.prompts import Marker, Prompt, Prompts, prompts_to_json
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import ConfidenceMeter, ObjectConfidence
from rotomask.segmenters.follow import Annotation, FollowedFrame, follow
from rotomask.segmenters.framing import ids_in
from rotomask.training.references import learn_references
from rotomask.video import Video, VideoFrame, VideoSource, open_video


@dataclass(frozen=True, kw_only=True)
class CorrectOptions(RuntimeOptions):
    """Options of making a correction and carrying it to other frames."""

    model: str = DEFAULT_MODEL
    """Model that carries the correction; usually the one that cut the video."""
    weights: Path | None = None
    """A checkpoint of this model to use in place of the shipped one."""
    marker: str = DEFAULT_MARKER
    """Marker that makes the corrected mask from prompts."""
    size: int | None = 480
    """Short side at which frames are processed, px; as for `cut`."""
    to_the_end: bool = False
    """True to carry up to the next reference frame even if the masks no longer change."""
    afresh: bool = False
    """True to mark the objects anew on this frame: their old masks count for nothing."""
    learn: bool = False
    """True to learn from all frames that the user fixed; it pays where their masks are exact."""


@dataclass(frozen=True, kw_only=True)
class CorrectResult:
    """Result of a correction."""

    folder: Path
    frame_index: int
    object_ids: tuple[int, ...]
    """The corrected objects."""
    changed_pixels: int
    """Pixels of the corrected frame."""
    frames_redone: int
    """Frames that the correction was carried to."""


@takes_options(CorrectOptions)
def correct(
    video: VideoSource,
    folder: str | Path,
    prompts: Prompts | Iterable[Prompt],
    options: CorrectOptions | None = None,
    *,
    at: int | None = None,
    marker: Marker | str | None = None,
    segmenter: Segmenter | None = None,
    on_progress: OnProgress | None = None,
    **changes: Unpack[CorrectKeywords],
) -> CorrectResult:
    """Correct a finished cut at one frame, and the frames around it.

    The request that was made last is not made a second time.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut`.
        prompts: What is wrong: negative prompts where an object's mask has too much, positive ones
            where it lacks something, or prompts of a new object.
        options: Options; or give its fields as keywords.
        at: The frame; by default the one that all prompts are on.
        marker: A marker, or its name, in place of the one that the options name.
        segmenter: A segmenter to use in place of the one that the options name.
        on_progress: Receives the stages ``learn`` (in percent) and ``correct``.
        **changes: Options as keywords, as on the command line: `CorrectKeywords`.

    Raises:
        PromptError: If a prompt is outside the frame, has no area or contradicts another.
        OptionError: If the prompts are on several frames, or an option is unknown.
        OutputError: If the folder holds no finished cut of this video, or cannot be written.
    """
    options = with_keywords(options or CorrectOptions(), changes, "correct")
    opened = open_video(video)
    cut = Path(folder)
    listed = prompts if isinstance(prompts, Prompts) else Prompts.on_frame(prompts, at or 0)
    if at is None and len(listed.frames) != 1:
        raise OptionError("a correction is of one frame; say by `at` which")
    index = listed.frames[0] if at is None else at
    read_cut_mask(cut, opened, index)  # before the folder is held: it may be none of a cut
    ids = tuple(sorted({prompt.object_id for prompt in listed.at(index)}))
    redone = 0
    with _held(cut, opened) as held:
        log = CorrectionLog.read(cut)
        if log.is_interrupted:
            log.take_back(held)
        old = read_cut_mask(cut, opened, index)
        is_named = not isinstance(marker, Marker) and segmenter is None
        request = _request(listed, options, marker) if is_named else None
        if request is not None and log.has_made(request, index):
            return CorrectResult(
                folder=cut, frame_index=index, object_ids=ids, changed_pixels=0, frames_redone=0
            )
        if marker is None or isinstance(marker, str):
            marker = load_marker(marker or options.marker, **options.where)
        marker.open(opened.frame(index).image)
        new = corrected_mask(marker, old, listed.at(index), afresh=options.afresh)
        references = reference_frames(cut, log) - {index}
        if not new.any():
            _check_is_shown(cut, opened, index, references)
        entry = {"frame": index, "objects": list(ids), "request": request, "state": UNFINISHED}
        log.entries.append(entry)
        log.undoing = None
        log.write(held)
        change = _Change(opened, held, log.backups, index, ids, old, new)
        change.back_up_confidence()
        change.replace(index, new)
        if change.is_worth_carrying:
            carrier = _carrier(segmenter or _load(options), options, on_progress)
            carried = change.carry(carrier, references, options.to_the_end)
            redone = _count(carried, on_progress)
        write_table(held, opened)
        del log.entries[-1]["state"]
        log.write(held)
    return CorrectResult(
        folder=cut,
        frame_index=index,
        object_ids=ids,
        changed_pixels=int((old != new).sum()),
        frames_redone=redone,
    )


def _carrier(
    segmenter: Segmenter, options: CorrectOptions, on_progress: OnProgress | None
) -> Segmenter:
    """The segmenter, made to learn from all reference frames if the options say so."""
    carrier = learn_references(segmenter) if options.learn else segmenter
    carrier.report_learning(learning_report(on_progress))
    return carrier


def _count(carried: Generator[int, None, None], on_progress: OnProgress | None) -> int:
    """Carry a correction to its end; the number of frames that were redone."""
    redone = 0
    with contextlib.closing(carried):
        for redone, _ in enumerate(carried, 1):
            if on_progress is not None:
                on_progress("correct", redone, None)
    return redone


def _request(prompts: Prompts, options: CorrectOptions, marker: Marker | str | None) -> str:
    """Hash of what is asked for, with the prompts on all frames, 32 hexadecimal digits."""
    carried = (options.model, str(options.weights), options.size, options.to_the_end)
    # Only what is unlike the default: the hash of a request that was made before they came stays.
    ways = ["afresh"] * options.afresh + ["learn"] * options.learn
    request = [prompts_to_json(prompts), str(marker or options.marker), *carried, *ways]
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()[:32]


def _load(options: CorrectOptions) -> Segmenter:
    return load_model(
        options.model,
        weights=options.weights,
        size=options.size,
        **options.where,
    )


@contextlib.contextmanager
def _held(root: Path, video: Video | None) -> Iterator[JobFolder]:
    """The folder of a cut, held to replace its masks."""
    files = [*sorted((root / "masks").glob("*.png")), *sorted((root / "mattes").glob("*.png"))]
    masks = [file.relative_to(root).as_posix() for file in files]
    with add_to(root, [*masks, TABLE], [] if video is None else [video.path]) as held:
        if not (root / FOLDER).exists():
            with output_errors(root):
                held.journal.record_tree(FOLDER)
        yield held


def undo_correction(folder: str | Path) -> int:
    """Take back the last correction of a cut: every mask it replaced is restored.

    Returns:
        The number of the frame that was corrected.

    Raises:
        OutputError: If there is no correction.
    """
    with undoing(folder) as index:
        return index


@contextlib.contextmanager
def undoing(folder: str | Path) -> Iterator[int]:
    """Take back the last correction of a cut, for a command that has more to do afterwards.

    If the block does not end, the next undo takes this one for its own: no second correction is
    taken back.

    Yields:
        The number of the frame that was corrected.

    Raises:
        OutputError: If there is no correction.
    """
    root = Path(folder)
    log = CorrectionLog.read(root)
    if not log.entries and log.undoing is None:
        raise OutputError(f"{folder} has no correction to undo")
    with _held(root, None) as held:
        log = CorrectionLog.read(root)
        if log.undoing is None or log.is_interrupted:
            log.undoing = int(log.entries[-1]["frame"])
            log.take_back(held)
        frame = log.undoing
    yield frame
    with _held(root, None) as held:
        log = CorrectionLog.read(root)
        log.undoing = None
        log.write(held)


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


def _nearest_masks(
    folder: Path, video: Video, index: int, references: set[int]
) -> dict[int, npt.NDArray[np.int32]]:
    """The masks that the reference frames nearest to a frame have now, by frame."""
    return {
        other: read_cut_mask(folder, video, other)
        for other in nearest(references, index)
        # The cut was perhaps of a range, or the frame lost.
        if mask_file(folder, video, other).is_file()
    }


def _check_is_shown(folder: Path, video: Video, index: int, references: set[int]) -> None:
    """Check that some reference frame shows an object where a correction leaves none.

    Raises:
        PromptError: If it took the only marks of the video away.
    """
    if not any(m.any() for m in _nearest_masks(folder, video, index, references).values()):
        raise PromptError(
            f"the correction leaves no object in frame {index}, and no other frame is marked; "
            "mark the object in a frame that shows it first"
        )


@dataclass
class _Change:
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
        masks = _nearest_masks(self.folder.root, self.video, self.index, references)
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
