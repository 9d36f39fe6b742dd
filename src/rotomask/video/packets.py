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
    shown, keys = array("q"), array("q")
    timed, started, count, packets, last_corrupt = True, False, 0, 0, False
    end_s, damage = 0.0, None
    try:
        for packet in container.demux():
            if packet.size == 0 and packet.pts is None and packet.dts is None:
                continue  # the flush packet at the end of each stream
            end_s = max(end_s, _end_s(packet))
            if packet.stream_index != stream.index:
                continue
            packets += 1
            last_corrupt = packet.is_corrupt
            started = started or packet.is_keyframe
            if not started or packet.is_discard or _never_shown(stream, packet):
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
                continue
            count += 1
            if packet.pts is None:
                timed = False
                continue
            shown.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except (av.FFmpegError, OSError) as error:
        damage = f"the file is damaged ({error})"
    if last_corrupt:
        packets -= 1
        count -= 1
        if shown:
            shown.pop()
    damage = damage or _shortfall(container, stream, packets + last_corrupt, end_s)
    if last_corrupt and damage is None:
        damage = "its last frame is cut off"
    times, key_times = np.unique(np.array(shown, np.int64)), np.unique(np.array(keys, np.int64))
    if container.format.name in _GUESSED_TIMES:
        timed = timed and len(key_times) == len(times)  # every frame a key frame: no guess needed
    if not timed or len(times) != count or len(key_times) == 0:
        return PacketIndex(
            count=count, pts=None, keys=np.empty(0, np.int64), packets=packets, damage=damage
        )
    times = times[times >= key_times[0]]
    return PacketIndex(count=len(times), pts=times, keys=key_times, packets=packets, damage=damage)


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


def _shortfall(
    container: InputContainer, stream: VideoStream, packets: int, end_s: float
) -> str | None:
    """What the header promised and the packets did not hold."""
    if stream.frames > packets:
        return f"the file ends early: its header promises {stream.frames} frames"
    if container.format.name.startswith("matroska") and container.duration:
        promised_s = (container.duration + max(container.start_time or 0, 0)) / av.time_base
        frame_s = float(1 / (stream.average_rate or Fraction(25)))
        if promised_s - end_s > 0.05 + 1.5 * frame_s:
            return f"the file ends early: its header promises {promised_s:.1f} s"
    return None
