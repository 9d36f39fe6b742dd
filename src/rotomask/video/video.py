"""What a video is to the rest of the program: named frames in order, read when asked for."""

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
    """One frame, upright."""

    index: int
    """Its place in the video, from 0."""
    name: str
    """Stem of the files made from it: the image's own, or the index in five digits."""
    image: npt.NDArray[np.uint8]
    """H×W×3 RGB, 0-255."""
    alpha: npt.NDArray[np.uint8] | None
    """H×W, 0 transparent, 255 opaque; None where the source has none."""
    time_s: float
    """When it is shown, from the first frame of the video on."""


class Video(ABC):
    """A video file or a folder of frames; `open_video` makes one.

    Frames are read as they are asked for: memory does not grow with the length of the video.
    """

    path: Path
    """The file or folder."""
    name: str
    """Stem of the file, or name of the folder."""
    size: tuple[int, int]
    """(height, width) of every frame, after rotation."""
    fps: Fraction
    """Frames a second, on average."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height when shown; frames are given as they are stored."""
    origin_s: float = 0.0
    """Time of the first frame on the clock of the file, by which its sound is timed."""
    has_sound: bool = False
    """Whether the file at `path` has an audio stream."""

    @property
    @abstractmethod
    def frame_count(self) -> int:
        """How many frames there are.

        Exact for a folder. For a file it is counted on first use by a pass over the packets, which
        reads the file once but decodes nothing; of a damaged file it counts what is left.
        """

    @abstractmethod
    def frame_name(self, index: int) -> str:
        """Stem for files made from a frame: its image's stem, or the index in five digits."""

    @abstractmethod
    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """The frames start, start + 1, ... before stop, as a slice has them; or the same backwards.

        Args:
            start: First frame, from 0.
            stop: One past the last frame; None or too large means to the end.
            reverse: Give the last first. Memory stays bounded; each frame is identical to forward
                reading's.

        Raises:
            OptionError: If start or stop is negative.
            TruncatedVideoError: If the video turns out to be damaged, after the frames before the
                damage were given.
            VideoError: If a frame has another size than the first.
        """

    def frame(self, index: int) -> VideoFrame:
        """One frame by its index.

        Raises:
            OptionError: If there is no such frame.
            VideoError: As for `frames`.
        """
        for frame in self.frames(index, index + 1):
            return frame
        raise OptionError(f"{self.path} has no frame {index}; it has {self.frame_count}, from 0")


def check_range(start: int, stop: int | None) -> None:
    """Raise unless start and stop count from the beginning."""
    if start < 0 or (stop is not None and stop < 0):
        raise OptionError(f"frames count from 0, got start {start} and stop {stop}")
