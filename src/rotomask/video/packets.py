"""Index of a video's frames and their times, from its packets, without decoding."""

from array import array
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from rotomask.memory import is_short

_VP8_SHOWN = 0x10
"""The show_frame bit in a VP8 packet's first byte (RFC 6386, sec. 9.1).

A packet without it is a reference frame that is not shown."""

_GUESSED_TIMES = ("avi", "mpeg")
"""Containers that do not store the presentation time of every frame.

The times that FFmpeg fills in are wrong for B-frames (AVI) or change after a seek (MPEG-PS)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PacketIndex:
    """Number and times of a video stream's frames; 8 bytes per frame."""

    count: int
    """Number of frames that are shown."""
    pts: npt.NDArray[np.int64] | None
    """Presentation time of each frame, rising, in the stream's time base, shape (count,).

    None if the container's times are missing or unreliable (AVI, some MPEG); frames are then
    numbered by counting from the beginning."""
    keys: npt.NDArray[np.int64]
    """Presentation times of the key packets, rising; empty if `pts` is None."""
    packets: int
    """Number of complete video packets; the one after may be cut off in the middle."""
    damage: str | None
    """Description of the damage if the file ends early, else None."""


def index_packets(container: InputContainer, stream: VideoStream) -> PacketIndex:
    """The index of a stream, from all packets of a container that was just opened.

    Packets before the first key packet cannot be decoded and are not counted, nor are frames whose
    presentation time is before it, nor frames that an edit list hides.
    """
    scan, damage = _PacketScan(stream), None
    try:
        for packet in container.demux():
            # Skip the empty packet that PyAV returns at the end of each stream.
            if packet.size or packet.pts is not None or packet.dts is not None:
                scan.add(packet)
    except (av.FFmpegError, OSError) as error:
        if is_short():
            raise MemoryError("not enough memory to read the video") from error
        damage = f"the file is damaged ({error.strerror})"
    damage = damage or _shortfall(container, stream, scan)
    return scan.index(container.format.name, damage)


class _PacketScan:
    """Times and flags of a stream's packets, collected packet by packet."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        # array("q"): 8 bytes per time, where a list of ints takes 40.
        self._times, self._keys = array("q"), array("q")
        self._count = 0
        self._has_key = False
        self._all_timed = True
        self._reordered = False
        self._last_is_corrupt = False
        self.packets = 0
        """Number of video packets."""
        self.end_s = 0.0
        """End of the last packet of any stream, seconds."""

    def add(self, packet: av.Packet) -> None:  # type: ignore[type-arg]
        """Record the next packet of any stream."""
        self.end_s = max(self.end_s, _end_s(packet))
        if packet.stream_index != self._stream.index:
            return
        self.packets += 1
        self._last_is_corrupt = packet.is_corrupt
        self._has_key = self._has_key or packet.is_keyframe
        # Key packets count as places to seek to, even where they are not shown.
        if packet.is_keyframe and packet.pts is not None:
            self._keys.append(packet.pts)
        if not self._has_key or packet.is_discard or _is_hidden(self._stream, packet):
            return
        # Counted after the first key packet only: what comes before it cannot be decoded.
        self._count += 1
        if packet.pts is None:
            self._all_timed = False
        else:
            self._times.append(packet.pts)
            self._reordered = self._reordered or packet.pts != packet.dts

    def index(self, container_format: str, damage: str | None) -> PacketIndex:
        """The index of the packets added, without times if these are unreliable."""
        count, packets = self._count, self.packets
        if self._last_is_corrupt:  # the file ends in the middle of this packet
            damage = damage or "its last frame is cut off"
            count, packets = count - 1, packets - 1
            self._times = self._times[:-1]
        # Packets come in decoding order; sorted, their times are the frames in display order.
        times = np.unique(np.array(self._times, np.int64))
        keys = np.array(self._keys, np.int64)
        reliable = (
            self._all_timed
            and len(times) == count > 0  # no time occurs twice
            and len(keys) > 0
            # Concatenated recordings start again at 0: a seek would be ambiguous.
            and bool((np.diff(keys) > 0).all())
            # If every frame is a key frame, FFmpeg had to guess no time.
            and (container_format not in _GUESSED_TIMES or len(keys) == count)
            # With B-frames the display order differs from the decoding order. If the times do not
            # show that, the muxer wrote decoding times as presentation times.
            and (self._reordered or not self._stream.codec_context.has_b_frames)
        )
        if not reliable:
            return PacketIndex(count=count, pts=None, keys=keys[:0], packets=packets, damage=damage)
        # Frames displayed before the first key frame refer to frames that the file does not have.
        times = times[times >= keys[0]]
        return PacketIndex(count=len(times), pts=times, keys=keys, packets=packets, damage=damage)


def _end_s(packet: av.Packet) -> float:  # type: ignore[type-arg]
    """End of a packet, seconds; 0 if it has no time."""
    time = packet.pts if packet.pts is not None else packet.dts
    if time is None or packet.time_base is None:
        return 0.0
    return float((time + (packet.duration or 0)) * packet.time_base)


def _is_hidden(stream: VideoStream, packet: av.Packet) -> bool:  # type: ignore[type-arg]
    """True for a VP8 packet that is only a reference for others and gives no frame."""
    return (
        stream.codec_context.name.startswith(("vp8", "libvpx"))
        and stream.codec_context.name != "libvpx-vp9"
        and packet.size > 0
        # A bit of the first byte of a VP8 frame: show_frame (RFC 6386, sec. 9.1).
        and not memoryview(packet)[0] & _VP8_SHOWN
    )


def _shortfall(container: InputContainer, stream: VideoStream, scan: _PacketScan) -> str | None:
    """Error message if the file has fewer packets than its header says, else None."""
    # AVI counts frames without a packet too, which repeat the frame before: allow for 2 %.
    tolerance = 2 + stream.frames // 50 if container.format.name == "avi" else 0
    if stream.frames - tolerance > scan.packets:
        return f"the file ends early: its header says {stream.frames} frames"
    if container.format.name.startswith("matroska") and container.duration:
        # Matroska's "duration" is the end of the last packet, even if the first is not at 0.
        expected_end_s = container.duration / av.time_base
        frame_s = float(1 / (stream.average_rate or Fraction(25)))
        # A frame and a half: the last packet may lack a duration.
        if expected_end_s - scan.end_s > 0.05 + 1.5 * frame_s:
            return f"the file ends early: its header says {expected_end_s:.1f} s"
    return None
