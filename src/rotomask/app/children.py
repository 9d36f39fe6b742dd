"""Processes of ours that do the work: JSON lines over pipes, and an end with the server's."""

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rotomask.threads import wait_passively

logger = logging.getLogger(__name__)

Message = dict[str, Any]

START_SECONDS = 300.0
"""Longest time for the start of a process: it loads libraries and competes for the cores."""

PROCESSES = "rotomask.app.processes"


class ChildEndedError(Exception):
    """The process is gone."""


class Child:
    """A process of ours, started when it is first needed.

    Args:
        module: What it runs, a module of `PROCESSES`.
        arguments: Its arguments.
        on_message: Receives what it says, in a thread; `{"event": "ended"}` when it has ended.
    """

    def __init__(
        self, module: str, arguments: list[str], on_message: Callable[[Message], None]
    ) -> None:
        self.module, self.arguments, self._on_message = module, arguments, on_message
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.heard = 0.0
        """When it last said something, on the monotonic clock."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Start the process unless it runs."""
        with self._lock:
            if self.pid is not None:
                return
            # Threads that wait must not spin: the marker and the worker share the cores. No proxy:
            # nothing here goes to the network.
            environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
            wait_passively(environment)
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROCESSES, self.module, *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal ends the server, which ends them
            )
            self.heard = time.monotonic()
            name = f"read {self.module}"
            threading.Thread(
                target=self._read, args=(self._process,), name=name, daemon=True
            ).start()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            ChildEndedError: If the process is gone.
        """
        with self._lock:
            process = self._process
            if process is None or process.stdin is None:
                raise ChildEndedError
            try:
                process.stdin.write(json.dumps(message).encode() + b"\n")
                process.stdin.flush()
            except (OSError, ValueError) as error:
                raise ChildEndedError from error

    def kill(self) -> None:
        """End the process at once."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()

    def signal(self, number: int) -> None:
        """Send the process a signal, if it runs."""
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                process.send_signal(number)

    def close(self, seconds: float = 5.0) -> None:
        """Let the process end by itself, then end it."""
        process = self._process
        if process is None:
            return
        with self._lock, contextlib.suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.heard = time.monotonic()
                try:
                    message = json.loads(line)
                except ValueError:
                    logger.warning("%s said %r", self.module, line[:200])
                    continue
                self._handle(message)
        process.wait()
        self._handle({"event": "ended", "status": process.returncode, "pid": process.pid})

    def _handle(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:
            logger.exception("a message of %s could not be handled", self.module)


class Asking:
    """A child that answers one request at a time; marks come before pictures.

    Args:
        module: What it runs.
        arguments: Its arguments.
        seconds: Longest time for an answer; then the process is ended and started again.
    """

    def __init__(self, module: str, arguments: list[str], seconds: float = 60.0) -> None:
        self._answers: queue.Queue[Message] = queue.Queue()
        self.child = Child(module, arguments, self._answers.put)
        self._seconds = seconds
        self._turn = threading.Condition()
        self._busy = False
        self._urgent = 0
        self._number = 0

    def ask(self, message: Message, *, urgent: bool = False) -> Message:
        """Send a request and wait for its answer.

        Raises:
            ChildEndedError: If the process ended or took too long.
        """
        with self._turn:
            self._urgent += urgent
            # Waiting marks go before waiting pictures, whoever came first.
            self._turn.wait_for(lambda: not self._busy and (urgent or not self._urgent))
            self._urgent -= urgent
            self._busy = True
        try:
            return self._exchange(message)
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    def _exchange(self, message: Message) -> Message:
        self._number += 1
        message = {**message, "number": self._number}
        if self.child.pid is None:
            self._start()
        try:
            self.child.send(message)
        except ChildEndedError:  # it ended while nothing was asked
            self.child.kill()
            self.child.close()
            self._start()
            self.child.send(message)
        deadline = time.monotonic() + self._seconds
        while True:
            reply = self._hear(deadline)
            if reply.get("number") == self._number:  # not one to an earlier request
                return reply

    def _start(self) -> None:
        """Start the process; on a busy machine that takes longer than any answer."""
        while not self._answers.empty():  # what an earlier process said
            self._answers.get()
        self.child.start()
        deadline = time.monotonic() + START_SECONDS
        while self._hear(deadline).get("event") != "ready":
            pass

    def _hear(self, deadline: float) -> Message:
        """The next message of the process.

        Raises:
            ChildEndedError: If it ended or says nothing until the deadline; it is ended then.
        """
        try:
            message = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self.child.kill()
            raise ChildEndedError from None
        if message.get("event") == "ended" and self.child.pid is None:
            raise ChildEndedError
        return message
