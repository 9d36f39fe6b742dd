"""Files that are complete or absent, whatever happens while they are written."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from rotomask.errors import OutputError


@contextlib.contextmanager
def complete_or_absent(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the block succeeds, else remove.

    Raises:
        OutputError: If the folder cannot be made or written, or the disk is full.
    """
    temporary = temporary_name(path)
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    except BaseException:  # a Ctrl-C too leaves nothing behind
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def temporary_name(path: Path) -> Path:
    """Where a file is written until it is complete: hidden, so that its folder shows no half file.

    It is always the same name, so what a killed process left behind is overwritten by the next.
    """
    return path.with_name(f".{path.name}.part")


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals within the block into an `OutputError` about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "a file stands where a folder is needed; choose another folder"
    return error.strerror or str(error)
