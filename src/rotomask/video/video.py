"""The interface of a video: named frames in order, read lazily."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import OptionError
from rotomask.video.strip import strip_html

Image = npt.NDArray[np.uint8]
"""Pixels of a frame, H×W×3 RGB, 0-255, or of several, N×H×W×3."""

STRIP_FRAMES = 6
"""Frames of the strip that notebooks show."""


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

    Frames are read lazily, so memory does not grow with the length of the video. ``len(video)`` is
    the number of frames; ``video[3]`` is a frame, H×W×3 uint8 RGB, ``video[10:20]`` several,
    N×H×W×3; iterating gives all frames one after the other.
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
    is_seekable: bool = True
    """False for a camera, whose frames come once and have no number in advance."""
    damaged: frozenset[int] = frozenset()
    """Numbers of the frames that cannot be read and are black in their place: images of a folder
    that was opened with `skip_damaged`."""

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

    def content(self) -> tuple[int, str] | None:
        """Number of bytes and digest of a video that is in no file; None: those of `path` count."""
        return None

    def __len__(self) -> int:
        return self.frame_count

    def __getitem__(self, index: int | slice) -> Image:
        if isinstance(index, slice):
            indices = range(len(self))[index]
            if not indices:
                return np.zeros((0, *self.size, 3), np.uint8)
            if indices.step == 1:
                return np.stack([f.image for f in self.frames(indices.start, indices.stop)])
            return np.stack([self.frame(k).image for k in indices])
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self.name} has frames 0 to {len(self) - 1}, got {index}")
        return self.frame(number).image

    def __iter__(self) -> Iterator[Image]:
        return (frame.image for frame in self.frames())

    def __repr__(self) -> str:
        """Name, number of frames, size and rate."""
        return f"<{type(self).__name__} {self._summary()}>"

    def _repr_html_(self) -> str:
        """A strip of frames, for notebooks."""
        return strip_html(spread_frames(self), self._summary())

    def _summary(self) -> str:
        height, width = self.size
        return f"{self.name}: {len(self)} frames, {width}x{height}, {float(self.fps):g} frames/s"


def spread_frames(video: Video, count: int = STRIP_FRAMES) -> list[Image]:
    """Up to `count` frames of a video, spread evenly from the first to the last."""
    indices = np.unique(np.linspace(0, len(video) - 1, count).round().astype(int))
    return [video.frame(int(index)).image for index in indices]


def check_range(start: int, stop: int | None) -> None:
    """Check that start and stop are not negative.

    Raises:
        OptionError: If one is.
    """
    if start < 0 or (stop is not None and stop < 0):
        raise OptionError(f"frames count from 0, got start {start} and stop {stop}")


def frame_indices(
    count: int, start: int, stop: int | None, *, reverse: bool = False
) -> Iterable[int]:
    """Indices from start up to but not including stop, of a video of so many frames.

    Raises:
        OptionError: If start or stop is negative.
    """
    check_range(start, stop)
    indices = range(count)[start:stop]
    return reversed(indices) if reverse else indices
