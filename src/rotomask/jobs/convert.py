"""Annotations from one format to another, into a folder of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rotomask.catalog import with_settings
from rotomask.conversion import FORMATS, Format, LabelledVideo, detect_format, main_file
from rotomask.conversion.labelled_video import Labels
from rotomask.conversion.reading import ReadOptions
from rotomask.errors import DatasetError, InputError, OptionError, RotomaskError
from rotomask.files import content_digest
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.notebook import shows_bars
from rotomask.jobs.progress import OnProgress


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """How annotations are read and written."""

    source_format: str | None = None
    """The input's format, a name of `conversion.FORMATS`; None: recognised."""
    video: str | None = None
    """Name of the video, where the input holds several."""
    size: tuple[int, int] | None = None
    """Height and width of the frames, px, where the input does not say it."""
    overwrite: bool = False
    """Whether to replace another job's output."""


@dataclass(frozen=True, kw_only=True)
class ConvertResult:
    """What was converted."""

    folder: Path
    frames: int
    source_format: str
    loses: str
    """What the written format cannot hold; empty: nothing."""


@shows_bars
def convert(
    source: str | Path,
    out: str | Path,
    to: str,
    options: ConvertOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> ConvertResult:
    """Convert the annotations of one video to another format.

    Args:
        source: A folder of a finished cut, of masks or of another tool's files; or a file.
        out: Folder to write to; run again to resume.
        to: A name of `conversion.FORMATS`.
        options: How; or give its fields as keywords.
        on_progress: Receives the stage ``convert``.
        **changes: Fields of `ConvertOptions`.

    Raises:
        OptionError: If a format is unknown or not recognised, or the input needs a video's name or
            size.
        InputError: If the input is missing or damaged.
        OutputError: If the folder cannot be written, or holds another job.
    """
    options = with_settings(options or ConvertOptions(), changes, "convert")
    path, target = Path(source), _format(to)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    name = options.source_format or detect_format(path)
    path = main_file(path, name)
    with _damage(path):
        video = _format(name).read(path, ReadOptions(video=options.video, size=options.size))
    # Masks are read one by one while the output is written, so damage in them comes up only then.
    video = _checked(video, path)
    # Formats with a file a frame would write one over the other.
    if len(set(video.frame_names)) < len(video):
        raise InputError(f"{path} has two frames of one name; their files would be the same")
    settings = {
        "input": _fingerprint(path),
        "from": name,
        "to": to,
        "video": options.video,
        "size": None if options.size is None else list(options.size),
    }
    request = JobRequest(
        command="convert", settings=settings, replaced=list(target.outputs(video)), inputs=[path]
    )
    with claim(out, request, overwrite=options.overwrite) as folder:
        target.write(_reporting(video, on_progress), folder.write)
    return ConvertResult(
        folder=Path(out), frames=len(video), source_format=name, loses=target.loses
    )


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise OptionError(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Reading of a file of another tool: a value of another type than its format has is damage.

    Raises:
        DatasetError: In place of what such a value leads to.
    """
    try:
        yield
    # It says already what is wrong, and in which file.
    except RotomaskError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DatasetError(f"{path} is damaged: {reason}") from error


def _checked(video: LabelledVideo, path: Path) -> LabelledVideo:
    """The same video, whose masks are damage or right.

    Raises:
        DatasetError: If a name of a frame cannot be that of a file.
    """
    for name in video.frame_names:
        if not name or "\0" in name or name in (".", ".."):
            raise DatasetError(f"{path} has a frame whose name cannot be a file's: {name!r}")

    def read(index: int) -> Labels:
        with _damage(path):
            return video.read(index)

    return replace(video, read=read)


def _reporting(video: LabelledVideo, on_progress: OnProgress | None) -> LabelledVideo:
    """The same video, which reports each frame that is read."""
    if on_progress is None:
        return video

    def read(index: int) -> Labels:
        labels = video.read(index)
        on_progress("convert", index + 1, len(video))
        return labels

    return replace(video, read=read)


def _fingerprint(path: Path) -> dict[str, str]:
    """Digests of the input's files by name."""
    return {str(file.relative_to(path.parent)): content_digest(file) for file in _files(path)}


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        # Such as the records of a job, which change without the masks.
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden and file.suffix.lower() in (".png", ".json", ".txt"):
            yield file
