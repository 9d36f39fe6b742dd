"""The result of a cut: where it is, and its frames with their masks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.jobs.confidence import UncertainStretch
from rotomask.masks import read_labels
from rotomask.render import ContrastingColours, overlay
from rotomask.video import Video
from rotomask.video.player import MOST_PLAYER_FRAMES, player_html
from rotomask.video.strip import strip_html
from rotomask.video.video import STRIP_FRAMES


@dataclass(frozen=True, kw_only=True)
class CutResult:
    """Result of a cut."""

    folder: Path
    object_ids: tuple[int, ...]
    frames: int
    """Number of frames with a mask, those of earlier runs included."""
    frames_segmented: int
    """Number of frames that this run segmented."""
    seconds: float
    """Time to segment them, with reading and writing, without export."""
    outputs: dict[str, Path]
    """The format's name -> the file or folder; `masks` is always there."""
    uncertain: tuple[UncertainStretch, ...] = ()
    """Where masks are probably wrong, by object and frame."""
    video: Video = field(repr=False, compare=False)
    """The video that was cut."""
    frame_range: range = field(repr=False)
    """Numbers of the frames that were cut."""

    def __len__(self) -> int:
        return len(self.frame_range)

    def __iter__(self) -> Iterator[tuple[Frame, npt.NDArray[np.int32]]]:
        """Every frame, H×W×3 uint8 RGB, with its labels, H×W int32, from the files."""
        for frame in self.video.frames(self.frame_range.start, self.frame_range.stop):
            yield frame.image, self.mask(frame.index)

    def mask(self, index: int) -> npt.NDArray[np.int32]:
        """The labels of a frame, by its number in the video: H×W int32.

        Raises:
            MaskError: If its file is missing or damaged.
        """
        return read_labels(self.outputs["masks"] / f"{self.video.frame_name(index)}.png")

    def _repr_html_(self) -> str:
        """The overlay as a player, of a long result as a strip, and the outputs, for notebooks."""
        files = ", ".join(str(path) for path in self.outputs.values())
        objects = f"object{'s' * (len(self.object_ids) > 1)} {', '.join(map(str, self.object_ids))}"
        caption = f"{self.frames} frames, {objects}: {files}"
        colours = ContrastingColours()
        if len(self) <= MOST_PLAYER_FRAMES:
            playing = (overlay(i, k, colours=colours.of(i, k)) for i, k in self)
            return player_html(playing, self.video.fps, caption)
        shown = np.linspace(self.frame_range[0], self.frame_range[-1], STRIP_FRAMES).round()
        pictures = []
        for index in np.unique(shown.astype(int)):
            image, labels = self.video.frame(int(index)).image, self.mask(int(index))
            pictures.append(overlay(image, labels, colours=colours.of(image, labels)))
        return strip_html(pictures, caption)
