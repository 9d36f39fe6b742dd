"""How a job in the worker hears from the server, and tells how far it is."""

import threading
import time
from collections.abc import Callable

from rotomask.app.processes.bounds import allow_cpu
from rotomask.app.processes.channel import Message

HOLD_SECONDS = 10.0
"""Longest wait for a mark that is being answered; the server may have forgotten."""
PROGRESS_SECONDS = 0.25
CPU_SECONDS = 3600.0
"""Longest work from one frame's edge to the next, seconds of one core; models of a whole video are
made within one step."""


class StoppedError(Exception):
    """The server wants the job to end at this frame; it will be continued or forgotten."""


class Control:
    """The running job's link to the server.

    Args:
        send: Sends a message.
        job: Its id.
    """

    def __init__(self, send: Callable[[Message], None], job: str) -> None:
        self._send, self.job = send, job
        self._stop, self._free = threading.Event(), threading.Event()
        self._free.set()
        self._told = 0.0
        self.steps = 0
        """How often the job was at the edge of a frame; it hangs if this stays the same."""

    def stop(self) -> None:
        """Ask the job to end at the next frame."""
        self._stop.set()
        self._free.set()

    def hold(self, is_held: bool) -> None:
        """Let the job wait at the next frame, or go on."""
        if is_held:
            self._free.clear()
        else:
            self._free.set()

    def check(self) -> None:
        """Wait while a mark is answered.

        Raises:
            StoppedError: If the job is to end.
        """
        self.steps += 1
        allow_cpu(CPU_SECONDS)
        self._free.wait(HOLD_SECONDS)
        self._free.set()
        if self._stop.is_set():
            raise StoppedError

    def say(self, event: str, **content: object) -> None:
        """Tell the server something about the job."""
        self._send({"event": event, "job": self.job, **content})

    def progress(self, done: int, total: int) -> None:
        """Tell how far the job is, a few times a second at most, and at the end."""
        now = time.monotonic()
        if done == total or now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self.say("progress", done=done, total=total)
