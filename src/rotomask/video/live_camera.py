"""A camera: frames as they come, each once."""

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rotomask.errors import OptionError, VideoError
from rotomask.video.video import Video, VideoFrame

CAMERA_FPS = Fraction(30)
"""Frames per second of a camera that does not say."""


class Camera(Video):
    """The live frames of a camera, for `rotomask.track`.

    It has no length, cannot be rewound and is not for jobs that write a folder: record it first.

    Args:
        capture: An open capture of OpenCV.
        number: Which camera, from 0.

    Raises:
        VideoError: If it gives no frame.
    """

    is_seekable = False

    def __init__(self, capture: cv2.VideoCapture, number: int = 0) -> None:
        self._capture = capture
        self.path, self.name = Path(f"camera-{number}"), f"camera {number}"
        first = self._next()
        if first is None:
            raise VideoError(f"camera {number} gives no frames; close other programs that use it")
        self._waiting: cv2.typing.MatLike | None = first
        self.size = (first.shape[0], first.shape[1])
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = Fraction(fps).limit_denominator(1001) if 0 < fps < 1000 else CAMERA_FPS
        self._count = 0
        self._began = time.monotonic()

    @classmethod
    def open(cls, number: int) -> "Camera":
        """The camera with a number, 0 for the first.

        Raises:
            VideoError: If there is none.
        """
        device = Path(f"/dev/video{number}")
        missing = number < 0 or (sys.platform == "linux" and not device.exists())
        capture = None if missing else cv2.VideoCapture(number)
        if capture is None or not capture.isOpened():
            raise VideoError(f"there is no camera {number}; connect one, or give a video file")
        return cls(capture, number)

    @property
    def frame_count(self) -> int:
        """A camera has none.

        Raises:
            OptionError: Always.
        """
        raise OptionError(
            f"{self.name} has no end; use rotomask.track, or record it and give the file"
        )

    def frame_name(self, index: int) -> str:
        """The index in five digits."""
        return f"{index:05d}"

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """The frames from now on, numbered from the first that was read.

        Raises:
            OptionError: If earlier frames are asked for, or reverse order.
        """
        if reverse or start < self._count:
            raise OptionError(f"{self.name} is live: earlier frames cannot be read again")
        while stop is None or self._count < stop:
            image = self._next() if self._waiting is None else self._waiting
            self._waiting = None
            if image is None:  # unplugged
                return
            index, self._count = self._count, self._count + 1
            if index >= start:
                yield VideoFrame(
                    index=index,
                    name=self.frame_name(index),
                    image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False),
                    alpha=None,
                    time_s=time.monotonic() - self._began,
                )

    def close(self) -> None:
        """Give the camera back to other programs."""
        self._capture.release()

    def _next(self) -> cv2.typing.MatLike | None:
        ok, image = self._capture.read()
        return image if ok else None

    def _summary(self) -> str:
        height, width = self.size
        return f"{self.name}: live, {width}x{height}"

    def _repr_html_(self) -> str:
        """The description alone: a live frame cannot be read twice."""
        return f"<code>{self._summary()}</code>"
