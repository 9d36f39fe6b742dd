"""The worker process: one long job at a time, which tells the server of every result."""

import importlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rotomask.app.processes.bounds import end_with_server, limit_resources, return_memory
from rotomask.app.processes.channel import Channel, Message
from rotomask.app.processes.control import Control, StoppedError
from rotomask.app.processes.importing import RefusedVideoError, import_video
from rotomask.errors import InputError, OutputError, RotomaskError, TruncatedVideoError
from rotomask.files import exclusive_lock
from rotomask.memory import is_out_of_memory
from rotomask.video import Video, open_video

if TYPE_CHECKING:
    from rotomask.segmenters.base import Segmenter

BEAT_SECONDS = 1.0
PRESETS = {"fast": "fast", "normal": "good", "best": "best"}
"""The preset of `rotomask.jobs.quality` that each quality stands for."""

logger = logging.getLogger(__name__)


class Worker:
    """What the process keeps warm, and the job that it does.

    Args:
        model: Name of the segmenter in the catalogue.
        send: Sends a message to the server.
    """

    def __init__(self, model: str, send: Callable[[Message], None]) -> None:
        self._model, self._send = model, send
        self._segmenters: dict[str, Segmenter] = {}
        self.control: Control | None = None
        self.stopped: set[str] = set()
        """Jobs that are to end before they begin."""

    def run(self, message: Message) -> None:
        """Do a job and tell how it ended."""
        control = Control(self._send, message["job"])
        self.control = control
        # It was stopped while it still waited behind another one.
        if control.job in self.stopped:
            control.stop()
        self.stopped.clear()
        try:
            control.check()
            getattr(self, f"_{message['kind']}")(message, control)
        except StoppedError:
            control.say("stopped")
        except Exception as error:
            self._failed(error, message, control)
        else:
            control.say("done")
        finally:
            self.control = None

    def _failed(self, error: Exception, message: Message, control: Control) -> None:
        """Tell why a job failed."""
        if is_out_of_memory(error):
            control.say(
                "failed",
                code="memory",
                message="The video needs more memory than the worker may use.",
                advice="Use a smaller video, or start rotomask app with a higher --max-memory.",
            )
        elif isinstance(error, RotomaskError):
            control.say("failed", **explained(error))
        else:
            logger.error("job %s", message["job"], exc_info=error)
            control.say(
                "failed",
                code="bug",
                message=f"An error in rotomask: {type(error).__name__}.",
                advice="The terminal says more. Queue the job again, or report it.",
            )

    def _import(self, message: Message, control: Control) -> None:
        import_video(message["params"], Path(message["folder"]), control)

    def _cut(self, message: Message, control: Control) -> None:
        from rotomask.app.processes.cutting import Cut  # it loads torch: 2 s

        quality = message["params"].get("quality") or "normal"
        identity = {"video": message["digest"], "model": self._model, "quality": quality}
        cut = Cut(
            plan=message["plan"],
            video=_open(message),
            count=message["count"],
            folder=Path(message["folder"]),
            segmenter=lambda: self._segmenter(quality),
            identity=identity,
            control=control,
        )
        cut.run()

    def _propose(self, message: Message, control: Control) -> None:
        _rendering().run_propose(message, control)

    def _export(self, message: Message, control: Control) -> None:
        _rendering().run_export(message, control)

    def _effect(self, message: Message, control: Control) -> None:
        _rendering().run_effect(message, control)

    def _stabilise(self, message: Message, control: Control) -> None:
        _rendering().run_stabilise(message, control)

    def _segmenter(self, quality: str) -> "Segmenter":
        from rotomask.jobs.loading import load_model

        if quality not in self._segmenters:
            model = load_model(self._model, quality=PRESETS[quality])
            # One at a time: two would not always fit into the memory.
            self._segmenters = {quality: model}
        return self._segmenters[quality]


def _rendering() -> ModuleType:
    """The jobs that make files; loading them takes 2 s, for which no import should wait."""
    return importlib.import_module("rotomask.app.processes.rendering")


def _open(message: Mapping[str, Any]) -> Video:
    return open_video(Path(message["folder"]) / "media")


def explained(error: RotomaskError) -> dict[str, str]:
    """An error for the page: a code, what is wrong, what to do; no path of the server in it."""
    if isinstance(error, RefusedVideoError):
        return {"code": "refused", "message": str(error), "advice": error.advice}
    if isinstance(error, OutputError):
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == 28:
            message, advice = "The disk is full.", "Free some space and queue the job again."
        else:
            message, advice = "A result could not be written.", "The terminal says more."
        return {"code": "output", "message": message, "advice": advice}
    if isinstance(error, TruncatedVideoError):
        message = f"The video is damaged after {error.frames_read} frames."
        return {"code": "truncated", "message": message, "advice": "Open another copy of it."}
    if isinstance(error, InputError):
        return {
            "code": "not-a-video" if "media" in str(error) else "not-possible",
            "message": "This is not a video that can be read."
            if "media" in str(error)
            else str(error),
            "advice": "Choose a video such as .mp4, .mov, .mkv or .webm. Playlists and other files "
            "that name a video are not read."
            if "media" in str(error)
            else "",
        }
    return {"code": "failed", "message": str(error), "advice": ""}


def main(arguments: list[str]) -> None:
    """Do jobs until the server ends.

    Args:
        arguments: The model's name, the limit of memory in bytes, the data folder.
    """
    channel = Channel()
    limit_resources(int(arguments[1]))
    worker = Worker(arguments[0], channel.send)
    jobs: queue.Queue[Message] = queue.Queue()

    def on_message(message: Message) -> None:
        control = worker.control
        if message["do"] == "run":
            jobs.put(message)
        elif message["do"] == "stop":
            worker.stopped.add(message["job"])
            if control is not None and message["job"] == control.job:
                control.stop()
        elif message["do"] == "hold" and control is not None:
            control.hold(message["is_held"])

    can_stop = end_with_server()
    channel.read_in_thread(on_message)
    # Made if it is missing; the lock itself is on the open file.
    with (Path(arguments[2]) / "worker.lock").open("ab"):
        pass
    while True:  # a worker of a server that was killed may still be ending
        with exclusive_lock(Path(arguments[2]) / "worker.lock") as is_ours:
            if not is_ours:
                time.sleep(0.1)
                continue
            _beat(channel, worker)
            channel.send({"event": "ready", "can_stop": can_stop})
            while True:
                worker.run(jobs.get())
                # Between jobs: what the last one freed goes back to the system, for the marker.
                return_memory()
                if jobs.empty():
                    _rendering()  # ready for the next job


def _beat(channel: Channel, worker: Worker) -> None:
    """Tell the server once a second that the process lives, and how many frames it has passed."""

    def beat() -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            control = worker.control
            steps = -1 if control is None else control.steps
            channel.send({"event": "beat", "steps": steps})

    threading.Thread(target=beat, name="beat", daemon=True).start()
