"""Writing of video files, with the sound of another video."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from rotomask.errors import OutputError, ShapeError
from rotomask.files import Commit, output_errors, replace_file, temporary_name
from rotomask.memory import LARGE_FRAME_PIXELS
from rotomask.threads import current_threads
from rotomask.video.encodings import Encoding
from rotomask.video.palette import Palette
from rotomask.video.separate_alpha import SeparateAlpha, stream_without_encoder
from rotomask.video.sound import SoundTrack
from rotomask.video.video import Video

_BT709 = 1
"""FFmpeg's code for BT.709 as matrix, primaries and transfer."""

_MIN_TICKS_PER_S = 10_000
"""Least ticks per second of the time base, which store variable frame times to 0.1 ms."""


class VideoWriter:
    """Writer of a video file, which appears under its name only when it is complete.

    As a context manager it completes the file at the end of the block, or removes it on an error.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        fps: Fraction | float,
        encoding: Encoding,
        *,
        sound_from: Video | None = None,
        pixel_aspect: Fraction = Fraction(1),
        commit: Commit = replace_file,
    ) -> None:
        """Create a temporary file beside the output.

        Args:
            path: The file to write; its folder is created if needed.
            size: (height, width) of the frames. If the encoding needs even sizes, the last row or
                column of an odd one is repeated.
            fps: Frames per second, for frames without a time and for the file's header.
            encoding: `h264()`, `VP9_ALPHA`, `PRORES_4444` or another.
            sound_from: Video whose sound is added, cut to the times of the frames. It is copied if
                the container and browsers support its codec, else encoded as AAC or Opus.
            pixel_aspect: Displayed width of a pixel over its height.
            commit: Gives the complete file its name.

        Raises:
            OutputError: If the file cannot be written.
        """
        self._commit = commit
        self.path, self._temporary = Path(path), temporary_name(Path(path))
        self._size, self._encoding = size, encoding
        # 30000/1001 and its like stay exact; a float such as 29.97 becomes a short fraction.
        self._fps = Fraction(fps).limit_denominator(1001)
        # Times of frames count from the first one written, also where a cut begins in mid-video.
        self._count, self._last_pts, self._start_s = 0, -1, 0.0
        self._closed = False
        self._sound: SoundTrack | None = None
        self._apart: SeparateAlpha | None = None
        self._palette = Palette() if encoding.palette else None
        self._origin_s = sound_from.origin_s if sound_from else 0.0
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(
                str(self._temporary),
                "w",
                format=encoding.container,
                container_options=dict(encoding.container_options),
            )
        try:
            with self._errors():
                self._stream = self._add_stream(pixel_aspect)
                if sound_from is not None and sound_from.has_sound:
                    self._sound = SoundTrack(sound_from.path, self._container)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write(self, image: npt.NDArray[np.uint8], time_s: float | None = None) -> None:
        """Add a frame.

        Args:
            image: H×W×3 uint8 RGB, or H×W×4 with straight alpha if the encoding has alpha.
            time_s: Its presentation time in the source, seconds; the file starts at the first
                frame's time. By default one frame follows the other at fps.

        Raises:
            ShapeError: If the image has another shape.
            OutputError: If the disk is full; the file is removed.
        """
        channels = 4 if self._encoding.alpha else 3
        if image.shape != (*self._size, channels) or image.dtype != np.uint8:
            raise ShapeError(
                f"{self.path.name} takes uint8 images of shape {(*self._size, channels)}, got "
                f"{image.shape} {image.dtype}"
            )
        if time_s is None:
            time_s = self._start_s + float(self._count / self._fps)
        if self._count == 0:
            self._start_s = time_s
            if self._sound:
                self._sound.start(time_s, self._origin_s)
        try:
            with self._errors():
                self._encode(image, time_s - self._start_s)
        except BaseException:
            self.discard()
            raise
        self._count += 1

    def close(self) -> None:
        """Complete the file; does nothing if it was closed or discarded before.

        Raises:
            OutputError: If no frame was written, or the disk is full; the file is removed.
        """
        if self._closed:
            return
        try:
            if self._count == 0:
                raise OutputError(f"cannot write {self.path}: no frame was given")
            with self._errors():
                if self._apart is not None:
                    self._mux_apart(self._apart)
                else:
                    # Without a frame the encoder gives what it still holds.
                    self._mux(self._stream.encode(None))
                if self._sound:
                    end_s = (self._last_pts + self._ticks) * self._time_base
                    self._container.mux([*self._sound.until(float(end_s)), *self._sound.flush()])
                self._container.close()
                # Only now: a file under its final name is complete.
                self._commit(self._temporary, self.path)
        except BaseException:
            self.discard()
            raise
        self._closed = True
        if self._sound:
            self._sound.close()

    def discard(self) -> None:
        """Remove the temporary file; does nothing if the file is complete."""
        if self._closed:
            return
        self._closed = True
        if self._sound:
            self._sound.close()
        if self._apart is not None:
            self._apart.close()
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _add_stream(self, pixel_aspect: Fraction) -> VideoStream:
        encoding = self._encoding
        height, width = self._size
        is_large = height * width > LARGE_FRAME_PIXELS
        options = {**encoding.options, **(encoding.large_options if is_large else {})}
        # At n/d fps a frame lasts d/n s, which is exactly d k ticks of 1/(n k) s. k is the smallest
        # that gives enough ticks per second; -(-a // b) rounds up.
        k = -(-_MIN_TICKS_PER_S // self._fps.numerator)
        self._ticks = self._fps.denominator * k
        self._time_base = Fraction(1, self._fps.numerator * k)

        def set_up(context: VideoCodecContext) -> None:
            context.height = height + height % 2 if encoding.even else height
            context.width = width + width % 2 if encoding.even else width
            # Every thread of x264 holds frames, and the networks need the other cores.
            context.thread_count = min(2 if is_large else 4, max(1, current_threads() // 2))
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = ColorRange.MPEG
            context.gop_size = max(1, round(2 * self._fps))  # a browser seeks to within two seconds
            if pixel_aspect != 1:
                context.sample_aspect_ratio = pixel_aspect
            context.time_base = self._time_base

        def set_up_opaque(context: VideoCodecContext) -> None:
            set_up(context)
            context.pix_fmt, context.framerate = "yuv420p", self._fps
            context.options = options

        stream: VideoStream
        if encoding.large_alpha_apart and is_large:
            stream = stream_without_encoder(self._container, encoding.codec)
            set_up_opaque(stream.codec_context)
            self._apart = SeparateAlpha(encoding.codec, set_up_opaque, self._temporary.parent)
        else:
            stream = self._container.add_stream(  # type: ignore[assignment]
                encoding.codec, rate=self._fps, options=options
            )
            stream.pix_fmt = encoding.pixel_format
            set_up(stream.codec_context)
        if encoding.alpha and encoding.container == "webm":
            stream.metadata["alpha_mode"] = "1"  # players ignore the alpha without it
        return stream

    def _encode(self, image: npt.NDArray[np.uint8], time_s: float) -> None:
        pad_y = self._stream.height - image.shape[0]
        pad_x = self._stream.width - image.shape[1]
        if pad_y or pad_x:
            image = np.pad(image, ((0, pad_y), (0, pad_x), (0, 0)), mode="edge")
        image, layout = np.ascontiguousarray(image), "rgba" if self._encoding.alpha else "rgb24"
        if self._palette is not None:
            frame = self._palette.apply(av.VideoFrame.from_ndarray(image, layout))
        else:  # the frame shares the array, which saves 33 MB of one of 3840x2160
            frame = av.VideoFrame.from_numpy_buffer(image, layout).reformat(
                format=self._encoding.pixel_format,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
        # Muxers reject times that do not rise.
        frame.pts = max(round(time_s / self._time_base), self._last_pts + 1)
        frame.time_base = self._time_base
        self._last_pts = frame.pts
        if self._apart is not None:
            self._apart.add(frame)
            return
        self._mux(self._stream.encode(frame))
        if self._sound:
            self._container.mux(list(self._sound.until(time_s)))

    def _mux_apart(self, apart: SeparateAlpha) -> None:
        """Write the packets of encoders that are not the stream's, and the sound between them."""
        for packet in apart.packets():
            packet.stream = self._stream
            self._mux([packet])
            if self._sound:
                time_s = float((packet.pts or 0) * self._time_base)
                self._container.mux(list(self._sound.until(time_s)))
        apart.close()

    def _mux(self, packets: list[av.Packet]) -> None:  # type: ignore[type-arg]
        for packet in packets:
            packet.duration = self._ticks  # without one the last frame is not shown
            self._container.mux(packet)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Context that turns errors of FFmpeg and the operating system into an `OutputError`."""
        try:
            with output_errors(self.path):
                yield
        except av.FFmpegError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
