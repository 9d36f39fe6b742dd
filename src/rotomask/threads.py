"""Number of threads that a job computes with, how they wait for each other, and their memory.

PyTorch's threads (OpenMP) by default spin while they wait for the next operation. On a machine with
other work the one that they wait for does not run meanwhile, and a frame takes many times as long.
OpenMP reads how they wait once, when it is loaded.
"""

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from .errors import OptionError  # the ground is one floor: docs/architecture.md

MOST_THREADS = 8
"""Threads used by default at most: more gain nothing on frames of 480 lines."""

_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""glibc's numbers of these settings, from malloc.h."""

_KEPT = (32 << 20, 64 << 20)
"""Bytes from which an array is mapped apart, the most that glibc takes, and from which the free top
of the heap is given back."""
_GIVEN_BACK = (4 << 20, 128 << 10)
"""The same where memory counts more than time; the second is glibc's own."""

_EARLY_MODULES = (
    "bz2",
    "contextvars",
    "csv",
    "datetime",
    "decimal",
    "hashlib",
    "heapq",
    "json",
    "lzma",
    "mmap",
    "opcode",
    "pickle",
    "queue",
    "random",
    "select",
    "socket",
    "subprocess",
    "uuid",
    "zlib",
    "zoneinfo",
    "numpy",
    "pydantic_core",
)
"""Modules with libraries of their own that come before PyTorch's, whatever the command."""

_current: int | None = None
"""What `set_threads` was told last."""

