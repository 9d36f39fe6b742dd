"""Opening of a video file, a folder of images or an image as a `Video`."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from rotomask.arrays import Frame
from rotomask.errors import OptionError, ShapeError, VideoError
from rotomask.files import access_fault
from rotomask.video.array_video import ArrayVideo
from rotomask.video.image_sequence import ImageSequence, open_folder
from rotomask.video.images import IMAGE_SUFFIXES, is_animated_png
from rotomask.video.live_camera import Camera
from rotomask.video.sandbox import SandboxedVideo
from rotomask.video.video import Video
from rotomask.video.video_file import VideoFile

FOLDER_FPS = Fraction(24)
"""Default frames per second of a folder of images."""

_ANIMATION_SUFFIXES = frozenset([".gif", ".apng"])
"""Image types that may have several frames, and that FFmpeg reads as videos."""


VideoSource = str | Path | Video | Frame | Sequence[Frame] | int
"""What `open_video` takes: a file or folder, an open video, T×H×W×3 uint8 RGB, a list of H×W×3, or
the number of a camera."""


def open_video(
    path: VideoSource,
    fps: Fraction | float | None = None,
    *,
    skip_damaged: bool = False,
    sandbox: bool = False,
) -> Video:
    """Open a video file, a folder of images, one image, frames in memory or a camera.

    Args:
        path: The file or folder; T×H×W×3 uint8 RGB, or a list of frames H×W×3; the number of a
            camera, 0 for the first. An open video is returned as it is.
        fps: Frames per second of a folder or of frames in memory, 24 by default; ignored for a
            video file and a camera.
        skip_damaged: Read every image of a folder now, and give black frames in place of those that
            cannot be read (`Video.damaged`); otherwise the first of them ends the video.
        sandbox: Decode in a process of its own under limits (`video.sandbox`): for files from
            people that you do not trust. The video then has no sound.

    Raises:
        VideoError: If it is missing, cannot be read, is not a video, or has no frames.
        ShapeError: If frames in memory have the wrong shape or type.
        OptionError: If fps is not positive, or `sandbox` comes with another option.

    Example:
        >>> open_video("holiday.mp4")
        Traceback (most recent call last):
        ...
        rotomask.errors.VideoError: holiday.mp4 does not exist
    """
    if isinstance(path, Video):
        return path
    if sandbox:
        if fps is not None or skip_damaged or not isinstance(path, str | Path):
            raise OptionError(
                "the sandbox takes a file or folder, and neither fps nor skip_damaged"
            )
        return SandboxedVideo(Path(path))
    if fps is not None and not 0 < fps < math.inf:  # not nan either
        raise OptionError(f"fps must be above 0, got {fps}")
    folder_fps = Fraction(fps).limit_denominator(1001) if fps is not None else FOLDER_FPS
    if isinstance(path, int | np.integer):
        return Camera.open(int(path))
    if not isinstance(path, str | Path):
        return ArrayVideo(_frames_in_memory(path), folder_fps)
    path = Path(path)
    if fault := access_fault(path):
        raise VideoError(f"{path} {fault}")
    if path.is_dir():
        return open_folder(path, folder_fps, skip_damaged=skip_damaged)
    suffix = path.suffix.lower()
    is_image = suffix in IMAGE_SUFFIXES and suffix not in _ANIMATION_SUFFIXES
    if is_image and not is_animated_png(path):
        return ImageSequence(path, [path], folder_fps)
    return VideoFile(path)


def _frames_in_memory(frames: Frame | Sequence[Frame]) -> Frame | Sequence[Frame]:
    """The frames of an array T×H×W×3 or a sequence; one frame alone is a video of one."""
    if isinstance(frames, np.ndarray):
        if frames.ndim == 3 and frames.shape[2] == 3:
            return frames[None]
        if frames.ndim != 4:
            raise ShapeError(
                f"frames in memory must be T×H×W×3 uint8 RGB, got {frames.shape} {frames.dtype}; "
                "put time first and channels last"
            )
    return frames if isinstance(frames, np.ndarray | Sequence) else list(frames)
