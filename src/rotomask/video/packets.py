"""What a pass over a file's packets tells without decoding: which frames there are, and when."""

from array import array
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

_VP8_SHOWN = 0x10
"""Bit of a VP8 packet's first byte; without it the packet is a reference that is never shown."""

_GUESSED_TIMES = ("avi", "mpeg")
"""Containers that store no presentation time, or not every frame's: what FFmpeg fills in is wrong
for B-frames (AVI) or differs after a seek (MPEG program streams)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PacketIndex:
    """Frames of a video stream, from its packets; 8 bytes a frame."""

    count: int
    """Number of frames shown."""
    pts: npt.NDArray[np.int64] | None
    """Presentation time of each frame, rising, in the stream's time base; None where the container
    does not tell (AVI, some MPEG): then frames are found by counting from the beginning."""
    keys: npt.NDArray[np.int64]
    """Presentation times at which decoding can begin, rising; empty if `pts` is None."""
    packets: int
    """How many packets may be decoded; what follows is cut off in mid-packet."""
    damage: str | None
    """Why the file is known to end early, or None."""


def index_packets(container: InputContainer, stream: VideoStream) -> PacketIndex:
    """Read all packets of a freshly opened container.

    Decoding begins at the first key packet, so packets before it, and frames to be shown before it,
    do not count; nor do those that an edit list hides.
    """
    scan, damage = _Scan(stream), None
    try:
        for packet in container.demux():
            if packet.size or packet.pts is not None or packet.dts is not None:
                scan.add(packet)  # all but the empty packet at the end of each stream
    except (av.FFmpegError, OSError) as error:
        damage = f"the file is damaged ({error.strerror})"
    damage = damage or _shortfall(container, stream, scan)
    return scan.index(container.format.name, damage)


class _Scan:
    """What has been seen of a stream's packets so far."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._shown, self._keys = array("q"), array("q")
        self._count = 0
        self._started = False
        self._timed = True
        self._reordered = False
        self._cut_off = False
        self.packets = 0
        """Packets of the video."""
        self.end_s = 0.0
        """When the last packet of any stream ends."""

    def add(self, packet: av.Packet) -> None:  # type: ignore[type-arg]
        """Take the next packet of any stream."""
        self.end_s = max(self.end_s, _end_s(packet))
        if packet.stream_index != self._stream.index:
            return
        self.packets += 1
        self._cut_off = packet.is_corrupt
        self._started = self._started or packet.is_keyframe
        if packet.is_keyframe and packet.pts is not None:
            self._keys.append(packet.pts)
        if not self._started or packet.is_discard or _never_shown(self._stream, packet):
            return
        self._count += 1
        if packet.pts is None:
            self._timed = False
        else:
            self._shown.append(packet.pts)
            self._reordered = self._reordered or packet.pts != packet.dts

    def index(self, container_format: str, damage: str | None) -> PacketIndex:
        """The frames, with their times if these can be relied on."""
        count, packets = self._count, self.packets
        if self._cut_off:  # the last packet is half there
            damage = damage or "its last frame is cut off"
            count, packets = count - 1, packets - 1
            self._shown = self._shown[:-1]
        times = np.unique(np.array(self._shown, np.int64))
        keys = np.array(self._keys, np.int64)
        reliable = (
            self._timed
            and len(times) == count > 0
            and len(keys) > 0
            and bool((np.diff(keys) > 0).all())  # not so where recordings were joined
            # Every frame a key frame: no time had to be guessed.
            and (container_format not in _GUESSED_TIMES or len(keys) == count)
            # Else some writer took the order of decoding for that of showing.
            and (self._reordered or not self._stream.codec_context.has_b_frames)
        )
        if not reliable:
            return PacketIndex(count=count, pts=None, keys=keys[:0], packets=packets, damage=damage)
        times = times[times >= keys[0]]
        return PacketIndex(count=len(times), pts=times, keys=keys, packets=packets, damage=damage)


def _end_s(packet: av.Packet) -> float:  # type: ignore[type-arg]
    time = packet.pts if packet.pts is not None else packet.dts
    if time is None or packet.time_base is None:
        return 0.0
    return float((time + (packet.duration or 0)) * packet.time_base)


def _never_shown(stream: VideoStream, packet: av.Packet) -> bool:  # type: ignore[type-arg]
    return (
        stream.codec_context.name.startswith(("vp8", "libvpx"))
        and stream.codec_context.name != "libvpx-vp9"
        and packet.size > 0
        and not memoryview(packet)[0] & _VP8_SHOWN
    )


def _shortfall(container: InputContainer, stream: VideoStream, scan: _Scan) -> str | None:
    """What the header promised and the packets did not hold."""
    # AVI also counts frames that repeat the one before and have no packet.
    spare = 2 + stream.frames // 50 if container.format.name == "avi" else 0
    if stream.frames - spare > scan.packets:
        return f"the file ends early: its header promises {stream.frames} frames"
    if container.format.name.startswith("matroska") and container.duration:
        promised_s = container.duration / av.time_base  # when the last packet ends, not a length
        frame_s = float(1 / (stream.average_rate or Fraction(25)))
        if promised_s - scan.end_s > 0.05 + 1.5 * frame_s:
            return f"the file ends early: its header promises {promised_s:.1f} s"
    return None
