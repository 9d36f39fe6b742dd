"""What a video file says of itself, read without decoding a frame."""

from dataclasses import dataclass
from pathlib import Path

from rotomask.video.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """Size and length as the container or the codec declare them; 0 where they say nothing."""

    width: int
    height: int
    seconds: float


def read_header(path: Path) -> VideoHeader:
    """The header of a video file.

    Raises:
        VideoError: If it is missing, not a video, or of an unknown codec.
    """
    with Decoder(path) as decoder:
        stream, container = decoder.stream, decoder.container
        duration = 0.0
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1_000_000  # AV_TIME_BASE
        return VideoHeader(width=stream.width, height=stream.height, seconds=duration)
