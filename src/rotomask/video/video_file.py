"""Reading of video files: lazy, with exact seeking, and backwards in bounded memory."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from rotomask.errors import TruncatedVideoError, VideoError
from rotomask.memory import check_memory
from rotomask.video.decoder import Decoder
from rotomask.video.packets import PacketIndex, index_packets
from rotomask.video.pixels import display_matrix, to_pixels
from rotomask.video.video import Video, VideoFrame, check_range

WINDOW_BYTES = 96 << 20
"""Memory for decoded frames while reading backwards, bytes."""

IndexedFrame = tuple[int, av.VideoFrame]


class VideoFile(Video):
    """A video file of any container and codec that FFmpeg reads.

    Every iterator opens the file again, so several can run at the same time.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            VideoError: If it is missing, not a video, or has no frame that can be decoded.
        """
        self.path, self.name = path, path.stem
        with _opened(path) as (decoder, first):
            # All of these are of the first decoded frame or of the header; nothing else is read
            # yet.
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
            # A quarter turn swaps width and height of the pixels, too.
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

        Backwards, frames are decoded in windows of bounded size. Where key frames are further apart
        than a window, each window is decoded from the key frame before it.
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
            # The decoder's times differ from the container's: count frames instead.
            packets = replace(packets, pts=None, keys=np.empty(0, np.int64))
        return packets

    def _forwards(self, start: int, end: int) -> Iterator[IndexedFrame]:
        """Frames start to end - 1 with their indices, decoded from the key frame before."""
        if start >= end:
            return
        position = start  # index of the next frame
        for index, frame in self._from(start):
            if index >= end:
                return
            if index > position > start:
                break  # the decoder left out a damaged frame, and what follows refers to it
            position = index + 1
            yield index, frame
            if position == end:
                return
        if self._packets.pts is not None or self._packets.damage:
            raise self._truncated("the file is damaged", position)

    def _backwards(self, start: int, end: int) -> Iterator[IndexedFrame]:
        """Frames end - 1 to start with their indices, decoded window by window."""
        if start >= end:
            return
        frame_bytes = self.size[0] * self.size[1] * 3 // 2  # 4:2:0, as most files are decoded
        window = max(16, WINDOW_BYTES // frame_bytes)
        while end > start:
            # A window that begins at a key frame is decoded without the frames before it.
            begin = self._key_within(max(start, end - window), end)
            # In the decoder's own format, half the size of RGB: a window is held whole, but
            # converted one by one.
            frames = list(self._forwards(begin, end))
            while frames:
                yield frames.pop()
            end = begin

    def _key_within(self, begin: int, end: int) -> int:
        """Index of the first key frame from `begin` to `end` - 1, else `begin`."""
        packets = self._packets
        if packets.pts is None:
            return begin
        later = packets.keys[packets.keys >= packets.pts[begin]]
        if len(later) == 0 or later[0] > packets.pts[end - 1]:
            return begin
        return int(np.searchsorted(packets.pts, later[0]))

    def _from(self, start: int) -> Iterator[IndexedFrame]:
        """Frames from start on with their exact indices."""
        packets = self._packets
        if packets.pts is None:
            for index, frame in enumerate(self._decode(None)):
                if index >= start:
                    yield index, frame
            return
        # Numbered by presentation time, not by counting: after a seek the decoder may return frames
        # from before the key frame, or skip some that refer to frames it has not seen.
        start_pts = int(packets.pts[start])
        for key in self._seek_times(start_pts):
            reached_start = False
            for frame in self._decode(key):
                # Before the frame asked for: decoded only because later ones refer to it.
                if frame.pts is None or frame.pts < start_pts:
                    continue
                if not reached_start and frame.pts > start_pts and key is not None:
                    break  # the seek went too far, or the frame refers to one before this key frame
                reached_start = True
                index = int(np.searchsorted(packets.pts, frame.pts))
                if index < packets.count and packets.pts[index] == frame.pts:
                    yield index, frame
            if reached_start:
                return

    def _seek_times(self, pts: int) -> Iterator[int | None]:
        """Key times to try in turn for the frame at `pts`; None is the beginning of the file.

        The last key frame comes first, then those 1, 3, 7, ... before it.
        """
        keys = self._packets.keys
        last = int(np.searchsorted(keys, pts, side="right")) - 1
        step = 0
        while last - step > 0:
            yield int(keys[last - step])
            # Twice as far each time: a file whose index of key frames is wrong costs a logarithm of
            # seeks.
            step = 2 * step + 1
        yield None

    def _decode(self, key: int | None) -> Iterator[av.VideoFrame]:
        """Frames from a key time on (None: from the beginning), up to the end or the damage."""
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
                f"is {self.size[1]}x{self.size[0]}; convert the video to one size"
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

    def _truncated(self, reason: str, frames_read: int) -> TruncatedVideoError:
        """The error of a video that ends early.

        Raises:
            MemoryError: If the decoder failed for lack of memory: a frame and its references are
                many times as large as its pixels.
        """
        check_memory(self.path, 48 * self.size[0] * self.size[1])
        return TruncatedVideoError(f"{self.path}: {reason}; {frames_read} frames read", frames_read)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Decoder, av.VideoFrame]]:
    """A decoder of the file, and its first frame."""
    try:
        with Decoder(path) as decoder:
            yield decoder, _first_frame(decoder, path)
    except VideoError:
        check_memory(path)
        raise


def _first_frame(decoder: Decoder, path: Path) -> av.VideoFrame:
    try:
        for frame in decoder.frames():
            return frame
    except av.FFmpegError as error:
        raise VideoError(f"{path} is damaged at its beginning: {error.strerror}") from error
    raise VideoError(f"{path} has no frames")
