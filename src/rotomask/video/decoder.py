"""One open file being decoded: the packets go in, frames come out in the order they are shown."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rotomask.errors import VideoError

_NOT_VIDEO = ("tty", "bin", "xbin", "adf", "idf")
"""Demuxers that paint any text or data file as characters on a screen."""


class Decoder:
    """Decodes the main video stream of a file; a context manager that closes it.

    Example:
        with Decoder(path) as decoder:
            for frame in decoder.frames(): ...
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            VideoError: If it is missing, unreadable or has no video.
        """
        self.container = open_container(path)
        try:
            self.stream = _main_stream(self.container, path)
            self._context = _context(self.stream)
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def seek(self, pts: int) -> None:
        """Go on from the last key packet at or before this time, as well as the container knows."""
        self.container.seek(pts, stream=self.stream, backward=True, any_frame=False)
        self._context.flush_buffers()

    def frames(self, last_packet: int | None = None) -> Iterator[av.VideoFrame]:
        """Frames from here on, from the next key packet.

        Args:
            last_packet: Feed no more packets than this.

        Raises:
            av.FFmpegError: Where the file is damaged; frames that were already complete come first.
        """
        failure: av.FFmpegError | None = None
        started = False
        try:
            for number, packet in enumerate(self.container.demux(self.stream)):
                if packet.size == 0 or number == last_packet:
                    break
                started = started or packet.is_keyframe
                if started:
                    yield from self._context.decode(packet)
        except av.FFmpegError as error:
            failure = error
        with contextlib.suppress(av.FFmpegError, EOFError):
            yield from self._context.decode(None)
        if failure is not None:
            raise failure


def open_container(path: Path) -> InputContainer:
    """The file, opened for reading.

    Raises:
        VideoError: If it is missing, or nothing that FFmpeg knows.
    """
    if not path.exists():
        raise VideoError(f"{path} does not exist")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path} is not a video that can be opened: {error.strerror}") from error
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise VideoError(f"{path} is text or data, not a video")
    return container


def _main_stream(container: InputContainer, path: Path) -> VideoStream:
    """The default video stream, else the largest; a cover picture does not count."""
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        what = "only sound" if container.streams.audio else "no video"
        raise VideoError(f"{path} holds {what}; give a video file or a folder of frames")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise VideoError(f"{path} is damaged, or of a codec that this FFmpeg does not know")
    default = [s for s in known if s.disposition & av.stream.Disposition.default]
    return max(default or known, key=lambda s: s.width * s.height)


def _context(stream: VideoStream) -> VideoCodecContext:
    context = stream.codec_context
    # FFmpeg's own VP8 and VP9 decoders drop the alpha that WebM keeps beside each packet.
    with_alpha = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if with_alpha and tags.get("alpha_mode") == "1":
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            context = av.CodecContext.create(with_alpha, "r")  # type: ignore[assignment]
    context.thread_type = av.codec.context.ThreadType.AUTO
    context.thread_count = min(4, os.cpu_count() or 1)
    return context
