"""The child's end of the pipes: JSON lines in and out, and an end with the server's."""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]


class Channel:
    """Messages to and from the server."""

    def __init__(self) -> None:
        """Take standard output for messages; what libraries print goes to standard error."""
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message; the process ends if nobody reads."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            with self._lock:
                self._out.write(line)
                self._out.flush()
        except OSError:
            os._exit(0)

    def messages(self) -> Iterator[Message]:
        """Messages until the server closes its end."""
        for line in sys.stdin.buffer:
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def read_in_thread(self, on_message: Callable[[Message], None]) -> None:
        """Handle messages in a thread; the process ends at once when the server does."""

        def read() -> None:
            for message in self.messages():
                on_message(message)
            os._exit(0)

        threading.Thread(target=read, name="messages", daemon=True).start()
