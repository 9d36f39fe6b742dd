"""The marker process: answers marks, full-size frames and previews, one request at a time."""

import base64
import io
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotomask.app.processes.bounds import allow_cpu, limit_resources
from rotomask.app.processes.channel import Channel, Message
from rotomask.app.processes.marking import GRABCUT, NETWORK, FrameMarking
from rotomask.app.processes.mask_store import MaskStore, with_locked
from rotomask.arrays import Frame
from rotomask.catalog import load_marker
from rotomask.errors import InputError, RotomaskError
from rotomask.prompts import Marker
from rotomask.video import Video, open_video

OPEN_VIDEOS, OPEN_FRAMES, OPEN_MARKERS = 3, 12, 4
"""What stays in memory: videos, decoded frames, frames that a network has encoded."""
JPEG_QUALITY = 92
CPU_SECONDS = 300.0
"""Longest work on one request, seconds of one core."""

logger = logging.getLogger(__name__)


class MarkerProcess:
    """What the process keeps warm: networks, open videos, decoded frames.

    Args:
        marker: Name of the marker in the catalogue.
    """

    def __init__(self, marker: str) -> None:
        self._name = marker
        self._videos: OrderedDict[Path, Video] = OrderedDict()
        self._frames: OrderedDict[tuple[Path, int], Frame] = OrderedDict()
        self._markers: dict[str, Marker] = {}
        self._opened: OrderedDict[tuple[str, Path, int], Marker] = OrderedDict()

    def answer(self, message: Message) -> Message:
        """The answer to a request; errors of users are answers too."""
        handle = getattr(self, f"do_{message['do']}")
        try:
            reply: Message = handle(message)
            return reply
        except InputError as error:
            return {"error": str(error), "code": "not-possible"}
        except RotomaskError as error:
            return {"error": str(error), "code": "failed"}

    def do_warm(self, message: Message) -> Message:
        """Load the network."""
        self._load(NETWORK)
        return {}

    def do_open(self, message: Message) -> Message:
        """Get ready for marks on a frame."""
        self._ready(NETWORK, Path(message["media"]), message["frame"])
        return {}

    def do_mark(self, message: Message) -> Message:
        """The mask that a list of marks makes, stored; see `FrameMarking`."""
        began = time.perf_counter()
        media, index = Path(message["media"]), int(message["frame"])
        store = MaskStore(Path(message["masks"]))
        frame = self._frame(media, index)
        marking = FrameMarking(frame, lambda kind: self._ready(kind, media, index), store.read)
        base = None if message["base"] is None else store.read(message["base"])
        marks = [(int(label), mark) for label, mark in message["marks"]]
        # All marks from the base on: the mask is a function of the list, whatever was there before.
        labels = marking.labels(base, marks)
        if message["locked"] and message["before"] is not None:
            labels = with_locked(labels, store.read(message["before"]), message["locked"])
        digest, ids = store.write(labels)
        # The reference is of the marked objects alone: those that were cut must not annotate
        # themselves.
        only = np.where(np.isin(labels, message["covers"]), labels, 0)
        reference, _ = (digest, ids) if np.array_equal(only, labels) else store.write(only)
        seconds = time.perf_counter() - began
        return {
            "digest": digest,
            "labels": ids,
            "reference": reference,
            "ms": round(1000 * seconds),
        }

    def do_frame(self, message: Message) -> Message:
        """A frame as JPEG, at its own size or of a width."""
        image = Image.fromarray(self._frame(Path(message["media"]), message["frame"]))
        width = message.get("width")
        if width is not None and width < image.width:
            image = image.resize((width, max(1, round(image.height * width / image.width))))
        return {"data": encoded(image, "JPEG", quality=JPEG_QUALITY)}

    def _video(self, media: Path) -> Video:
        if media not in self._videos:
            self._videos[media] = open_video(media)
            while len(self._videos) > OPEN_VIDEOS:
                self._videos.popitem(last=False)
        self._videos.move_to_end(media)
        return self._videos[media]

    def _frame(self, media: Path, index: int) -> Frame:
        """A frame, H×W×3; the last ones stay in memory."""
        key = (media, index)
        if key not in self._frames:
            self._frames[key] = self._video(media).frame(index).image
            while len(self._frames) > OPEN_FRAMES:
                self._frames.popitem(last=False)
        self._frames.move_to_end(key)
        return self._frames[key]

    def _load(self, kind: str) -> Marker:
        if kind not in self._markers:
            self._markers[kind] = load_marker(GRABCUT if kind == GRABCUT else self._name)
        return self._markers[kind]

    def _ready(self, kind: str, media: Path, index: int) -> Marker:
        """A marker that has the frame open."""
        key = (kind, media, index)
        if key not in self._opened:
            # A twin shares the network; a frame that is opened again later finds its features as
            # they were.
            marker = self._load(kind).twin()
            marker.open(self._frame(media, index))
            self._opened[key] = marker
            while len(self._opened) > OPEN_MARKERS:
                self._opened.popitem(last=False)
        self._opened.move_to_end(key)
        return self._opened[key]


def encoded(image: Image.Image, kind: str, **options: Any) -> str:
    """A picture in a file format, in base64."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def main(arguments: list[str]) -> None:
    """Answer requests until the server ends.

    Args:
        arguments: The marker's name, and the limit of memory in bytes.
    """
    channel = Channel()
    limit_resources(int(arguments[1]))
    process = MarkerProcess(arguments[0])
    channel.send({"event": "ready"})
    for message in channel.messages():
        # For each request: one that never ends is ended by the system, and the server starts a new
        # process.
        allow_cpu(CPU_SECONDS)
        channel.send({**_answer(process, message), "number": message["number"]})


def _answer(process: MarkerProcess, message: Mapping[str, Any]) -> Message:
    try:
        return process.answer(dict(message))
    except Exception:  # anything else is a fault of ours; the process goes on
        logger.exception("request %r", message.get("do"))
        return {"error": "The marker could not do this; it is an error in rotomask.", "code": "bug"}
