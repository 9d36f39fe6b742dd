"""The main job: prompts, video and segmenter in, masks on disk out.

Two passes. The first runs the segmenter and writes each frame's mask as it is made, complete or
absent; the second (`export`) reads the video beside the masks and renders the other formats. So
whatever stops a job, the finished frames are there, and the same call goes on after them: the
segmenter is shown the finished masks (`observe`) and so has the memory that it had.
"""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask, check_mask
from rotomask.catalog import DEFAULT_MARKER, find_then_follow
from rotomask.errors import InputError, OptionError, TruncatedVideoError
from rotomask.export import FORMATS, export
from rotomask.jobs.finding import Search, discover, find_reference
from rotomask.jobs.folder import Job, JobDescription, digest
from rotomask.jobs.following import VideoFrames, follow_pass, learning_report, write_discovery
from rotomask.jobs.loading import load_discoverer, load_model
from rotomask.jobs.mark import MarkOptions, mark_frames
from rotomask.jobs.options import frame_range, merge_options
from rotomask.jobs.progress import OnProgress as OnProgress  # the command line imports it from here
from rotomask.masks import LARGEST_ID, object_ids, read_mask
from rotomask.prompts import Prompts
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import DIRECTIONS, Annotation, Direction, Pass, plan_passes
from rotomask.segmenters.refinements import Refinements
from rotomask.unsupervised.base import Discoverer
from rotomask.video import Video, open_video

MaskSource = str | Path | Sequence[str | Path] | npt.NDArray[np.integer]

SOFT_FORMATS = frozenset({"webm", "prores", "rgba", "mattes"})
"""Formats with soft edges, for which the first pass keeps the probabilities as mattes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CutOptions:
    """Everything about a job but its video, masks and output folder."""

    model: str = "stm-lite"
    """A name of the catalogue (`rotomask models`)."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    refinements: Refinements = field(default_factory=Refinements)
    """What is done beyond running the model once: flip, scales, ensemble, CRF."""
    start: int = 0
    """First frame to cut, from 0."""
    stop: int | None = None
    """One past the last frame to cut; None: to the end."""
    size: int | None = 480
    """Short side at which frames are processed, px; None: every video at its own. The output
    always has the input's size."""
    device: str = "auto"
    precision: str = "auto"
    direction: Direction = "both"
    """``both``: from the first annotated frame forward to the end and backward to the start;
    ``forward``, ``backward``: only so, from the first or the last annotated frame."""
    formats: tuple[str, ...] = ("overlay",)
    """What to render beside the masks; names of `export.FORMATS`."""
    overwrite: bool = False
    """Whether to begin anew in a folder that holds another job."""
    objects: int = 1
    """Most objects to look for where no mask is given."""
    marker: str = DEFAULT_MARKER
    """What makes masks of prompts, if there are any: a marker of the catalogue."""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise OptionError(f"unknown direction {self.direction!r}; use {', '.join(DIRECTIONS)}")
        if self.objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {self.objects}")
        if self.size is not None and self.size < 16:
            raise OptionError(f"the processing size must be at least 16 px, got {self.size}")
        unknown = [f for f in self.formats if f not in FORMATS]
        if unknown:
            raise OptionError(f"there is no format {unknown[0]!r}; there are {', '.join(FORMATS)}")


@dataclass(frozen=True, kw_only=True)
class CutResult:
    """What a job did."""

    folder: Path
    object_ids: tuple[int, ...]
    frames: int
    """Frames with a mask, those of earlier runs among them."""
    frames_segmented: int
    """Frames that this run segmented."""
    seconds: float
    """Time that segmenting them took, with reading and writing, without export."""
    outputs: dict[str, Path]
    """The format's name -> the file or folder; `masks` is always there."""


