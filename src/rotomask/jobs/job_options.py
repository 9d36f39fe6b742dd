"""Options that jobs share."""

from dataclasses import dataclass
from typing import Any

from rotomask.errors import OptionError
from rotomask.video import Video


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Device and precision of a job's networks."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``mps``."""
    precision: str = "auto"
    """``auto``, ``float32`` or ``bfloat16``."""
    threads: int | None = None
    """Threads that PyTorch, OpenCV and FFmpeg compute with; None: as they are set."""

    @property
    def where(self) -> dict[str, Any]:
        """Device and precision, as `load_model` and its like take them."""
        return {"device": self.device, "precision": self.precision}


@dataclass(frozen=True, kw_only=True)
class FolderOptions(RuntimeOptions):
    """Options of a job that writes a folder."""

    overwrite: bool = False
    """True to replace another job's output."""


@dataclass(frozen=True, kw_only=True)
class FrameOptions(FolderOptions):
    """Options of a job on a range of a video's frames."""

    start: int = 0
    """Number of the first frame, from 0."""
    stop: int | None = None
    """Number after the last frame; None: to the end."""

    def range_in(self, video: Video) -> range:
        """Numbers of the frames in a video.

        Raises:
            OptionError: If the range is empty or leaves the video.
        """
        return frame_range(video.frame_count, self.start, self.stop, video.path)


def frame_range(count: int, start: int, stop: int | None, video: object) -> range:
    """Frames start to stop - 1 of a video, checked.

    Args:
        count: Frames of the video.
        start: First frame.
        stop: One past the last; None: to the end.
        video: What the message calls the video.

    Raises:
        OptionError: If the range is empty or leaves the video.
    """
    end = count if stop is None else stop
    if start < 0:
        raise OptionError(f"frames start at 0, got {start}")
    if start >= count or end > count:
        last = start if start >= count else end - 1
        raise OptionError(
            f"{video} has {count} frames, 0 to {count - 1}; frame {last} is out of range"
        )
    if start >= end:
        raise OptionError(f"there is no frame from {start} to {end - 1}; end comes before start")
    return range(start, end)
