"""The main job: prompts, video and segmenter in, masks on disk out.

Each frame's mask is written as it is made, complete or absent, and the other formats are rendered
at the same time (`jobs.cut_pipeline`); where a job was resumed, or follows objects backwards too,
they are rendered in a second pass over the video (`export`). So whatever stops a job, the finished
frames are there. The same call resumes after them from the segmenter's stored state
(`jobs.snapshots`); without one all frames are segmented again.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from rotomask.arrays import Mask
from rotomask.catalog import DEFAULT_MARKER, find_then_follow
from rotomask.errors import OptionError, TruncatedVideoError, VideoError
from rotomask.export import FORMATS
from rotomask.export.exporting import output_files
from rotomask.jobs.confidence import (
    TABLE,
    write_table,
)
from rotomask.jobs.cut_pipeline import CutWork, is_soft
from rotomask.jobs.cut_result import CutResult as CutResult  # part of what `cut` gives
from rotomask.jobs.earlier import (
    EarlierRecord,
    began_earlier,
    began_with_whole_frames,
    file_text,
    found_annotations,
    refinements_text,
)
from rotomask.jobs.finding import Search, discover, find_reference
from rotomask.jobs.fingerprints import (
    changed_refinements,
    mask_digest,
    used_precision,
    video_fingerprint,
    weights_fingerprints,
)
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.following import (
    VideoFrames,
    find_damage,
    learning_report,
    write_discovery,
)
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.keywords import CutKeywords, takes_options, with_keywords
from rotomask.jobs.loading import load_discoverer, load_finder, load_model
from rotomask.jobs.manifest import MANIFEST
from rotomask.jobs.mark import MarkOptions, mark_frames
from rotomask.jobs.mask_files import mask_paths
from rotomask.jobs.model_settings import ModelSettings
from rotomask.jobs.parts import take_over
from rotomask.jobs.progress import OnProgress as OnProgress  # the command line imports it from here
from rotomask.jobs.reference_masks import MaskSource, mask_files, read_annotations
from rotomask.masks import object_ids
from rotomask.matting import EdgeControls
from rotomask.pipeline import Stage
from rotomask.prompts import Prompts
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import DIRECTIONS, Annotation, Direction, plan_passes
from rotomask.segmenters.refinements import Refinements
from rotomask.unsupervised.base import Discoverer
from rotomask.video import Video, VideoSource, open_video

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CutOptions(ModelSettings, FrameOptions):
    """Options of a cut."""

    model: str = "stm-lite"
    """A name of the catalogue (`rotomask models`)."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    refinements: Refinements = field(default_factory=Refinements)
    """Refinements of the model at test time: flip, scales, ensemble, CRF ..."""
    direction: Direction = "both"
    """``both``: from the first annotated frame forward to the end and backward to the start;
    ``forward``, ``backward``: only so, from the first or the last annotated frame."""
    formats: tuple[str, ...] = ("overlay",)
    """Formats to render besides the masks: names of `export.FORMATS`, or a single name."""
    edges: EdgeControls = field(default_factory=EdgeControls)
    """Feather, choke, despill and matting of the cut-outs' edges; masks and mattes stay."""
    objects: int = 1
    """Maximum number of objects to find if no mask is given."""
    skip_damaged: bool = False
    """True to give images of a folder that cannot be read an empty mask, and tell which they are in
    an error at the end; by default the first of them ends the job."""
    sandbox: bool = False
    """True to decode the video in a process of its own under limits (`video.sandbox`)."""
    marker: str = DEFAULT_MARKER
    """Marker of the catalogue that makes masks from prompts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.formats, str):
            object.__setattr__(self, "formats", (self.formats,))
        if self.direction not in DIRECTIONS:
            raise OptionError(f"unknown direction {self.direction!r}; use {', '.join(DIRECTIONS)}")
        if self.objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {self.objects}")
        unknown = [f for f in self.formats if f not in FORMATS]
        if unknown:
            raise OptionError(f"there is no format {unknown[0]!r}; there are {', '.join(FORMATS)}")


@takes_options(CutOptions)
def cut(
    video: VideoSource,
    mask: MaskSource | Mapping[int, MaskSource] | Prompts | None,
    out: str | Path,
    options: CutOptions | None = None,
    *,
    at: int | None = None,
    segmenter: Segmenter | None = None,
    parts: Sequence[Path] = (),
    on_progress: OnProgress | None = None,
    **changes: Unpack[CutKeywords],
) -> CutResult:
    """Cut the objects of a mask out of a video.

    Args:
        video: A video file, a folder of frames, an open video, or frames in memory.
        mask: The reference mask (a file, several files, or H×W integers), or several by frame
            number: objects may come and be corrected anywhere. Prompts: the frames that they are
            on are marked first, as `mark` does. None: the objects are found, and the segmenter
            follows them from the frame in which they are clearest; with a model that finds them in
            every frame (``embedding``, ``flow-saliency``), nothing is followed.
        out: Folder to write to. Run again with the same folder to resume an interrupted job.
        options: Options; or give its fields as keywords.
        at: Frame number of a single mask; by default the first frame that is cut.
        segmenter: A segmenter to use in place of the one that the options name.
        parts: Folders of finished cuts of parts of the same job, whose masks are taken over
            (`jobs.parts`).
        on_progress: Receives the stages ``find``, ``learn``, ``cut`` and ``export``.
        **changes: Options as keywords, as on the command line: `CutKeywords`.

    Returns:
        What was done, and where the results are.

    Raises:
        InputError: If video, mask or an option cannot be used. Of a damaged video the frames before
            the damage are cut and rendered first (`TruncatedVideoError`).
        OutputError: If the folder cannot be written, is full, or holds another job.
        WeightsError: If the model's weights are missing or not its own.
    """
    options = with_keywords(options or CutOptions(), changes, "cut")
    if options.enlarge == "auto" and not options.overwrite and began_earlier(Path(out)):
        # Version 0.1 did not enlarge: the masks of one job are made in one way.
        options = replace(options, enlarge="never")
    if options.focus == "auto" and not options.overwrite and began_with_whole_frames(Path(out)):
        options = replace(options, focus="never")
    opened = open_video(video, skip_damaged=options.skip_damaged, sandbox=options.sandbox)
    frames = options.range_in(opened)
    if mask is None:
        if options.direction != "both":
            raise OptionError(
                f"direction {options.direction!r} needs a mask to start from; without one a video "
                "is cut whole"
            )
        return _cut_unmarked(opened, frames, Path(out), options, (segmenter, on_progress))
    if isinstance(mask, Prompts):
        mask = _mark(opened, mask, options)
    sources = mask if isinstance(mask, Mapping) else {options.start if at is None else at: mask}
    annotations = read_annotations(opened, sources, frames)
    if segmenter is None:  # first: a model that cannot be loaded leaves no folder behind
        segmenter = load_follower(options, options.model)
    request = _request(opened, frames, Path(out), options, (options.model,), annotations)
    request = replace(request, inputs=[*request.inputs, *mask_files(sources.values())])
    with claim(out, request, overwrite=options.overwrite) as folder:
        for part in parts:
            take_over(part, folder, is_soft=is_soft(options.formats))
        work = _begin(folder, opened, frames, options, on_progress)
        ids = _follow_marked(work, annotations, segmenter, options)
        # The network, its memory and the masks go before encoders come.
        del segmenter, annotations
        return _finish(work, ids)


def _begin(
    folder: JobFolder,
    video: Video,
    frames: range,
    options: CutOptions,
    on_progress: OnProgress | None,
) -> CutWork:
    return CutWork.begin(folder, video, frames, options.formats, options.edges, on_progress)


def _follow_marked(
    work: CutWork, annotations: dict[int, Mask], segmenter: Segmenter, options: CutOptions
) -> set[int]:
    """Follow annotated objects over the whole range; gives their ids."""
    height, width = work.video.size
    logger.debug(
        "video %s: %dx%d, %d frames", work.video.path, width, height, work.video.frame_count
    )
    logger.debug("model %s: %s", options.model, segmenter)
    segmenter.report_learning(learning_report(work.on_progress))
    references = {index: Annotation(labels) for index, labels in annotations.items()}
    frames = work.frames
    passes = plan_passes(annotations, frames.start, frames.stop, options.direction)
    work.follow(passes, references, segmenter)
    return {int(k) for labels in annotations.values() for k in np.unique(labels)}


def _cut_unmarked(
    video: Video,
    frames: range,
    out: Path,
    options: CutOptions,
    given: tuple[Segmenter | None, OnProgress | None],
) -> CutResult:
    """Cut what is found in a video that nobody marked."""
    segmenter, on_progress = given
    finder, follower = find_then_follow(options.model)
    if segmenter is None and follower is not None:
        segmenter = load_follower(options, follower)
    search = Search(
        source=VideoFrames(video, frames.start, frames.stop),
        objects=options.objects,
        discoverer=partial(_load_finder, options, finder, alone=segmenter is None),
    )
    models = (finder,) if follower is None else (finder, follower)
    request = _request(video, frames, out, options, models)
    with claim(out, request, overwrite=options.overwrite) as folder:
        work = _begin(folder, video, frames, options, on_progress)
        if segmenter is None:
            return _write_found(work, search)
        # The frame in which the objects are clearest, and their masks there: from here on it is a
        # cut with a mask in mid-video.
        at, labels = find_reference(search, folder, on_progress)
        ids = _follow_marked(work, {at: labels}, segmenter, options)
        del segmenter
        return _finish(work, ids)


def _write_found(work: CutWork, search: Search) -> CutResult:
    """Write the objects that a discoverer finds in every frame by itself, then render."""
    began = time.perf_counter()
    if work.is_done(work.frames):
        work.count(work.frames)
        ids = {k for index in work.frames for k in object_ids(work.masks.read(index))}
    else:
        discovery = discover(search, work.on_progress)
        ids = set(discovery.object_ids)
        with Stage("masks") as writer:
            written = write_discovery(discovery, work.masks, writer, work.frames.start)
            for index, is_new in zip(work.frames, written, strict=False):
                work.count([index], segmented=is_new)
    work.seconds = time.perf_counter() - began
    work.damage = find_damage(work.video, work.frames)
    return _finish(work, ids)


def _finish(work: CutWork, ids: set[int]) -> CutResult:
    """Render the outputs and report."""
    root = work.masks.folder.root
    outputs = {"masks": root / "masks"}
    uncertain = write_table(work.masks.folder, work.video)
    if work.formats:
        try:
            outputs |= work.render()
        except TruncatedVideoError as error:  # the outputs are complete up to the damage
            work.damage = work.damage or error
    # Told as a failure although all is written: exit status 0 means that the whole job was done.
    skipped = sorted(work.video.damaged.intersection(work.frames))
    if skipped and work.damage is None:
        raise VideoError(
            f"{len(skipped)} of {len(work.frames)} frames cannot be read and have an empty mask: "
            f"{_listed([work.video.frame_name(index) for index in skipped])}; the others are cut, "
            f"in {root}"
        )
    if work.damage is not None:
        raise TruncatedVideoError(
            f"{work.damage}; the {len(work.seen)} frames before the damage are cut, in {root}",
            work.damage.frames_read,
        ) from work.damage
    return CutResult(
        folder=root,
        object_ids=tuple(sorted(ids - {0})),
        frames=len(work.seen),
        frames_segmented=work.segmented,
        seconds=work.seconds,
        outputs=outputs,
        uncertain=uncertain,
        video=work.video,
        frame_range=work.frames,
    )


def _listed(names: Sequence[str]) -> str:
    """Up to twenty names, separated by commas."""
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _request(
    video: Video,
    frames: range,
    out: Path,
    options: CutOptions,
    models: tuple[str, ...],
    annotations: Mapping[int, Mask] | None = None,
) -> JobRequest:
    """What this cut is and writes; where it ends is no setting, so that a longer one resumes."""
    marked, alone = annotations is not None, len(models) == 1
    digests = {str(k): mask_digest(labels) for k, labels in (annotations or {}).items()}
    settings: dict[str, Any] = {
        "video": video_fingerprint(video),
        "start": options.start,
        # By content: the same mask under another name, or with other colours, is the same job.
        **({"masks": digests} if marked else {"objects": options.objects}),
        "model": options.model,
        "weights": weights_fingerprints(
            models if alone or marked else (DEFAULT_MARKER, *models),
            options.weights,
            options.refinements,
        ),
        "refinements": changed_refinements(options.refinements),
        **options.recorded(),
        "direction": options.direction,
        "precision": used_precision(options.device, options.precision),
    }
    # What version 0.1 would have written for this job, field by field, to recognise its folders.
    follows = marked or not alone
    earlier = {
        "video": video.name,
        "frame_size": list(video.size),
        "start": options.start,
        "annotations": digests if marked else (found_annotations(out) or {}),
        "model": f"{models[-1]}{refinements_text(options.refinements)}",
        "weights": file_text(options.weights),
        "size": options.size,
        "direction": options.direction,
        "objects": None if follows else options.objects,
        "enlarge": None if options.enlarge == "never" else options.enlarge,
        "memory": options.memory,
        "merge": options.merge,
        "backend": None if options.backend == "torch" else options.backend,
        "format": 1,
    }
    names = [video.frame_name(index) for index in frames]
    rendered = output_files(options.formats, names)
    proposals = [] if marked else ["found/found.json", *(f"found/{name}.png" for name in names)]
    return JobRequest(
        command="cut",
        settings=settings,
        added=[*mask_paths(names, soft=is_soft(options.formats)), *proposals],
        replaced=[TABLE, *(path for path in rendered if not path.startswith("mattes/"))],
        inputs=[video.path, *mask_files([options.weights])],
        earlier=EarlierRecord(
            file=MANIFEST,
            settings=earlier,
            files=("masks/*.png", "mattes/*.png", "found/*"),
        ),
    )


def _load_finder(options: CutOptions, name: str, *, alone: bool) -> Discoverer:
    """What finds the objects; weights and refinements are its own only if nothing follows them."""
    if not alone:
        return load_finder(name, **options.where)
    return load_discoverer(name, options.refinements, weights=options.weights, **options.where)


def _mark(video: Video, prompts: Prompts, options: CutOptions) -> dict[int, MaskSource]:
    """Masks of the frames with prompts, by frame number."""
    how = MarkOptions(model=options.marker, **options.where)
    return dict(mark_frames(video, prompts, how))


def load_follower(options: CutOptions, model: str) -> Segmenter:
    """The segmenter that follows the objects of a cut, with its refinements."""
    return load_model(
        model,
        options.refinements,
        weights=options.weights,
        **options.where,
        **options.for_model(),
    )
