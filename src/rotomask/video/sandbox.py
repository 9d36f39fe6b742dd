"""Decoding of an untrusted file in a process of its own, under limits.

Media decoders are large, and a file that is made for it can crash them, exhaust the memory or never
end. Here a child process opens the file and sends back plain pixels; it may take so much memory and
processor time, and write no file. If it breaks, the caller gets a `VideoError`.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from rotomask.errors import OptionError, TruncatedVideoError, VideoError
from rotomask.files import access_fault
from rotomask.video.encodings import h264
from rotomask.video.video import Video, VideoFrame, check_range
from rotomask.video.writer import VideoWriter

LENGTH_BYTES = 4
"""Bytes of the number before each message: the length of its JSON head."""
LARGEST_HEAD = 1 << 26
"""Bytes of a head; that of a folder of a million images has their names."""
LARGEST_SIDE = 16384
"""Longest side of a frame, px: a larger one is a mistake or an attack."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What decoding a file may take."""

    memory_mib: int = 4096
    """Address space of the process, MiB. Libraries take about 700; 4K video about 1000 more."""
    cpu_seconds: int = 3600
    """Processor time of one reading of the file."""
    stall_seconds: float = 60.0
    """Longest time without a frame."""

    def __post_init__(self) -> None:
        if self.memory_mib < 1 or self.cpu_seconds < 1 or not 0 < self.stall_seconds < 1e9:
            raise OptionError(f"limits must be above 0, got {self}")


class SandboxedVideo(Video):
    """A video that another process decodes; it has no sound, for that is not decoded there."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        """Look at the file in a process of its own.

        Args:
            path: A video file, an image or a folder of images.
            limits: What decoding may take.

        Raises:
            VideoError: If it cannot be opened as by `open_video`, or not within the limits.
        """
        if fault := access_fault(path):
            raise VideoError(f"{path} {fault}")
        self.path, self.limits = path, limits or Limits()
        # Each reading is a process of its own: what a file does to one is gone with it.
        with self._child({"info": True}) as messages:
            head, _ = next(messages)
        try:
            self.name = path.name if path.is_dir() else path.stem
            self.size = (int(head["height"]), int(head["width"]))
            self.fps = Fraction(*head["fps"])
            self.pixel_aspect = Fraction(*head["pixel_aspect"])
            self._names = head["names"]
            self._count = int(head["count"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise self._broken("it sent no description") from error
        if not 0 < min(self.size) <= max(self.size) <= LARGEST_SIDE:
            raise VideoError(f"{path} is {self.size[1]}x{self.size[0]}, beyond {LARGEST_SIDE} px")

    @property
    def frame_count(self) -> int:
        """See `Video.frame_count`."""
        return self._count

    def frame_name(self, index: int) -> str:
        """See `Video.frame_name`."""
        return f"{index:05d}" if self._names is None else str(self._names[index])

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """See `Video.frames`."""
        check_range(start, stop)
        height, width = self.size
        with self._child({"start": start, "stop": stop, "reverse": reverse}) as messages:
            for head, pixels in messages:
                index = int(head["index"])
                # Colours, then alpha: H·W·3 bytes and H·W.
                image = np.frombuffer(pixels, np.uint8, height * width * 3)
                alpha = None
                if head["alpha"]:
                    alpha = np.frombuffer(pixels, np.uint8, offset=height * width * 3)
                    alpha = alpha.reshape(height, width).copy()
                yield VideoFrame(
                    index=index,
                    name=self.frame_name(index),
                    image=image.reshape(height, width, 3).copy(),
                    alpha=alpha,
                    time_s=float(head["time_s"]),
                )

    @contextmanager
    def _child(self, request: dict[str, Any]) -> Iterator[Iterator[tuple[dict[str, Any], bytes]]]:
        """A process that reads the file; its messages, until it has ended."""
        task = {"path": str(self.path.absolute()), **asdict(self.limits), **request}
        # No inherited descriptors, and no variables but what Python needs to find the package.
        variables = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV", "LANG")
        child = subprocess.Popen(
            [sys.executable, "-m", "rotomask.video.sandbox_child", json.dumps(task)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in variables if name in os.environ},
        )
        assert child.stdout is not None
        try:
            yield self._messages(child.stdout)
        finally:
            child.stdout.close()
            # Killed, not asked: a decoder that hangs in a damaged file does not listen.
            child.kill()
            child.wait()

    def _messages(self, pipe: IO[bytes]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Heads and payloads, until the end.

        Raises:
            VideoError: What the child says, or that it broke, or took too much.
        """
        while True:
            length = int.from_bytes(self._read(pipe, LENGTH_BYTES), "big")
            if length > LARGEST_HEAD:
                raise self._broken("it sent no message")
            try:
                head = json.loads(self._read(pipe, length))
                kind, size = head["kind"], int(head.get("bytes", 0))
            except (ValueError, KeyError, TypeError) as error:
                raise self._broken("it sent no message") from error
            if kind == "end":
                return
            if kind == "error":
                raise VideoError(str(head["message"]))
            if kind == "limit":
                raise self._broken("there was not enough memory")
            if kind == "truncated":
                raise TruncatedVideoError(str(head["message"]), int(head["frames_read"]))
            if kind == "frame":
                channels = 4 if head.get("alpha") else 3
                # What the child says is not trusted: a wrong size would read memory that is not a
                # frame's.
                if size != channels * self.size[0] * self.size[1]:
                    raise self._broken("it sent a frame of another size")
                yield head, self._read(pipe, size)
            else:
                yield head, b""

    def _read(self, pipe: IO[bytes], size: int) -> bytes:
        """Exactly so many bytes, in time."""
        parts, left = [], size
        deadline = time.monotonic() + self.limits.stall_seconds
        descriptor = pipe.fileno()
        while left:
            if os.name == "posix":
                wait = max(0.0, deadline - time.monotonic())
                # A plain read would wait for ever for a decoder that hangs.
                if not select.select([descriptor], [], [], wait)[0]:
                    raise self._broken(f"no frame came for {self.limits.stall_seconds:g} s")
            part = os.read(descriptor, min(left, 1 << 20))
            if not part:
                raise self._broken("its process ended")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _broken(self, how: str) -> VideoError:
        limits = self.limits
        return VideoError(
            f"{self.path} cannot be decoded within the limits of the sandbox ({how}; "
            f"{limits.memory_mib} MiB, {limits.cpu_seconds} s of processor time); raise them, or "
            "convert the file"
        )


def transcode(path: Path, out: Path, limits: Limits | None = None, *, crf: int = 12) -> int:
    """Decode an untrusted file under limits, and write it as H.264 in MP4 that may be trusted.

    Args:
        path: A video file, an image or a folder of images.
        out: The file to write; it is complete or absent.
        limits: What decoding may take.
        crf: Quality of H.264; 12 is without visible loss.

    Returns:
        Number of frames.

    Raises:
        VideoError: If it cannot be decoded within the limits; of a damaged file the frames before
            the damage are written (`TruncatedVideoError`).
        OutputError: If the file cannot be written.
    """
    video = SandboxedVideo(path, limits)
    count, damage = 0, None
    with VideoWriter(
        out, video.size, video.fps, h264(crf), pixel_aspect=video.pixel_aspect
    ) as writer:
        try:
            for frame in video.frames():
                writer.write(frame.image, frame.time_s)
                count += 1
        except TruncatedVideoError as error:
            if count == 0:
                raise
            damage = error
    if damage is not None:
        raise damage
    return count
