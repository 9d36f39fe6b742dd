"""A video file as a video: lazy reading, exact seeking, and backwards in bounded memory."""

import contextlib
import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rotomask.errors import TruncatedVideoError, VideoError
from rotomask.video.decoder import Decoder
from rotomask.video.packets import PacketIndex, index_packets
from rotomask.video.pixels import display_matrix, to_pixels
from rotomask.video.video import Video, VideoFrame, check_range

WINDOW_BYTES = 96 << 20
"""Decoded frames held at once while reading backwards."""

Indexed = tuple[int, av.VideoFrame]


class VideoFile(Video):
    """A file of any container and codec that FFmpeg reads.

    Each reader opens the file for itself, so several can be read from at once.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            VideoError: If it is missing, not a video, or has no frame that can be decoded.
        """
        self.path, self.name = path, path.stem
        with Decoder(path) as decoder:
            first = _first_frame(decoder, path)
            stream = decoder.stream
            self._matrix = display_matrix(first)
            image, _ = to_pixels(first, self._matrix)
            self._first_pts = first.pts
            self._time_base = stream.time_base or Fraction(1, 1000)
            self.origin_s = float((first.pts or 0) * self._time_base)
            self.size = (image.shape[0], image.shape[1])
            self.fps = stream.average_rate or stream.guessed_rate or Fraction(25)
            self.has_sound = bool(decoder.container.streams.audio)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            self.pixel_aspect = 1 / aspect if self._matrix[0] == 0 else aspect

    @property
    def frame_count(self) -> int:
        """See `Video.frame_count`."""
        return self._packets.count

    def frame_name(self, index: int) -> str:
        """The index in five digits."""
        return f"{index:05d}"

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """See `Video.frames`.

        Backwards, a window of frames is decoded at a time; where key frames are further apart than
        a window holds, the stretch from the key frame is decoded again for each window.
        """
        check_range(start, stop)
        end = self.frame_count if stop is None else min(stop, self.frame_count)
        indexed = self._backwards(start, end) if reverse else self._forwards(start, end)
        for index, frame in indexed:
            yield self._to_frame(index, frame)
        if self._packets.damage and (stop is None or stop > self.frame_count):
            raise self._truncated(self._packets.damage, self.frame_count)

    @functools.cached_property
    def _packets(self) -> PacketIndex:
        with Decoder(self.path) as decoder:
            packets = index_packets(decoder.container, decoder.stream)
        if packets.pts is not None and self._first_pts != packets.pts[0]:
            # The decoder gives other times than the container: count frames instead.
            none = np.empty(0, np.int64)
            packets = PacketIndex(
                count=packets.count,
                pts=None,
                keys=none,
                packets=packets.packets,
                damage=packets.damage,
            )
        return packets

    def _forwards(self, start: int, end: int) -> Iterator[Indexed]:
        """Frames start to end - 1 with their indices, decoded from the key frame before."""
        if start >= end:
            return
        reached = start
        for index, frame in self._from(start):
            if index >= end:
                return
            reached = index + 1
            yield index, frame
            if reached == end:
                return
        if self._packets.pts is not None or self._packets.damage:
            raise self._truncated("the file is damaged", reached)

    def _backwards(self, start: int, end: int) -> Iterator[Indexed]:
        if start >= end:
            return
        size = self.size[0] * self.size[1] * 3 // 2  # of a frame in 4:2:0
        window = max(16, WINDOW_BYTES // size)
        while end > start:
            begin = self._key_within(max(start, end - window), end)
            frames = list(self._forwards(begin, end))
            while frames:
                yield frames.pop()
            end = begin

    def _key_within(self, begin: int, end: int) -> int:
        """The first frame of a window that can be decoded without what lies before it."""
        packets = self._packets
        if packets.pts is None:
            return begin
        later = packets.keys[packets.keys >= packets.pts[begin]]
        if len(later) == 0 or later[0] > packets.pts[end - 1]:
            return begin
        return int(np.searchsorted(packets.pts, later[0]))

    def _from(self, start: int) -> Iterator[Indexed]:
        """Frames from start on, exactly numbered."""
        packets = self._packets
        if packets.pts is None:
            for index, frame in enumerate(self._decode(None)):
                if index >= start:
                    yield index, frame
            return
        wanted = int(packets.pts[start])
        for key in self._ways_to(wanted):
            arrived = False
            for frame in self._decode(key):
                if frame.pts is None or frame.pts < wanted:
                    continue
                if not arrived and frame.pts > wanted and key is not None:
                    break  # the seek went too far, or this key frame does not suffice
                arrived = True
                index = int(np.searchsorted(packets.pts, frame.pts))
                if index < packets.count and packets.pts[index] == frame.pts:
                    yield index, frame
            if arrived:
                return

    def _ways_to(self, wanted: int) -> Iterator[int | None]:
        """Key times to try in turn: the last before the frame, earlier ones, None (the start)."""
        keys = self._packets.keys
        last = int(np.searchsorted(keys, wanted, side="right")) - 1
        step = 0
        while last - step > 0:
            yield int(keys[last - step])
            step = 2 * step + 1
        yield None

    def _decode(self, key: int | None) -> Iterator[av.VideoFrame]:
        """Frames from a key time on, or from the beginning, as far as they can be decoded."""
        with Decoder(self.path) as decoder, contextlib.suppress(av.FFmpegError):
            if key is None:
                yield from decoder.frames(self._packets.packets)
            else:
                decoder.seek(key)
                yield from decoder.frames()

    def _to_frame(self, index: int, frame: av.VideoFrame) -> VideoFrame:
        image, alpha = to_pixels(frame, self._matrix)
        if image.shape[:2] != self.size:
            raise VideoError(
                f"frame {index} of {self.path} is {image.shape[1]}x{image.shape[0]} but the first "
                f"{self.size[1]}x{self.size[0]}; convert the video to one size first"
            )
        return VideoFrame(
            index=index,
            name=self.frame_name(index),
            image=image,
            alpha=alpha,
            time_s=self._time_s(index),
        )

    def _time_s(self, index: int) -> float:
        pts = self._packets.pts
        if pts is None:
            return float(index / self.fps)
        return float((int(pts[index]) - int(pts[0])) * self._time_base)

    def _truncated(self, why: str, frames_read: int) -> TruncatedVideoError:
        return TruncatedVideoError(f"{self.path}: {why}; {frames_read} frames read", frames_read)


def _first_frame(decoder: Decoder, path: Path) -> av.VideoFrame:
    try:
        for frame in decoder.frames():
            return frame
    except av.FFmpegError as error:
        raise VideoError(f"{path} is damaged at its beginning: {error.strerror}") from error
    raise VideoError(f"{path} has no frames")
