"""The flow of a whole video on disk: a .flo file and a picture for each pair of frames."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image

from rotomask.catalog import DEFAULT_FLOW, load_flow
from rotomask.errors import InputError, OptionError, OutputError
from rotomask.files import complete_or_absent
from rotomask.flow.flo_files import write_flo
from rotomask.flow.optical_flow import Flow, flow_colours
from rotomask.jobs.options import merge_options
from rotomask.jobs.progress import OnProgress
from rotomask.video import Video, open_video

FORMATS = ("flo", "png")


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """What is estimated, and what is written."""

    estimator: str = DEFAULT_FLOW
    """Name of the estimator, as `load_flow` takes it."""
    weights: Path | None = None
    """Of a learned estimator, in place of the shipped ones."""
    formats: tuple[str, ...] = FORMATS
    """``flo``: Middlebury files, ``OUT/flo/NAME.flo``; ``png``: pictures, ``OUT/png/NAME.png``."""
    longest_px: float | None = None
    """Length of full colour in the pictures; None: of each picture's 99th percentile."""
    start: int = 0
    """First frame."""
    stop: int | None = None
    """One past the last; None: to the end."""
    device: str = "auto"
    precision: str = "float32"
    overwrite: bool = False
    """Whether to replace another job's output."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise OptionError(
                f"flow is written as {' and '.join(FORMATS)}, got {', '.join(unknown) or 'none'}"
            )
        if self.longest_px is not None and not self.longest_px > 0:
            raise OptionError(f"the length of full colour is above 0 px, got {self.longest_px}")


@dataclass(frozen=True, kw_only=True)
class FlowResult:
    """What `flow` left on disk."""

    folder: Path
    pairs: int
    """Pairs of frames in all."""
    estimated: int
    """Pairs that were not there before."""


def flow(
    video: str | Path | Video,
    out: str | Path,
    options: FlowOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> FlowResult:
    """Estimate the flow from every frame to the next one and write it under the frame's name.

    The last frame has none. Files are complete or absent; the same call goes on with a folder that
    was left half finished.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        options: What and how; or give its fields as keywords.
        on_progress: Receives the stage ``flow``, pairs done and pairs in all.
        **changes: Fields of `FlowOptions`.

    Raises:
        InputError: If the video or an option cannot be used, or there are fewer than two frames.
        OutputError: If the folder cannot be written, or holds the flow of another call.
        WeightsError: If the weights are missing or not the network's.
    """
    options = merge_options(FlowOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    estimator = load_flow(
        options.estimator,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
    )
    folder = Path(out)
    stop = opened.frame_count if options.stop is None else min(options.stop, opened.frame_count)
    if not 0 <= options.start < stop - 1:
        raise InputError(
            f"flow needs two frames or more, got frames {options.start} to {stop - 1} of "
            f"{opened.name}, which has {opened.frame_count}"
        )
    _claim(folder, opened, options)
    written, total = 0, stop - 1 - options.start
    frames = (frame.image for frame in opened.frames(options.start, stop))
    for number, (first, second) in enumerate(pairwise(frames)):
        missing = list(_missing(folder, opened.frame_name(options.start + number), options))
        if missing:
            estimate = estimator.estimate(first, second)
            for path in missing:
                _write(path, estimate, options.longest_px)
            written += 1
        if on_progress is not None:
            on_progress("flow", number + 1, total)
    return FlowResult(folder=folder, pairs=total, estimated=written)


def _missing(folder: Path, name: str, options: FlowOptions) -> Iterator[Path]:
    for kind in options.formats:
        path = folder / kind / f"{name}.{kind}"
        if not path.is_file():
            yield path


def _write(path: Path, flow: Flow, longest_px: float | None) -> None:
    if path.suffix == ".flo":
        write_flo(path, flow)
        return
    picture = Image.fromarray(flow_colours(flow, longest_px))
    with complete_or_absent(path) as temporary:
        picture.save(temporary, format="PNG")


def _claim(folder: Path, video: Video, options: FlowOptions) -> None:
    """Begin in the folder, or check that what is there is the same flow."""
    request = {
        "video": video.name,
        "estimator": options.estimator,
        "weights": None if options.weights is None else str(options.weights),
        "longest_px": options.longest_px,
    }
    record = folder / "flow.json"
    if record.is_file():
        stored = json.loads(record.read_text())
        changed = [k for k in request if stored.get(k) != request[k]]
        if changed:
            told = ", ".join(f"{k} {stored.get(k)!r} there, {request[k]!r} here" for k in changed)
            raise OutputError(f"{folder} holds other flow ({told}); choose another --out")
        return
    with complete_or_absent(record) as temporary:
        temporary.write_text(json.dumps(request, indent=1))
