"""The main job: prompts, video and segmenter in, masks on disk out.

Two passes. The first runs the segmenter and writes each frame's mask as it is made, complete or
absent; the second (`export`) reads the video beside the masks and renders the other formats. So
whatever stops a job, the finished frames are there, and the same call goes on after them: the
segmenter is shown the finished masks (`observe`) and so has the memory that it had.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask, check_mask
from rotomask.errors import InputError, OptionError, TruncatedVideoError
from rotomask.export import FORMATS, export
from rotomask.jobs.folder import Job, JobDescription, digest
from rotomask.masks import LARGEST_ID, read_mask
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.refinements import Refinements, load_segmenter
from rotomask.video import Video, VideoFrame, open_video

if TYPE_CHECKING:
    from rotomask.unsupervised.base import Discoverer

Direction = Literal["both", "forward", "backward"]
MaskSource = str | Path | Sequence[str | Path] | npt.NDArray[np.integer]
OnProgress = Callable[[str, int, int | None], None]

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

    def __post_init__(self) -> None:
        if self.direction not in ("both", "forward", "backward"):
            raise OptionError(
                f"unknown direction {self.direction!r}; use both, forward or backward"
            )
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
    mask: MaskSource | Mapping[int, MaskSource] | None,
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
            number: objects may come and be corrected anywhere. None: the objects are found, and
            the segmenter follows them from the frame in which they are clearest; with a model that
            finds them in every frame (``embedding``, ``flow-saliency``), nothing is followed.
        out: Folder to write to. A folder with the same, unfinished job is gone on with.
        options: How; or give its fields as keywords.
        at: Frame number of a single mask; by default the first frame that is cut.
        segmenter: A segmenter to use in place of the one that the options name.
        on_progress: Called with the stage (``cut`` or ``export``), frames done and frames in all
            (None if that is not known).
        **changes: Fields of `CutOptions`.

    Returns:
        What was done, and where the results are.

    Raises:
        InputError: If video, mask or an option cannot be used. Of a damaged video the frames before
            the damage are cut and rendered first (`TruncatedVideoError`).
        OutputError: If the folder cannot be written, is full, or holds another job.
        WeightsError: If the model's weights are missing or not its own.
    """
    options = CutOptions(**{**vars(options or CutOptions()), **changes})
    opened = video if isinstance(video, Video) else open_video(video)
    stop = _stop_of(opened, options)
    if mask is None:
        return _cut_unmarked(opened, Path(out), options, stop, segmenter, on_progress)
    sources = mask if isinstance(mask, Mapping) else {options.start if at is None else at: mask}
    annotations = _read_annotations(opened, sources, options.start, stop)
    if segmenter is None:
        segmenter = _load(options)  # first: a model that cannot be had leaves no folder behind
    job = Job(Path(out), soft=any(f in SOFT_FORMATS for f in options.formats))
    job.open(_describe(opened, annotations, options), overwrite=options.overwrite)

    _log_job(opened, job, options, segmenter, range(options.start, stop))
    work = _Work(opened, job, annotations, stop - options.start, on_progress)
    segmenter.report_learning(work.report_learning)
    damage: TruncatedVideoError | None = None
    began = time.perf_counter()
    for run in _plan(annotations, options, stop):
        try:
            work.do(run, segmenter)
        except TruncatedVideoError as error:
            damage = error
    seconds = time.perf_counter() - began

    outputs = {"masks": job.masks}
    if options.formats:
        try:
            outputs |= _export(opened, job, options, damage is not None, on_progress)
        except TruncatedVideoError as error:  # the outputs are complete up to the damage
            damage = damage or error
    if damage is not None:
        raise TruncatedVideoError(
            f"{damage}; the {work.done} frames before the damage are cut, in {job.folder}",
            damage.frames_read,
        ) from damage
    ids = tuple(sorted({int(k) for m in annotations.values() for k in np.unique(m) if k}))
    return CutResult(
        folder=job.folder,
        object_ids=ids,
        frames=work.done,
        frames_segmented=work.segmented,
        seconds=seconds,
        outputs=outputs,
    )


