"""The interface of a video: named frames in order, read lazily."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFrame:
    """One upright frame of a video."""

    index: int
    """Index in the video, from 0."""
    name: str
    """Stem of the files made from it: the image file's stem, or the index in five digits."""
    image: npt.NDArray[np.uint8]
    """H×W×3 RGB, 0-255."""
    alpha: npt.NDArray[np.uint8] | None
    """H×W, 0 transparent, 255 opaque; None if the source has no alpha."""
    time_s: float
    """Presentation time, seconds from the first frame of the video."""


class Video(ABC):
    """A video file or a folder of images; open one with `open_video`.

    Frames are read lazily, so memory does not grow with the length of the video.
    """

    path: Path
    """The file or folder."""
    name: str
    """Stem of the file, or name of the folder."""
    size: tuple[int, int]
    """(height, width) of every frame, after rotation."""
    fps: Fraction
    """Average frames per second."""
    pixel_aspect: Fraction = Fraction(1)
    """Displayed width of a pixel over its height; frames are returned as stored."""
    origin_s: float = 0.0
    """Time of the first frame on the clock of the file, which its sound shares, seconds."""
    has_sound: bool = False
    """True if the file at `path` has an audio stream."""

    @property
    @abstractmethod
    def frame_count(self) -> int:
        """Number of frames.

        A file is counted on first use: its packets are read once, but not decoded. A damaged file
        has the frames before the damage.
        """

    @abstractmethod
    def frame_name(self, index: int) -> str:
        """Stem of the files made from a frame: its image's stem, or the index in five digits."""

    @abstractmethod
    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """The frames from `start` up to but not including `stop`, in order or reversed.

        Args:
            start: Index of the first frame.
            stop: Index after the last frame; None or too large: up to the end.
            reverse: Return the last frame first. The frames are identical to those read forwards,
                and memory stays bounded.

        Raises:
            OptionError: If start or stop is negative.
            TruncatedVideoError: If the video is damaged, after the frames before the damage.
            VideoError: If a frame has another size than the first.
        """

    def frame(self, index: int) -> VideoFrame:
        """The frame at an index.

        Raises:
            OptionError: If there is no such frame.
            VideoError: As for `frames`.
        """
        for frame in self.frames(index, index + 1):
            return frame
        raise OptionError(f"{self.path} has no frame {index}; it has {self.frame_count}, from 0")


def check_range(start: int, stop: int | None) -> None:
    """Check that start and stop are not negative.

    Raises:
        OptionError: If one is.
    """
    if start < 0 or (stop is not None and stop < 0):
        raise OptionError(f"frames count from 0, got start {start} and stop {stop}")
