"""Shortage of memory, told apart from damage.

A library that gets no memory says so in its own way, and a reader that takes any error for damage
would blame a sound file.
"""

import errno
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RotomaskError  # the ground is one floor: docs/architecture.md

_WORDS = (
    *("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory"),
    *("insufficient memory", "unable to mmap", "memory allocation", "bad_alloc", "bad allocation"),
    *("failed to map segment", "static tls block", "failed to allocate", "unable to allocate"),
    *("can't start new thread", "could not create a primitive", "could not execute a primitive"),
)
"""What PyTorch, oneDNN, OpenCV, safetensors, ONNX Runtime and the dynamic linker say, in lower
case. A thread that cannot be created lacks memory for its stack."""

LARGE_FRAME_PIXELS = 1920 * 1088
"""Of frames with more pixels few are held in memory: an encoder gets fewer threads, and videos are
rendered in a second pass, when the network and its maps are gone."""

_FOR_ANY_FRAME_BYTES = 64 << 20
"""Memory that reading a frame, a mask or a checkpoint takes beside its own size."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """True if an error, or one that it was raised from, says that there was no memory left.

    What FFmpeg says is left out: it says the same of a damaged file that asks for gigabytes. See
    `is_short`.
    """
    while error is not None:
        if _says_no_memory(error):
            return True
        error = error.__cause__
    return False


def is_short(size: int = 0) -> bool:
    """True if so many bytes, and 64 MiB more, cannot be had at this moment.

    It asks for address space and does not touch it, so that it takes no time.
    """
    try:
        mmap.mmap(-1, size + _FOR_ANY_FRAME_BYTES).close()
    except (MemoryError, OSError, OverflowError):
        return True
    return False


def check_memory(path: str | Path, size: int = 0) -> None:
    """Raise if there is no memory to read a file with, before it is called damaged.

    Args:
        path: The file.
        size: Bytes that its content takes when it is read.

    Raises:
        MemoryError: If there is none.
    """
    if is_short(size):
        raise MemoryError(f"not enough memory to read {path}")


@contextmanager
def memory_errors(path: Path) -> Iterator[None]:
    """Turn a library's own error about memory into a `MemoryError` that names the file.

    It stands inside of what turns any other error into one about the file.

    Raises:
        MemoryError: If there was no memory to read the file with.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(f"not enough memory to read {path}") from error
        raise


def _says_no_memory(error: BaseException) -> bool:
    if isinstance(error, RotomaskError):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        # EAGAIN: a thread has no room for its stack.
        return error.errno in (errno.EAGAIN, None if _is_ffmpeg(error) else errno.ENOMEM)
    if isinstance(error, MemoryError) or _is_ffmpeg(error):
        return not _is_ffmpeg(error)
    text = str(error).lower()
    return any(word in text for word in _WORDS)


def _is_ffmpeg(error: BaseException) -> bool:
    """True for an error of PyAV, which is not imported here: it takes a third of a second."""
    return any(kind.__module__.startswith("av.") for kind in type(error).__mro__)