def _cut_unmarked(
    video: Video,
    out: Path,
    options: CutOptions,
    stop: int,
    segmenter: Segmenter | None,
    on_progress: OnProgress | None,
) -> CutResult:
    """Cut what is found in a video that nobody marked."""
    from rotomask.catalog import find
    from rotomask.jobs.propose import (
        Search,
        VideoFrames,
        check_unmarked,
        cut_found,
        find_reference,
        follows,
    )

    check_unmarked(options.objects, options.direction)
    follower = follows(options.model) if segmenter is None else options.model
    search = Search(
        source=VideoFrames(video, options.start, stop),
        objects=options.objects,
        discoverer=partial(_load_discoverer, options, follower),
    )
    if follower is not None:
        if segmenter is None:
            find(follower, "segmenter")  # an unknown name is said before the search
        if options.overwrite:
            shutil.rmtree(out / "found", ignore_errors=True)
        at, labels = find_reference(search, out, on_progress)
        chosen = replace(options, model=follower)
        return cut(video, labels, out, chosen, at=at, segmenter=segmenter, on_progress=on_progress)
    job = Job(out, soft=any(f in SOFT_FORMATS for f in options.formats))
    job.open(_describe(video, {}, options), overwrite=options.overwrite)
    began = time.perf_counter()
    written, ids = cut_found(search, job, on_progress)
    seconds = time.perf_counter() - began
    outputs = {"masks": job.masks}
    if options.formats:
        outputs |= _export(video, job, options, False, on_progress)
    return CutResult(
        folder=job.folder,
        object_ids=ids,
        frames=stop - options.start,
        frames_segmented=written,
        seconds=seconds,
        outputs=outputs,
    )


@dataclass(frozen=True)
class _Run:
    """Frames that the segmenter sees in one go."""

    start: int
    stop: int
    reverse: bool
    segments: bool = True
    """False: no object is known in these frames; their masks are empty."""

    @property
    def first(self) -> int:
        return self.stop - 1 if self.reverse else self.start


def _plan(annotations: dict[int, Mask], options: CutOptions, stop: int) -> list[_Run]:
    """The runs over the video, in the order in which they are done."""
    first, last = min(annotations), max(annotations)
    if options.direction == "backward":
        runs = [_Run(options.start, last + 1, True), _Run(last + 1, stop, False, segments=False)]
    else:
        runs = [_Run(first, stop, False)]
        if options.direction == "both":
            runs.append(_Run(options.start, first + 1, True))
        else:
            runs.append(_Run(options.start, first, False, segments=False))
    return [r for r in runs if r.stop - r.start > (1 if r.reverse and r is not runs[0] else 0)]


