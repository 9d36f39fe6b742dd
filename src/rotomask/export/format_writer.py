"""The interface of an output format, which is written frame by frame."""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.files import Commit, replace_file
from rotomask.matting import EdgeControls, edge_alpha
from rotomask.render import cutout, matte
from rotomask.video import Video, VideoFrame


@dataclass(frozen=True, kw_only=True)
class ExportTarget:
    """The video to export and the folder to write to."""

    video: Video
    folder: Path
    """The folder of `masks/` and perhaps `mattes/`, to which outputs are written."""
    frame_count: int
    """Number of frames that will be added."""
    commit: Commit = replace_file
    """Gives every complete file its name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedFrame:
    """A frame and its masks."""

    frame: VideoFrame
    labels: npt.NDArray[np.int32]
    """H×W: 0 background, k = object id k."""
    matte: npt.NDArray[np.uint8] | None = None
    """H×W: stored opacity of the objects together, 255 opaque; None: that of the labels."""
    edges: EdgeControls = field(default_factory=EdgeControls)
    """How the edge of a cut-out is changed."""

    @functools.cached_property
    def alpha(self) -> npt.NDArray[np.uint8]:
        """Opacity of the objects together, H×W, 255 opaque; what was transparent stays so."""
        opacity = matte(self.labels) if self.matte is None else self.matte
        if self.frame.alpha is None:
            return opacity
        # uint16: 255 · 255 is far beyond a byte.
        return (opacity.astype(np.uint16) * self.frame.alpha // 255).astype(np.uint8)

    def cutout(self) -> npt.NDArray[np.uint8]:
        """The objects on transparency, their edge changed: H×W×4 RGBA, straight alpha."""
        alpha = self.alpha
        if self.edges.changes_alpha:
            soft = edge_alpha(self.frame.image, np.asarray(alpha / 255, np.float32), self.edges)
            # To the nearest: cutting off would make nearly opaque pixels a step more transparent.
            alpha = (soft * 255).round().astype(np.uint8)
        return cutout(self.frame.image, alpha, despill=self.edges.despill)


class FormatWriter(ABC):
    """Writer of one format; `close` completes the output, `discard` removes an incomplete one."""

    path: Path
    """The file, or the folder of files."""

    @abstractmethod
    def add(self, masked: MaskedFrame) -> None:
        """Write the next frame.

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
        """Remove incomplete files."""