def cut(
    video: str | Path | Video,
    mask: MaskSource | Mapping[int, MaskSource] | Prompts | None,
    out: str | Path,
    options: CutOptions | None = None,
    *,
    at: int | None = None,
    segmenter: Segmenter | None = None,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> CutResult:
    """Cut the objects of a mask out of a video.

    Args:
        video: A video file, a folder of frames, or an open video.
        mask: The reference mask (a file, several files, or H×W integers), or several by frame
            number: objects may come and be corrected anywhere. Prompts: the frames that they are
            on are marked first, as `mark` does. None: the objects are found, and the segmenter
            follows them from the frame in which they are clearest; with a model that finds them in
            every frame (``embedding``, ``flow-saliency``), nothing is followed.
        out: Folder to write to. Run again with the same folder to resume an interrupted job.
        options: How; or give its fields as keywords.
        at: Frame number of a single mask; by default the first frame that is cut.
        segmenter: A segmenter to use in place of the one that the options name.
        on_progress: Receives the stages ``find``, ``learn``, ``cut`` and ``export``.
        **changes: Fields of `CutOptions`.

    Returns:
        What was done, and where the results are.

    Raises:
        InputError: If video, mask or an option cannot be used. Of a damaged video the frames before
            the damage are cut and rendered first (`TruncatedVideoError`).
        OutputError: If the folder cannot be written, is full, or holds another job.
        WeightsError: If the model's weights are missing or not its own.
    """
    options = merge_options(CutOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    work = _Work(
        video=opened,
        frames=frame_range(opened.frame_count, options.start, options.stop, opened.path),
        options=options,
        masks=Job(Path(out), soft=any(f in SOFT_FORMATS for f in options.formats)),
        on_progress=on_progress,
    )
    if mask is None:
        if options.direction != "both":
            raise OptionError(
                f"direction {options.direction!r} needs a mask to start from; without one a video "
                "is cut whole"
            )
        return _cut_unmarked(work, segmenter)
    if isinstance(mask, Prompts):
        mask = _mark(opened, mask, options)
    sources = mask if isinstance(mask, Mapping) else {options.start if at is None else at: mask}
    annotations = _read_annotations(opened, sources, work.frames)
    if segmenter is None:  # first: a model that cannot be loaded leaves no folder behind
        segmenter = _load(options, options.model)
    return _follow_marked(work, annotations, segmenter)


@dataclass(kw_only=True)
class _Work:
    """One cut: where its frames come from and go to, and how far it is."""

    video: Video
    frames: range
    options: CutOptions
    masks: Job
    on_progress: OnProgress | None
    segmented: int = 0
    seconds: float = 0.0
    damage: TruncatedVideoError | None = None
    seen: set[int] = field(default_factory=set)
    """Frames with a mask; the annotated frame begins a pass in both directions and counts once."""

    def finished(self, index: int) -> Mask | None:
        """See `MaskStore`."""
        name = self.video.frame_name(index)
        return self.masks.read(name) if self.masks.is_finished(name) else None

    def write(self, index: int, labels: Mask, alpha: npt.NDArray[np.float32] | None) -> None:
        """See `MaskStore`; the mask of an annotated frame may be there already."""
        name = self.video.frame_name(index)
        if not self.masks.is_finished(name):
            self.masks.write(name, labels, alpha)

    def is_done(self, indices: range) -> bool:
        """Whether every one of these frames is finished."""
        return all(self.masks.is_finished(self.video.frame_name(i)) for i in indices)

    def count(self, indices: Sequence[int], *, segmented: int = 0) -> None:
        """Take note of frames that have their mask now."""
        self.segmented += segmented
        self.seen.update(indices)
        if self.on_progress is not None:
            self.on_progress("cut", len(self.seen), len(self.frames))


def _follow_marked(work: _Work, annotations: dict[int, Mask], segmenter: Segmenter) -> CutResult:
    """Follow annotated objects over the whole range, then render."""
    options = work.options
    work.masks.open(_describe(work.video, annotations, options), overwrite=options.overwrite)
    _log_work(work, segmenter)
    segmenter.report_learning(learning_report(work.on_progress))
    known = {index: Annotation(labels) for index, labels in annotations.items()}
    began = time.perf_counter()
    passes = plan_passes(annotations, work.frames.start, work.frames.stop, options.direction)
    for frames in passes:
        try:
            _follow_pass(work, frames, known, segmenter)
        except TruncatedVideoError as error:
            work.damage = error
    work.seconds = time.perf_counter() - began
    return _finish(work, {int(k) for labels in annotations.values() for k in np.unique(labels)})


def _follow_pass(
    work: _Work, frames: Pass, annotations: Mapping[int, Annotation], segmenter: Segmenter
) -> None:
    if work.is_done(frames.indices):
        work.count(frames.indices)
        return
    for followed in follow_pass(segmenter, VideoFrames(work.video), frames, annotations, work):
        work.count([followed.index], segmented=int(followed.origin == "segmented"))


def _cut_unmarked(work: _Work, segmenter: Segmenter | None) -> CutResult:
    """Cut what is found in a video that nobody marked."""
    options = work.options
    finder, follower = find_then_follow(options.model)
    if segmenter is None and follower is not None:
        segmenter = _load(options, follower)
    search = Search(
        source=VideoFrames(work.video, work.frames.start, work.frames.stop),
        objects=options.objects,
        discoverer=partial(_load_finder, options, finder, alone=segmenter is None),
    )
    if segmenter is not None:
        if options.overwrite:
            shutil.rmtree(work.masks.folder / "found", ignore_errors=True)
        at, labels = find_reference(search, work.masks.folder, work.on_progress)
        work.options = replace(options, model=follower or options.model)
        return _follow_marked(work, {at: labels}, segmenter)
    work.masks.open(_describe(work.video, {}, options), overwrite=options.overwrite)
    began = time.perf_counter()
    ids: set[int] = set()
    if work.is_done(work.frames):
        work.count(work.frames)
        ids = {
            k for i in work.frames for k in object_ids(work.masks.read(work.video.frame_name(i)))
        }
    else:
        discovery = discover(search, work.on_progress)
        ids = set(discovery.object_ids)
        written = write_discovery(discovery, work, work.frames.start)
        for index, is_new in zip(work.frames, written, strict=False):
            work.count([index], segmented=is_new)
    work.seconds = time.perf_counter() - began
    work.damage = _damage(work.video, work.frames)
    return _finish(work, ids)


def _damage(video: Video, frames: range) -> TruncatedVideoError | None:
    """Why the video is known to end within the range or right after it."""
    if frames.stop < video.frame_count:
        return None
    try:
        for _ in video.frames(video.frame_count):
            pass
    except TruncatedVideoError as error:
        return error
    return None


def _finish(work: _Work, ids: set[int]) -> CutResult:
    """Render the outputs and report."""
    outputs = {"masks": work.masks.masks}
    if work.options.formats:
        try:
            outputs |= _export(work)
        except TruncatedVideoError as error:  # the outputs are complete up to the damage
            work.damage = work.damage or error
    if work.damage is not None:
        raise TruncatedVideoError(
            f"{work.damage}; the {len(work.seen)} frames before the damage are cut, in "
            f"{work.masks.folder}",
            work.damage.frames_read,
        ) from work.damage
    return CutResult(
        folder=work.masks.folder,
        object_ids=tuple(sorted(ids - {0})),
        frames=len(work.seen),
        frames_segmented=work.segmented,
        seconds=work.seconds,
        outputs=outputs,
    )


def _read_annotations(
    video: Video, sources: Mapping[int, MaskSource], frames: range
) -> dict[int, Mask]:
    """The reference masks by frame, rising; colours mean the same object in all of them."""
    if not sources:
        raise InputError("no reference mask was given; mark the objects in at least one frame")
    annotations: dict[int, Mask] = {}
    colours: dict[tuple[int, int, int], int] = {}
    for index in sorted(sources):
        if index not in frames:
            raise OptionError(
                f"the mask's frame {index} is out of range; frames {frames.start} to "
                f"{frames.stop - 1} are cut"
            )
        source = sources[index]
        if isinstance(source, np.ndarray):
            check_mask(source, np.empty((*video.size, 3), np.uint8))
            labels: Mask = source
        else:
            read = read_mask(source, video.size, colours=colours)
            colours |= read.colours
            labels = read.labels
            logger.info(
                "mask of frame %d: %s; %s", index, read.description, _listed(read.object_ids)
            )
        if int(labels.max()) > LARGEST_ID:
            raise OptionError(f"object ids go up to {LARGEST_ID}, got {int(labels.max())}")
        annotations[index] = labels
    return annotations


def _export(work: _Work) -> dict[str, Path]:
    report = None if work.on_progress is None else partial(work.on_progress, "export")
    return export(
        work.video,
        work.masks.folder,
        work.options.formats,
        start=work.options.start,
        stop=work.options.stop,
        partial=work.damage is not None,
        on_progress=report,
    )


def _log_work(work: _Work, segmenter: Segmenter) -> None:
    video = work.video
    height, width = video.size
    logger.debug("video %s: %dx%d, %d frames", video.path, width, height, video.frame_count)
    logger.debug("model %s: %s", work.options.model, segmenter)
    finished = sum(work.masks.is_finished(video.frame_name(i)) for i in work.frames)
    if finished:
        logger.info("resuming: %d of %d frames are finished", finished, len(work.frames))


def _listed(object_ids: tuple[int, ...]) -> str:
    shown = ", ".join(str(k) for k in object_ids[:12])
    more = f" and {len(object_ids) - 12} more" if len(object_ids) > 12 else ""
    return f"object{'s' * (len(object_ids) > 1)} {shown}{more}"


def _describe(video: Video, annotations: dict[int, Mask], options: CutOptions) -> JobDescription:
    return JobDescription(
        video=video.name,
        frame_size=video.size,
        start=options.start,
        annotations={str(k): digest(m) for k, m in annotations.items()},
        model=f"{options.model}{options.refinements}",
        weights=None if options.weights is None else str(options.weights),
        size=options.size,
        direction=options.direction,
        objects=None if annotations else options.objects,
    )


def _load_finder(options: CutOptions, name: str, *, alone: bool) -> Discoverer:
    """What finds the objects; weights and refinements are its own only if nothing follows them."""
    return load_discoverer(
        name,
        options.refinements if alone else None,
        weights=options.weights if alone else None,
        device=options.device,
        precision=options.precision,
    )


def _mark(video: Video, prompts: Prompts, options: CutOptions) -> dict[int, MaskSource]:
    """Masks of the frames with prompts, by frame number."""
    how = MarkOptions(model=options.marker, device=options.device, precision=options.precision)
    return dict(mark_frames(video, prompts, how))


def _load(options: CutOptions, model: str) -> Segmenter:
    return load_model(
        model,
        options.refinements,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        size=options.size,
    )
