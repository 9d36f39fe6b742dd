"""Other formats of a finished cut, without segmenting again."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Unpack

from rotomask.export import export as export_masks
from rotomask.export.exporting import check_formats, output_files
from rotomask.jobs.earlier import read_earlier
from rotomask.jobs.folder import add_to
from rotomask.jobs.job_options import frame_range
from rotomask.jobs.keywords import ExportKeywords, takes_options, with_keywords
from rotomask.jobs.manifest import frames_of
from rotomask.jobs.mask_files import agree_with_edited_masks
from rotomask.jobs.progress import OnProgress
from rotomask.matting import EdgeControls
from rotomask.video import Video, VideoSource, open_video


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Formats and frames to render."""

    formats: tuple[str, ...] = ("overlay",)
    """Names of `rotomask.export.FORMATS`."""
    start: int | None = None
    """First frame; None: the first that was cut."""
    stop: int | None = None
    """One past the last frame; None: up to the last that was cut."""
    partial: bool = False
    """True to leave out frames without a mask; otherwise they are an error."""
    edges: EdgeControls = field(default_factory=EdgeControls)
    """Feather, choke, despill and matting of the cut-outs' edges."""
    overwrite: bool = False
    """True to replace files of version 0.1 too, which did not record them; those of
    later versions are always replaced, other files never."""

    def __post_init__(self) -> None:
        if isinstance(self.formats, str):
            object.__setattr__(self, "formats", (self.formats,))


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Result of `export`."""

    folder: Path
    outputs: dict[str, Path]
    """The format's name -> the file or folder."""


@takes_options(ExportOptions)
def export(
    video: VideoSource,
    folder: str | Path,
    options: ExportOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: Unpack[ExportKeywords],
) -> ExportResult:
    """Render the masks of a finished cut in other formats, beside them.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut` or `refine`, or any folder with ``masks/NAME.png``.
        options: Options; or give its fields as keywords.
        on_progress: Receives the stage ``export``.
        **changes: Options as keywords, as on the command line: `ExportKeywords`.

    Raises:
        InputError: If the video, a mask or an option cannot be used.
        OutputError: If an output cannot be written.
    """
    options = with_keywords(options or ExportOptions(), changes, "export")
    opened = open_video(video)
    root, formats = Path(folder), tuple(dict.fromkeys(options.formats))
    check_formats(formats)
    start, stop = _range(opened, root, options)
    names = [opened.frame_name(index) for index in range(start, stop)]
    # Mattes are written where they are absent; those of the cut stay, unless their masks were
    # edited since.
    replaced = [path for path in output_files(formats, names) if not path.startswith("mattes/")]
    with add_to(root, replaced, [opened.path], overwrite=options.overwrite) as held:
        agree_with_edited_masks(held, names)
        outputs = export_masks(
            opened,
            root,
            formats,
            start=start,
            stop=stop,
            partial=options.partial,
            edges=options.edges,
            commit=held.commit,
            on_progress=None if on_progress is None else partial(on_progress, "export"),
        )
    return ExportResult(folder=root, outputs=outputs)


def _range(video: Video, root: Path, options: ExportOptions) -> tuple[int, int]:
    """First frame and one past the last: as asked for, else as cut, else the whole video."""
    start, stop = frames_of(root) or _earlier_range(video, root) or (0, video.frame_count)
    start = start if options.start is None else options.start
    stop = stop if options.stop is None else options.stop
    frames = frame_range(video.frame_count, start, stop, video.path)
    return frames.start, frames.stop


def _earlier_range(video: Video, root: Path) -> tuple[int, int] | None:
    """The range of a cut of version 0.1, which did not store its end: up to its last mask."""
    if read_earlier(root) is None:
        return None
    masks = {path.stem for path in (root / "masks").glob("*.png")}
    cut = [index for index in range(video.frame_count) if video.frame_name(index) in masks]
    return (cut[0], cut[-1] + 1) if cut else None