class _Work:
    """Does the runs of one job, and counts."""

    def __init__(
        self,
        video: Video,
        job: Job,
        annotations: dict[int, Mask],
        total: int,
        on_progress: OnProgress | None,
    ) -> None:
        self.video, self.job, self.annotations = video, job, annotations
        self.total, self.on_progress = total, on_progress
        self.done = self.segmented = 0
        self._counted: set[int] = set()

    def report_learning(self, part: float) -> None:
        """How far the segmenter is with learning from an annotated frame, in percent."""
        if self.on_progress is not None:
            self.on_progress("learn", round(100 * part), 100)

    def do(self, run: _Run, segmenter: Segmenter) -> None:
        """Give every frame of a run its mask; finished ones are only shown to the segmenter."""
        if run.segments and self._is_finished(run):
            self._count_all(range(run.start, run.stop))
            return
        # Reading on to the very end is what finds out that a video is damaged there.
        stop = None if run.stop == self.video.frame_count else run.stop
        for frame in self.video.frames(run.start, stop, reverse=run.reverse):
            if not run.segments:
                self.job.write(frame.name, np.zeros(self.video.size, np.int32), None)
            elif frame.index == run.first:
                segmenter.start(frame.image, self.annotations[frame.index])
                self._keep(frame, self.annotations[frame.index], None)
            elif frame.index in self.annotations:
                probabilities = segmenter.add(frame.image, self.annotations[frame.index])
                self._keep(frame, segmenter.labels(probabilities), 1 - probabilities[0])
            elif self.job.is_finished(frame.name):
                segmenter.observe(frame.image, self.job.read(frame.name))
            else:
                probabilities = segmenter.step(frame.image)
                self.segmented += 1
                self._keep(frame, segmenter.labels(probabilities), 1 - probabilities[0])
            self._count_all([frame.index])

    def _is_finished(self, run: _Run) -> bool:
        names = (self.video.frame_name(i) for i in range(run.start, run.stop))
        return all(self.job.is_finished(name) for name in names)

    def _keep(self, frame: VideoFrame, labels: Mask, alpha: npt.NDArray[np.float32] | None) -> None:
        if not self.job.is_finished(frame.name):
            self.job.write(frame.name, labels, alpha)

    def _count_all(self, indices: Sequence[int]) -> None:
        """A frame counts once: the annotated one begins a run in both directions."""
        self._counted.update(indices)
        self.done = len(self._counted)
        if self.on_progress is not None:
            self.on_progress("cut", self.done, self.total)


def _stop_of(video: Video, options: CutOptions) -> int:
    """One past the last frame to cut, checked."""
    count = video.frame_count
    stop = count if options.stop is None else options.stop
    if not 0 <= options.start < stop:
        raise OptionError(
            f"there is nothing to cut from frame {options.start} to {stop - 1}; the range must "
            "hold a frame and start at 0 or later"
        )
    if stop > count:
        raise OptionError(
            f"{video.path} has {count} frames, 0 to {count - 1}; frame {stop - 1} is out of range"
        )
    return stop


def _read_annotations(
    video: Video, sources: Mapping[int, MaskSource], start: int, stop: int
) -> dict[int, Mask]:
    """The reference masks by frame, rising; colours mean the same object in all of them."""
    if not sources:
        raise InputError("no reference mask was given; mark the objects in at least one frame")
    annotations: dict[int, Mask] = {}
    colours: dict[tuple[int, int, int], int] = {}
    for index in sorted(sources):
        if not start <= index < stop:
            raise OptionError(
                f"the mask's frame {index} is out of range; frames {start} to {stop - 1} are cut"
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


def _export(
    video: Video, job: Job, options: CutOptions, is_damaged: bool, on_progress: OnProgress | None
) -> dict[str, Path]:
    report = None if on_progress is None else partial(on_progress, "export")
    return export(
        video,
        job.folder,
        options.formats,
        start=options.start,
        stop=options.stop,
        partial=is_damaged,
        on_progress=report,
    )


def _log_job(
    video: Video, job: Job, options: CutOptions, segmenter: Segmenter, frames: range
) -> None:
    height, width = video.size
    logger.debug("video %s: %dx%d, %d frames", video.path, width, height, video.frame_count)
    logger.debug("model %s: %s", options.model, segmenter)
    finished = sum(job.is_finished(video.frame_name(i)) for i in frames)
    if finished:
        logger.info("%d of %d frames are finished; going on with the others", finished, len(frames))


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


def _load_discoverer(options: CutOptions, follower: str | None) -> "Discoverer":
    """What finds the objects: to be followed they are found by the shipped embeddings."""
    from rotomask.unsupervised.discoverers import load_discoverer

    return load_discoverer(
        options.model if follower is None else "embedding",
        weights=options.weights if follower is None else None,
        device=options.device,
        precision=options.precision,
        refinements=options.refinements if follower is None else Refinements(),
    )


def _load(options: CutOptions) -> Segmenter:
    return load_segmenter(
        options.model,
        options.refinements,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        size=options.size,
    )