_is_alone = False
"""True in a process that was forked from one that had computed: see `compute_alone`."""


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads of libraries sleep while they wait, unless the environment says otherwise.

    It has an effect only before torch and numpy are imported, in this process and in those that it
    starts.

    Args:
        environment: Where it is set: this process's, or that of one that will be started.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("KMP_BLOCKTIME", "0")  # Intel's OpenMP, which conda's torch has
    # That of numpy and OpenCV yields in a loop, and our matrices are too small to share.
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    for waiter in ("WORKER", "MAIN"):  # OpenCV's own threads: turns in a loop before they sleep
        environment.setdefault(f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{waiter}", "0")


@functools.cache
def _c_library() -> ctypes.CDLL:
    """Functions of the C library; opened once, as another library that is loaded holds this up."""
    return ctypes.CDLL(None)


def share_heap() -> None:
    """Let all threads take memory from one heap that keeps what is free, where glibc is.

    By default each thread of a pipeline keeps what it freed in a heap of its own, which is 20 MiB
    at 480 lines. It has an effect on threads that begin later.

    Arrays of a few MiB come and go with every frame. glibc gives them back to the system until it
    has seen enough of them, and the top of the heap whenever it is free: each time that they come
    anew, the system clears their pages, which takes six times as long as some layers.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            _c_library().mallopt(_M_ARENA_MAX, 1)
        _set_thresholds(*_KEPT)


def _set_thresholds(block_bytes: int, top_bytes: int) -> None:
    """Set from which size arrays, and the free top of the heap, go back to the system when free."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        _c_library().mallopt(_M_MMAP_THRESHOLD, block_bytes)
        _c_library().mallopt(_M_TRIM_THRESHOLD, top_bytes)


def give_memory_back() -> None:
    """Give memory that is free back to the system, where the C library is glibc.

    It takes some 10 ms, and as long again until the memory is there anew. Between videos it pays:
    the pieces between what is still used are too small for frames of another size.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            _c_library().malloc_trim(0)


@contextlib.contextmanager
def blocks_apart() -> Iterator[None]:
    """Give memory back to the system as soon as it is free, within the block, where glibc is.

    By default glibc keeps freed arrays of up to 32 MiB to give them out again, which for frames of
    3840x2160 leaves 400 MiB in pieces that nothing fits in. To ask the system anew costs some 10 ms
    for each such array, which a network would notice, but no encoder does.
    """
    if sys.platform != "linux":
        yield
        return
    _set_thresholds(*_GIVEN_BACK)
    give_memory_back()
    try:
        yield
    finally:
        give_memory_back()  # smaller blocks, too
        _set_thresholds(*_KEPT)


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Do not look for garbage within the block, and after it only among what is made later.

    For imports. The 300,000 objects that PyTorch's make are never garbage, and Python would go
    through them again and again: 0.2 s of a command's start and 0.3 s of its end.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def end_at_once() -> None:
    """End a process that succeeded, without freeing one by one what it holds.

    Python takes all modules apart at the end, and PyTorch's for 0.1 s. Functions that are to run at
    the exit do run. Returns if a thread has still work to do, if output cannot be written, or if a
    profiler or debugger waits for the end.
    """
    if sys.getprofile() is not None or sys.gettrace() is not None:
        return
    others = (t for t in threading.enumerate() if t is not threading.current_thread())
    if any(not thread.daemon for thread in others):
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says so at its own end
        return
    os._exit(0)


def load_torch_ahead() -> None:
    """Begin to load PyTorch's library, a quarter of a second, while Python imports other modules.

    `import torch` loads it too, but holds the interpreter's lock meanwhile. Call `wait_passively`
    first. Where memory is limited nothing is done: the library ends the process if it is short of
    it, which `import torch` can tell beforehand.

    The system loads one library after the other, so those of other modules come first: any of them
    would wait for PyTorch's.
    """
    if sys.platform != "linux" or _is_memory_limited():
        return
    torch_spec = importlib.util.find_spec("torch")
    if torch_spec is None or torch_spec.origin is None:
        return
    for name in _EARLY_MODULES:
        with contextlib.suppress(ImportError):  # whoever needs it says so
            importlib.import_module(name)
    library = Path(torch_spec.origin).parent / "lib" / "libtorch_cpu.so"
    with contextlib.suppress(RuntimeError):  # no more threads are allowed
        threading.Thread(target=_load_library, args=(library,), daemon=True).start()


def _is_memory_limited() -> bool:
    """True if the process may not have as much memory as it asks for (`ulimit -v`)."""
    if sys.platform == "win32":
        return False
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _load_library(path: Path) -> None:
    """Load a shared library without Python's lock; what cannot be loaded is left to others."""
    with contextlib.suppress(OSError, AttributeError):
        # A call of C's own function: `ctypes.CDLL(path)` would keep the lock.
        load = _c_library().dlopen
        load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
        load(os.fsencode(path), os.RTLD_NOW)


def default_threads() -> int:
    """Threads to compute with: OMP_NUM_THREADS, else `usable_cores`, at most `MOST_THREADS`."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    return min(usable_cores(), MOST_THREADS)


def usable_cores() -> int:
    """Cores that this process may use: those of its affinity, within the quota of a container."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _container_cores() or cores))


def check_threads(count: int | None) -> None:
    """Raise unless a number of threads is one or more, or left open.

    Raises:
        OptionError: If it is not.
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise OptionError(f"at least 1 thread is needed to compute, got {count!r}")


@contextlib.contextmanager
def computing_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch, OpenCV and FFmpeg compute with so many threads within the block.

    Args:
        count: Number of threads; None: as they are set.

    Raises:
        OptionError: If it is below 1.
    """
    check_threads(count)
    if count is None:
        yield
        return
    import cv2
    import torch

    global _current
    before = _current, torch.get_num_threads(), cv2.getNumThreads()
    set_threads(count)
    try:
        yield
    finally:
        if not _is_alone:  # forked within the block
            _current = before[0]
            torch.set_num_threads(before[1])
            cv2.setNumThreads(before[2])


def compute_alone() -> None:
    """Compute with one thread from now on, whatever is asked for: for a process that was forked.

    Fork copies the state of the thread pools of OpenMP and OpenCV, but not their threads, and the
    first parallel region of the child would wait for them for ever.
    """
    global _is_alone
    _is_alone = True
    _apply(1)


def set_threads(count: int) -> None:
    """Let PyTorch, OpenCV and FFmpeg compute with so many threads from now on.

    In a process that was forked from one that had computed they stay one; see `compute_alone`.
    """
    if not _is_alone:
        _apply(count)


def _apply(count: int) -> None:
    import cv2
    import torch

    global _current
    _current = count
    torch.set_num_threads(count)
    cv2.setNumThreads(count if count > 1 else 0)  # 0: in the thread that calls, without a pool


def current_threads() -> int:
    """Threads that this process computes with."""
    return default_threads() if _current is None else _current


def _container_cores() -> int | None:
    """Cores that a container's quota is worth, rounded up; None without a quota."""
    try:
        quota, period = _QUOTA.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return None
