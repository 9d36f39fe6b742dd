"""What a process of the app may not do or take: the network, the cores, memory, endless loops.

Decoders meet files from anywhere. Where the operating system has no such bound, there is none.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
from pathlib import Path

from rotomask.threads import give_memory_back

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
OPEN_FILES = 1024


def leave_network() -> bool:
    """Whether the process now has no network, not even to this computer; only on Linux.

    Must be called before any library starts threads: a user namespace (`user_namespaces(7)`), which
    users other than root need for this, is for processes of one thread. Some distributions and
    containers forbid it.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(CLONE_NEWNET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with contextlib.suppress(OSError):  # the same names within as without
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def lower_priority(nice: int) -> None:
    """Leave the cores to processes that somebody waits for.

    Every process of ours has a session of its own, which the scheduler of Linux makes a group of
    its own, and between groups the niceness of the group counts (`sched(7)`, "autogroup"). A
    process in another's session leaves that of the group as it is: it would slow the others.
    """
    if hasattr(os, "nice"):
        os.nice(nice)
    if not hasattr(os, "getsid") or os.getsid(0) != os.getpid():
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def end_with_server() -> bool:
    """Whether this process ends with the server even while it is stopped; only on Linux.

    A stopped process cannot see that a pipe was closed. The signal comes when the thread that
    started the process ends (`PR_SET_PDEATHSIG`, prctl(2)).
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0)


def return_memory() -> None:
    """Give memory that was freed back to the system, where the C library is glibc.

    It keeps what lies between pieces that are still in use; after jobs of many kinds that is
    hundreds of MiB.
    """
    gc.collect()
    give_memory_back()


def limit_resources(memory_bytes: int) -> None:
    """Limit the process's memory and open files."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_NOFILE, OPEN_FILES)):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (value, value))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_cpu(seconds: float) -> None:
    """Let the process compute for so many seconds of one core from now on; then it is ended.

    Called at every step of the work, it ends a loop in a decoder that never comes to the next.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
