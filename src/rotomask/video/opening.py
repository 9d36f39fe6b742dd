"""Which kind of video a path is."""

from fractions import Fraction
from pathlib import Path

from rotomask.errors import OptionError, VideoError
from rotomask.video.file import VideoFile
from rotomask.video.folder import ImageSequence, open_folder
from rotomask.video.images import SUFFIXES
from rotomask.video.video import Video

FOLDER_FPS = Fraction(24)
"""Frames a second of a folder, which itself does not tell."""

_MAYBE_MOVING = frozenset([".gif", ".apng"])


def open_video(path: str | Path, fps: Fraction | float | None = None) -> Video:
    """Open a video file, a folder of images, or one image as a video of one frame.

    Args:
        path: What to open.
        fps: Frames a second of a folder (24 by default); a file has its own.

    Raises:
        VideoError: If it is missing, cannot be read, is not a video, or has no frames.
        OptionError: If fps is not positive.

    Example:
        >>> open_video("holiday.mp4")
        Traceback (most recent call last):
        ...
        rotomask.errors.VideoError: holiday.mp4 does not exist
    """
    path = Path(path)
    if fps is not None and fps <= 0:
        raise OptionError(f"fps must be above 0, got {fps}")
    folder_fps = Fraction(fps).limit_denominator(1001) if fps is not None else FOLDER_FPS
    if not path.exists():
        raise VideoError(f"{path} does not exist")
    if path.is_dir():
        return open_folder(path, folder_fps)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES and suffix not in _MAYBE_MOVING:
        return ImageSequence(path, [path], folder_fps)
    return VideoFile(path)
