"""Copying of a video's sound into another file."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from rotomask.errors import OutputError
from rotomask.files import Commit, complete_or_absent, replace_file
from rotomask.memory import is_short
from rotomask.video.decoder import open_container
from rotomask.video.video import Video

COPIED_CODECS = frozenset(["aac", "mp3", "opus"])
"""Codecs that MP4 allows and browsers play; others are encoded as AAC."""

WEBM_CODECS = frozenset(["opus", "vorbis"])
"""Codecs that WebM allows; others are encoded as Opus."""


class SoundTrack:
    """The packets of a file's sound in step with written frames, copied where possible.

    Times count from the first frame that is written. The sound is cut at packet boundaries, so it
    may begin and end some hundredths of a second outside the frames; players start both together.
    """

    def __init__(self, source: Path, output: OutputContainer) -> None:
        """Add the source's first audio stream to the output.

        Args:
            source: A file with an audio stream.
            output: The container to add it to, before its first packet is written.

        Raises:
            VideoError: If the source cannot be opened.
        """
        self._source = open_container(source)
        self._input = self._source.streams.audio[0]
        is_webm = output.format.name == "webm"
        copied = WEBM_CODECS if is_webm else COPIED_CODECS
        self._copied = self._input.codec_context.codec.canonical_name in copied
        self._output: AudioStream
        if self._copied:
            # Copied without loss; only the times of its packets change.
            self._output = output.add_stream_from_template(self._input)
        else:
            # Opus knows a few rates only; 48 kHz is the one that it works at.
            rate = 48000 if is_webm else self._input.codec_context.sample_rate
            self._output = output.add_stream("libopus" if is_webm else "aac", rate=rate)
            self._output.codec_context.layout = self._input.codec_context.layout
        self._start_s = 0.0
        """Time of the first frame on the clock of the source file."""
        self._remaining: Iterator[tuple[float, list[av.Packet]]] | None = None  # type: ignore[type-arg]
        self._next: tuple[float, list[av.Packet]] | None = None  # type: ignore[type-arg]

    def start(self, time_s: float, origin_s: float) -> None:
        """Start the sound at a time of the source.

        Args:
            time_s: Time of the first frame that is written, from the source's first frame.
            origin_s: Time of the source's first frame on the clock of its file.
        """
        self._start_s = time_s + origin_s
        if self._start_s > 2:  # seeking is inexact: begin a second early, then drop packets
            self._source.seek(int((self._start_s - 1) * av.time_base))
        self._remaining = self._packets()

    def until(self, time_s: float) -> Iterator[av.Packet]:  # type: ignore[type-arg]
        """The next packets whose sound begins before a time, seconds from the start."""
        while self._remaining is not None:
            if self._next is None:
                self._next = next(self._remaining, None)
                if self._next is None:
                    self._remaining = None
                    return
            # One packet ahead: whether it is due is known when it is read.
            begin_s, packets = self._next
            if begin_s >= time_s:
                return
            self._next = None
            yield from packets

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def flush(self) -> list[av.Packet]:  # type: ignore[type-arg]
        """The last packets of the encoder; call it after the last `until`."""
        return [] if self._copied else list(self._output.encode(None))

    def _packets(self) -> Iterator[tuple[float, list[av.Packet]]]:  # type: ignore[type-arg]
        """Begin (seconds from the start) and packets of the sound, up to the end or any damage."""
        try:
            yield from self._copy() if self._copied else self._encode()
        except av.FFmpegError:
            if is_short():
                raise MemoryError("not enough memory for the sound") from None
            return

    def _copy(self) -> Iterator[tuple[float, list[av.Packet]]]:  # type: ignore[type-arg]
        base = self._input.time_base or 1
        shift = round(self._start_s / base)
        for packet in self._source.demux(self._input):
            if packet.size == 0 or packet.pts is None or packet.dts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            begin, end = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
            if end < 0:  # not <=: the packet that ends at 0 primes the decoder of the next one
                continue
            packet.stream = self._output
            yield float(begin), [packet]

    def _encode(self) -> Iterator[tuple[float, list[av.Packet]]]:  # type: ignore[type-arg]
        rate = self._output.codec_context.sample_rate
        resampler = av.AudioResampler("fltp", self._output.codec_context.layout, rate)
        written = 0
        for decoded in self._source.decode(self._input):
            if decoded.pts is None or decoded.time_base is None:
                continue
            begin_s = float(decoded.pts * decoded.time_base) - self._start_s
            if begin_s + decoded.samples / decoded.sample_rate <= 0:
                continue
            # The first samples may begin before the first frame: players cut them off there.
            if written == 0:
                written = round(begin_s * rate)
            packets = []
            # Times are counted in samples written, not copied: rounded times would leave gaps and
            # overlaps of a sample, which are heard as clicks.
            decoded.pts = None
            for frame in resampler.resample(decoded):
                frame.pts, frame.time_base = written, Fraction(1, rate)
                written += frame.samples
                packets += self._output.encode(frame)
            yield begin_s, packets


def write_sound(video: Video, path: Path, commit: Commit = replace_file) -> bool:
    """Write a video's sound alone as MP4, from its first frame on.

    Returns:
        Whether there is any.

    Raises:
        OutputError: If the file cannot be written.
    """
    if not video.has_sound:
        return False
    with complete_or_absent(path, commit) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4") as container:
                sound = SoundTrack(video.path, container)
                sound.start(0.0, video.origin_s)
                for packet in sound.until(math.inf):
                    container.mux(packet)
                container.mux(sound.flush())
                sound.close()
        except av.FFmpegError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return True
