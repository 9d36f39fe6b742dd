"""Files that are complete or absent, and the order in which people number them."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError  # the ground is one floor: docs/architecture.md


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


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key that puts frame2 before frame10: runs of digits compare as numbers.

    Names that differ only in letter case or leading zeros keep a fixed order.

    Example:
        >>> sorted(["frame10", "frame2", "Frame1"], key=natural_key)
        ['Frame1', 'frame2', 'frame10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    # Numbers (0) before text (1), as in ASCII; the two never compare with each other directly.
    key = tuple((0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in parts)
    return key, name


def trailing_number(stem: str) -> int | None:
    """The number at the end of a file's stem (`object_12` -> 12), or None."""
    match = re.search(r"([0-9]+)$", stem)
    return int(match.group(1)) if match else None
