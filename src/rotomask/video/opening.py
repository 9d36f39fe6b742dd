"""Opening of a video file, a folder of images or an image as a `Video`."""

import math
from fractions import Fraction
from pathlib import Path

from rotomask.errors import OptionError, VideoError
from rotomask.files import access_fault
from rotomask.video.image_sequence import ImageSequence, open_folder
from rotomask.video.images import IMAGE_SUFFIXES, is_animated_png
from rotomask.video.video import Video
from rotomask.video.video_file import VideoFile

FOLDER_FPS = Fraction(24)
"""Default frames per second of a folder of images."""

_ANIMATION_SUFFIXES = frozenset([".gif", ".apng"])
"""Image types that may have several frames, and that FFmpeg reads as videos."""


def open_video(path: str | Path | Video, fps: Fraction | float | None = None) -> Video:
    """Open a video file, a folder of images, or one image as a video of one frame.

    Args:
        path: The file or folder; a video that is open is returned as it is.
        fps: Frames per second of a folder, 24 by default; ignored for a video file.

    Raises:
        VideoError: If it is missing, cannot be read, is not a video, or has no frames.
        OptionError: If fps is not positive.

    Example:
        >>> open_video("holiday.mp4")
        Traceback (most recent call last):
        ...
        rotomask.errors.VideoError: holiday.mp4 does not exist
    """
    if isinstance(path, Video):
        return path
    path = Path(path)
    if fps is not None and not 0 < fps < math.inf:  # not nan either
        raise OptionError(f"fps must be above 0, got {fps}")
    folder_fps = Fraction(fps).limit_denominator(1001) if fps is not None else FOLDER_FPS
    if fault := access_fault(path):
        raise VideoError(f"{path} {fault}")
    if path.is_dir():
        return open_folder(path, folder_fps)
    suffix = path.suffix.lower()
    is_image = suffix in IMAGE_SUFFIXES and suffix not in _ANIMATION_SUFFIXES
    if is_image and not is_animated_png(path):
        return ImageSequence(path, [path], folder_fps)
    return VideoFile(path)
