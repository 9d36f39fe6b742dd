"""The sound of one file beside the pictures of another."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from rotomask.video.decoder import open_container

COPIED = frozenset(["aac", "mp3", "opus"])
"""Codecs that MP4 holds and browsers play; any other is encoded again, as AAC."""


class SoundTrack:
    """Gives packets of a file's sound in step with the pictures, without decoding where possible.

    Times count from the first picture of the source. The sound is cut at packets, so it may begin
    and end some hundredths of a second outside the pictures; players start the two together.
    """

    def __init__(self, source: Path, output: OutputContainer) -> None:
        """Add the source's first audio stream to the output.

        Raises:
            VideoError: If the source cannot be opened.
        """
        self._source = open_container(source)
        self._input = self._source.streams.audio[0]
        self._copied = self._input.codec_context.codec.canonical_name in COPIED
        self._output: AudioStream
        if self._copied:
            self._output = output.add_stream_from_template(self._input)
        else:
            self._output = output.add_stream("aac", rate=self._input.codec_context.sample_rate)
            self._output.codec_context.layout = self._input.codec_context.layout
        self._zero_s = 0.0
        self._pending: Iterator[tuple[float, list[av.Packet]]] | None = None  # type: ignore[type-arg]
        self._held: tuple[float, list[av.Packet]] | None = None  # type: ignore[type-arg]

    def start(self, time_s: float, origin_s: float) -> None:
        """Begin with the sound at `time_s`, where the source's first picture is at `origin_s`."""
        self._zero_s = time_s + origin_s
        if self._zero_s > 2:  # seeking is not exact: begin a little early, then drop
            self._source.seek(int((self._zero_s - 1) * av.time_base))
        self._pending = self._packets()

    def until(self, time_s: float) -> Iterator[av.Packet]:  # type: ignore[type-arg]
        """Packets, not given yet, of the sound that begins before `time_s` from the start."""
        while self._pending is not None:
            if self._held is None:
                self._held = next(self._pending, None)
                if self._held is None:
                    self._pending = None
                    return
            begin_s, packets = self._held
            if begin_s >= time_s:
                return
            self._held = None
            yield from packets

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def flush(self) -> list[av.Packet]:  # type: ignore[type-arg]
        """What an encoder still holds, after the last `until`."""
        return [] if self._copied else list(self._output.encode(None))

    def _packets(self) -> Iterator[tuple[float, list[av.Packet]]]:  # type: ignore[type-arg]
        """Begin (s from the start) and packets of the sound; damaged sound ends it."""
        try:
            yield from self._copy() if self._copied else self._encode()
        except av.FFmpegError:
            return

    def _copy(self) -> Iterator[tuple[float, list[av.Packet]]]:  # type: ignore[type-arg]
        base = self._input.time_base or 1
        shift = round(self._zero_s / base)
        for packet in self._source.demux(self._input):
            if packet.size == 0 or packet.pts is None or packet.dts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            begin, end = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
            if end < 0:  # one that ends at 0 primes the decoder
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
            begin_s = float(decoded.pts * decoded.time_base) - self._zero_s
            if begin_s + decoded.samples / decoded.sample_rate <= 0:
                continue
            if written == 0:
                written = round(begin_s * rate)
            packets = []
            decoded.pts = None
            for frame in resampler.resample(decoded):
                frame.pts, frame.time_base = written, Fraction(1, rate)
                written += frame.samples
                packets += self._output.encode(frame)
            yield begin_s, packets
