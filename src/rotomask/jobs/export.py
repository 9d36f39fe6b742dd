"""Other formats of a finished cut, without segmenting again."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rotomask.export import export as export_masks
from rotomask.jobs.options import merge_options
from rotomask.jobs.progress import OnProgress
from rotomask.video import Video, open_video


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is rendered, from which frames."""

    formats: tuple[str, ...] = ("overlay",)
    """Names of `rotomask.export.FORMATS`."""
    start: int | None = None
    """First frame; None: the first that was cut."""
    stop: int | None = None
    """One past the last frame; None: up to the last that was cut."""
    partial: bool = False
    """Whether frames without a mask are left out; otherwise they are an error."""
    overwrite: bool = False
    """Outputs of an earlier export are always replaced, other files never; kept for symmetry."""


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What `export` wrote."""

    folder: Path
    outputs: dict[str, Path]
    """The format's name -> the file or folder."""


def export(
    video: str | Path | Video,
    folder: str | Path,
    options: ExportOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> ExportResult:
    """Render the masks of a finished cut in other formats, beside them.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut` or `refine`, or any folder with ``masks/NAME.png``.
        options: How; or give its fields as keywords.
        on_progress: Receives the stage ``export``.
        **changes: Fields of `ExportOptions`.

    Raises:
        InputError: If the video, a mask or an option cannot be used.
        OutputError: If an output cannot be written.
    """
    options = merge_options(ExportOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    outputs = export_masks(
        opened,
        folder,
        options.formats,
        start=options.start or 0,
        stop=options.stop,
        partial=options.partial,
        on_progress=None if on_progress is None else partial(on_progress, "export"),
    )
    return ExportResult(folder=Path(folder), outputs=outputs)
