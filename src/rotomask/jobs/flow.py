"""The flow of a whole video on disk: a .flo file and a picture for each pair of frames."""

import contextlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Unpack

from PIL import Image

from rotomask.catalog import DEFAULT_FLOW, load_flow
from rotomask.errors import InputError, OptionError
from rotomask.flow.flo_files import write_flo
from rotomask.flow.optical_flow import Flow, flow_colours
from rotomask.jobs.earlier import EarlierRecord, file_text
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.keywords import FlowKeywords, takes_options, with_keywords
from rotomask.jobs.progress import OnProgress
from rotomask.pipeline import Stage, read_ahead
from rotomask.video import Video, VideoSource, open_video

FORMATS = ("flo", "png")


@dataclass(frozen=True, kw_only=True)
class FlowOptions(FrameOptions):
    """Options of estimating flow."""

    estimator: str = DEFAULT_FLOW
    """A flow estimator of the catalogue."""
    weights: Path | None = None
    """A checkpoint of a learned estimator to use in place of the shipped one."""
    formats: tuple[str, ...] = FORMATS
    """``flo``: Middlebury files, ``OUT/flo/NAME.flo``; ``png``: pictures, ``OUT/png/NAME.png``."""
    longest_px: float | None = None
    """Length of full colour in the pictures; None: of each picture's 99th percentile."""
    precision: str = "float32"
    """``float32``, ``bfloat16`` or ``auto``. Fractions of a pixel want float32."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise OptionError(
                f"flow is written as {' and '.join(FORMATS)}, got {', '.join(unknown) or 'none'}"
            )
        if self.longest_px is not None and not self.longest_px > 0:
            raise OptionError(f"the length of full colour is above 0 px, got {self.longest_px}")
        if self.longest_px == float("inf"):
            raise OptionError("the length of full colour must be finite")


@dataclass(frozen=True, kw_only=True)
class FlowResult:
    """Result of `flow`."""

    folder: Path
    pairs: int
    """Number of pairs of frames."""
    estimated: int
    """Number of pairs that this call estimated."""


@takes_options(FlowOptions)
def flow(
    video: VideoSource,
    out: str | Path,
    options: FlowOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: Unpack[FlowKeywords],
) -> FlowResult:
    """Estimate the flow from every frame to the next one and write it under the frame's name.

    The last frame has none. Files are complete or absent; the same call goes on with a folder that
    was left half finished.

    Args:
        video: A video file, a folder of frames, an open video, or frames in memory.
        out: Folder to write to.
        options: What and how; or give its fields as keywords.
        on_progress: Receives the stage ``flow``, pairs done and pairs in all.
        **changes: Options as keywords, as on the command line: `FlowKeywords`.

    Raises:
        InputError: If the video or an option cannot be used, or there are fewer than two frames.
        OutputError: If the folder cannot be written, or holds the flow of another call.
        WeightsError: If the weights are missing or not the network's.
    """
    options = with_keywords(options or FlowOptions(), changes, "flow")
    opened = open_video(video)
    estimator = load_flow(options.estimator, weights=options.weights, **options.where)
    frames = options.range_in(opened)
    if len(frames) < 2:
        raise InputError(
            f"flow needs two frames or more, got frame {frames.start} alone of {opened.path}, "
            f"which has {opened.frame_count}"
        )
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        written = 0
        images = (frame.image for frame in opened.frames(frames.start, frames.stop))
        with (
            contextlib.closing(read_ahead(images, lambda image: image.nbytes)) as ahead,
            Stage("flow") as writer,
        ):
            for index, (first, second) in zip(frames, pairwise(ahead), strict=False):
                # A pair whose files are all there is read but not estimated again.
                missing = [
                    path
                    for path in _paths(opened.frame_name(index), options.formats)
                    if not folder.is_finished(path)
                ]
                if missing:
                    estimate = estimator.estimate(first, second)
                    _submit(writer, folder, missing, estimate, options.longest_px)
                    written += 1
                if on_progress is not None:
                    on_progress("flow", index + 1 - frames.start, len(frames) - 1)
    return FlowResult(folder=folder.root, pairs=len(frames) - 1, estimated=written)


def _paths(name: str, formats: tuple[str, ...]) -> list[str]:
    return [f"{kind}/{name}.{kind}" for kind in formats]


def _submit(
    writer: Stage, folder: JobFolder, missing: list[str], flow: Flow, longest_px: float | None
) -> None:
    """Let the files of a pair be written while the next is estimated."""

    def write_all() -> None:
        for path in missing:
            _write(folder, path, flow, longest_px)

    writer.submit(write_all, size=flow.nbytes)


def _write(folder: JobFolder, relative: str, flow: Flow, longest_px: float | None) -> None:
    if relative.endswith(".flo"):
        write_flo(folder.root / relative, flow, folder.commit)
        return
    picture = Image.fromarray(flow_colours(flow, longest_px))
    with folder.write(relative) as temporary:
        picture.save(temporary, format="PNG")


def _request(video: Video, frames: range, options: FlowOptions) -> JobRequest:
    """What this flow is and writes. Its range and formats are no settings: they may grow."""
    settings = {
        "video": video_fingerprint(video),
        "estimator": options.estimator,
        "weights": weights_fingerprints((options.estimator,), options.weights),
        "longest_px": options.longest_px,
        "precision": used_precision(options.device, options.precision),
    }
    earlier = {
        "video": video.name,
        "estimator": options.estimator,
        "weights": file_text(options.weights),
        "longest_px": options.longest_px,
    }
    names = [video.frame_name(index) for index in frames[:-1]]
    return JobRequest(
        command="flow",
        settings=settings,
        added=[path for name in names for path in _paths(name, options.formats)],
        inputs=[video.path, *([] if options.weights is None else [options.weights])],
        earlier=EarlierRecord(file="flow.json", settings=earlier, files=("flo/*.flo", "png/*.png")),
    )
