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
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from rotomask.catalog import DEFAULT_MARKER, DEFAULT_MODEL, load_marker
from rotomask.errors import OptionError, OutputError
from rotomask.files import output_errors
from rotomask.jobs.carrying import (
    corrected_mask,
)
from rotomask.jobs.change import Change, check_is_shown, read_cut_mask
from rotomask.jobs.confidence import TABLE, write_table
from rotomask.jobs.correction_log import (
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
from rotomask.jobs.progress import OnProgress
from rotomask.prompts import Marker, Prompt, Prompts, prompts_to_json
from rotomask.segmenters.base import Segmenter
from rotomask.training.references import learn_references
from rotomask.video import Video, VideoSource, open_video


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
        check_is_shown(cut, opened, index, new, references)
        entry = {"frame": index, "objects": list(ids), "request": request, "state": UNFINISHED}
        log.entries.append(entry)
        log.undoing = None
        log.write(held)
        change = Change(opened, held, log.backups, index, ids, old, new)
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
        learn_references=options.learn,
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
