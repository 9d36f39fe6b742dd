"""Objects followed frame by frame: what `cut` does, without files."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.catalog import DEFAULT_MARKER, DEFAULT_MODEL
from rotomask.errors import InputError, OptionError
from rotomask.jobs.job_options import RuntimeOptions
from rotomask.jobs.keywords import TrackKeywords, takes_options, with_keywords
from rotomask.jobs.loading import load_model
from rotomask.jobs.mark import MarkOptions, mark_frames
from rotomask.jobs.model_settings import ModelSettings
from rotomask.jobs.reference_masks import MaskSource, read_annotations
from rotomask.pipeline import read_ahead
from rotomask.prompts import Prompts
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, follow
from rotomask.segmenters.refinements import Refinements
from rotomask.threads import computing_threads
from rotomask.video import Video, VideoFrame, VideoSource, open_video


@dataclass(frozen=True, kw_only=True)
class TrackOptions(ModelSettings, RuntimeOptions):
    """The model that follows objects, and which frames."""

    model: str = DEFAULT_MODEL
    """A name of the catalogue (`rotomask models`)."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    refinements: Refinements = field(default_factory=Refinements)
    """What is done beyond running the model once."""
    start: int = 0
    """First frame."""
    stop: int | None = None
    """One past the last frame; None: to the end."""
    marker: str = DEFAULT_MARKER
    """What makes masks of prompts, if there are any."""


@takes_options(TrackOptions)
def track(
    video: VideoSource,
    mask: MaskSource | Mapping[int, MaskSource] | Prompts,
    options: TrackOptions | None = None,
    *,
    at: int | None = None,
    segmenter: Segmenter | None = None,
    **changes: Unpack[TrackKeywords],
) -> Iterator[tuple[Frame, npt.NDArray[np.int32]]]:
    """Follow the objects of a mask through a video, forward, and give each frame with its labels.

    Nothing is written, and memory does not grow with the length of the video. What is wrong with
    the arguments is said at once, not at the first frame.

    Args:
        video: What `open_video` takes: a file, a folder, frames in memory, the number of a camera.
        mask: The reference mask (a file, H×W integers or bool), several by frame number, or
            prompts. Prompts need a video that can be read twice: no camera.
        options: How; or give its fields as keywords.
        at: Frame number of a single mask; by default the first frame.
        segmenter: A segmenter to use in place of the one that the options name.
        **changes: Options as keywords, as on the command line: `TrackKeywords`.

    Yields:
        The frame, H×W×3 uint8 RGB, and its labels, H×W int32: 0 background, k = object id k. Frames
        before the first mask have none.

    Raises:
        InputError: If video, mask or an option cannot be used.
        WeightsError: If the model's weights are missing or not its own.

    Example:
        >>> for frame, labels in track("clip.mp4", "first.png"):  # doctest: +SKIP
        ...     print((labels == 1).sum())
    """
    options = with_keywords(options or TrackOptions(), changes, "track")
    opened = open_video(video)
    if mask is None:
        raise InputError("track needs a mask or prompts; `cut` finds objects by itself")
    if isinstance(mask, Prompts):
        how = MarkOptions(model=options.marker, device=options.device, precision=options.precision)
        mask = dict(mark_frames(opened, mask, how))
    sources = mask if isinstance(mask, Mapping) else {options.start if at is None else at: mask}
    last = options.stop if options.stop is not None else _last_possible(opened)
    if last <= options.start:
        raise OptionError(f"no frame lies between {options.start} and {last}")
    # At once, not at the first frame: a wrong mask is an error of the call, not of the loop.
    annotations = read_annotations(opened, sources, range(options.start, last))
    if segmenter is None:
        segmenter = load_model(
            options.model,
            options.refinements,
            weights=options.weights,
            device=options.device,
            precision=options.precision,
            **options.for_model(),
        )
    references = {index: Annotation(labels) for index, labels in annotations.items()}
    return _follow(opened, options, segmenter, references)


def _follow(
    video: Video,
    options: TrackOptions,
    segmenter: Segmenter,
    annotations: Mapping[int, Annotation],
) -> Iterator[tuple[Frame, npt.NDArray[np.int32]]]:
    frames: Iterator[VideoFrame] = video.frames(options.start, options.stop)
    with contextlib.ExitStack() as running:
        running.enter_context(computing_threads(options.threads))
        if video.is_seekable:  # the frames of a camera are those of the moment
            ahead = read_ahead(frames, lambda frame: frame.image.nbytes)
            frames = running.enter_context(contextlib.closing(ahead))
        numbered = ((frame.index, frame.image) for frame in frames)
        for followed in follow(segmenter, numbered, annotations):
            yield followed.frame, followed.labels.astype(np.int32, copy=False)


def _last_possible(video: Video) -> int:
    """One past the last frame that there can be."""
    return video.frame_count if video.is_seekable else ENDLESS


ENDLESS = 2**31
"""More frames than a camera gives in two years."""
