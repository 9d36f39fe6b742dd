"""How many frames a video has, about, without reading it."""

from pathlib import Path

from rotomask.errors import VideoError
from rotomask.video.decoder import Decoder
from rotomask.video.images import IMAGE_SUFFIXES


def stated_frame_count(path: Path) -> int | None:
    """Number of frames that a file's header states, or that its duration makes; a folder's images.

    Returns:
        The number, which may be wrong; None if the header tells nothing, or there is no video.
    """
    try:
        if path.is_dir():
            return sum(p.suffix.lower() in IMAGE_SUFFIXES for p in path.iterdir())
        with Decoder(path) as decoder:
            stream, container = decoder.stream, decoder.container
            if stream.frames:
                return int(stream.frames)
            rate = stream.average_rate or stream.guessed_rate
            if container.duration and rate:
                return max(1, round(container.duration / 1_000_000 * rate))
    except (VideoError, OSError):
        pass
    return None
