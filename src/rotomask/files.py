"""Files that are complete or absent, and the order in which people number them."""

import contextlib
import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import OutputError  # the ground is one floor: docs/architecture.md

Commit = Callable[[Path, Path], None]
"""Gives a complete temporary file its final name. A job's folder keeps a record of it first."""


def replace_file(temporary: Path, path: Path) -> None:
    """Give a complete temporary file its final name."""
    temporary.replace(path)


@contextlib.contextmanager
def complete_or_absent(path: Path, commit: Commit = replace_file) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the block succeeds, else remove.

    Args:
        path: The file's final name; its folder is made if need be.
        commit: Renames the temporary file.

    Raises:
        OutputError: If the folder cannot be made or written, or the disk is full.
    """
    temporary = temporary_name(path)
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            commit(temporary, path)
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


def content_digest(path: Path) -> str:
    """A short fingerprint of a file's content: 32 hexadecimal digits.

    Files above 64 MiB are sampled: 32 blocks of 1 MiB spread evenly, and the size.

    Raises:
        OSError: If the file cannot be read.
    """
    size, block = path.stat().st_size, 1 << 20
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size <= 64 * block:
            while data := file.read(block):
                digest.update(data)
        else:
            for number in range(32):
                file.seek(number * (size - block) // 31)
                digest.update(file.read(block))
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file for the block; gives False if another process holds it.

    The operating system releases the lock when its process ends, however it ends, so no stale lock
    is left behind. On file systems without locks the block runs without one.

    Raises:
        OSError: If the file cannot be opened.
    """
    while True:
        with path.open("ab") as file:
            is_ours = _try_lock(file.fileno())
            # Whoever held it before may have removed the file: then the lock is on none.
            if is_ours and not _is_same_file(file.fileno(), path):
                continue
            yield is_ours
            return


def _try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; True also where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def load_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def access_fault(path: Path) -> str | None:
    """Why a file or folder cannot be reached, to follow its name in a message; None if it can.

    `Path.exists` raises for a name of more than 255 bytes and for a folder without permission.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null byte
        return "does not exist"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    return None


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
