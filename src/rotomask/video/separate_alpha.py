"""VP9 with alpha whose alpha is encoded after the colours, with the memory of one encoder.

libvpx takes 615 MiB for frames of 3840x2160, most of it for symbols that it may never need, and a
file with alpha is written by two of its encoders at the same time. Here the first one writes its
packets, and the alpha as it is, to a file without a name; when the frames have ended it makes room
for the second. The result is the same, to the byte.
"""

import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

_BLOCK_ADDITIONAL: Final = "matroska_block_additional"
_HEAD = struct.Struct("<qqIIB")
"""Presentation time, decoding time, bytes of the packet and of the alpha, whether a key frame."""
_ALPHA_ID = (1).to_bytes(8, "big")
"""Number that Matroska gives to the alpha of a block (BlockAddID)."""
_UNSPECIFIED = 2
"""FFmpeg's code for no colour space."""
_GREY = 128
"""Value of chroma without a colour."""


Bytes = npt.NDArray[np.uint8]
SetUp = Callable[[VideoCodecContext], None]
"""Gives an encoder that was just made its size, rate, colours and options."""


def stream_without_encoder(container: OutputContainer, codec: str) -> VideoStream:
    """A stream for packets that another encoder makes.

    PyAV opens the encoder of every stream unless it was copied from a file, so here is a tiny one.
    """
    file = BytesIO()
    with av.open(file, "w", format="webm") as tiny:
        stream = tiny.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        tiny.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), "yuv420p")))
        tiny.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        copy: VideoStream = container.add_stream_from_template(source.streams.video[0])
    return copy


class SeparateAlpha:
    """Encoder of frames with alpha: `add` them all, then take the `packets`."""

    def __init__(self, codec: str, set_up: SetUp, folder: Path) -> None:
        """Open the encoder of the colours.

        Args:
            codec: FFmpeg's name of the encoder.
            set_up: For the encoder of the colours, and then for that of the alpha.
            folder: Where there is room for the file; it vanishes with the process.

        Raises:
            OSError: If the file cannot be made.
        """
        self._codec, self._set_up = codec, set_up
        self._encoder: VideoCodecContext | None = self._open()
        self._store = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self._alphas: dict[int, bytes] = {}
        """Alpha of the frames whose packet has not come yet, by time."""

    def add(self, frame: av.VideoFrame) -> None:
        """Encode the colours of a frame in yuva420p, and store its alpha.

        Raises:
            OSError: If the disk is full.
        """
        assert self._encoder is not None
        assert frame.pts is not None
        # Alpha is mostly 0 and 255 and compresses well; the encoder may hold back dozens of frames.
        self._alphas[frame.pts] = zlib.compress(_rows(frame.planes[3]).data, 1)
        opaque = av.VideoFrame(frame.width, frame.height, "yuv420p")
        for target, source in zip(opaque.planes, frame.planes[:3], strict=True):
            _fill(target, _rows(source))
        opaque.pts, opaque.time_base = frame.pts, frame.time_base
        self._keep(self._encoder.encode(opaque))

    def packets(self) -> Iterator[av.Packet]:  # type: ignore[type-arg]
        """All packets in order, each with its alpha; `add` takes no more frames.

        Raises:
            OSError: If the disk is full.
        """
        assert self._encoder is not None
        self._keep(self._encoder.encode(None))
        self._encoder = None  # the next one gets its memory
        self._encoder = self._open()
        self._encoder.colorspace = _UNSPECIFIED  # alpha has no colours
        self._store.seek(0)
        waiting: list[av.Packet] = []  # type: ignore[type-arg]
        # Packets come in the order in which the colours were coded; the alpha is coded in the same
        # order, so the two stay in step.
        for packet, alpha in self._stored():
            waiting.append(packet)
            for coded in self._encoder.encode(self._grey(alpha, packet)):
                yield _with_alpha(waiting.pop(0), coded)
        for coded in self._encoder.encode(None):
            yield _with_alpha(waiting.pop(0), coded)
        self._encoder = None

    def close(self) -> None:
        """Give back memory and disk."""
        self._encoder = None
        self._store.close()

    def _open(self) -> VideoCodecContext:
        encoder: VideoCodecContext = av.CodecContext.create(self._codec, "w")  # type: ignore[assignment]
        self._set_up(encoder)
        return encoder

    def _keep(self, packets: list[av.Packet]) -> None:  # type: ignore[type-arg]
        for packet in packets:
            pts = packet.pts or 0
            alpha, content = self._alphas.pop(pts), bytes(packet)
            times = pts, pts if packet.dts is None else packet.dts
            sizes = len(content), len(alpha)
            self._store.write(_HEAD.pack(*times, *sizes, packet.is_keyframe) + content + alpha)

    def _stored(self) -> Iterator[tuple[av.Packet, bytes]]:  # type: ignore[type-arg]
        while head := self._store.read(_HEAD.size):
            pts, dts, size, alpha_size, is_key = _HEAD.unpack(head)
            packet = av.Packet(self._store.read(size))
            assert self._encoder is not None
            packet.pts, packet.dts, packet.time_base = pts, dts, self._encoder.time_base
            packet.is_keyframe = bool(is_key)
            yield packet, zlib.decompress(self._store.read(alpha_size))

    def _grey(self, alpha: bytes, packet: av.Packet) -> av.VideoFrame:  # type: ignore[type-arg]
        """The alpha of a packet's frame as a picture without colours."""
        assert self._encoder is not None
        frame = av.VideoFrame(self._encoder.width, self._encoder.height, "yuv420p")
        rows = np.frombuffer(alpha, np.uint8).reshape(frame.height, frame.width)
        _fill(frame.planes[0], rows)
        for plane in frame.planes[1:]:
            np.frombuffer(memoryview(plane), np.uint8)[:] = _GREY
        frame.pts, frame.time_base = packet.pts, packet.time_base
        return frame


def _rows(plane: Any) -> Bytes:
    """Bytes of a plane, H×W; its lines may be longer than the picture."""
    lines = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size]
    return np.ascontiguousarray(lines.reshape(plane.height, -1)[:, : plane.width])


def _fill(plane: Any, rows: Bytes) -> None:
    """Give a plane its bytes H×W."""
    lines = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size]
    lines.reshape(plane.height, -1)[:, : plane.width] = rows


def _with_alpha(packet: av.Packet, coded: av.Packet) -> av.Packet:  # type: ignore[type-arg]
    """A packet of the colours with that of the alpha beside it."""
    content = _ALPHA_ID + bytes(coded)
    beside = PacketSideData(packet_sidedata_type_from_literal(_BLOCK_ADDITIONAL), len(content))  # type: ignore[call-arg]
    # Matroska's BlockAdditional: the number of the addition, then the coded alpha.
    beside.update(content)
    packet.set_sidedata(beside, move=True)
    return packet
