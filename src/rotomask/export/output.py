"""What every output format does: take frames one by one, then complete its file."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.video import Video, VideoFrame


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is exported, and where to."""

    video: Video
    folder: Path
    """Holds `masks/`, perhaps `mattes/`, and gets the outputs."""
    frame_count: int
    """How many frames will come."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """One frame with its masks."""

    frame: VideoFrame
    labels: npt.NDArray[np.int32]
    """H×W: 0 background, k = object id k."""
    alpha: npt.NDArray[np.uint8]
    """H×W: opacity of the objects together."""


class Output(ABC):
    """One format being written; `close` completes it, `discard` leaves no half file."""

    path: Path
    """The file, or the folder of files."""

    @abstractmethod
    def add(self, cut: Cut) -> None:
        """Take the next frame.

        Raises:
            OutputError: If it cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Complete the output.

        Raises:
            OutputError: If it cannot be written.
        """

    @abstractmethod
    def discard(self) -> None:
        """Drop what is not complete."""
