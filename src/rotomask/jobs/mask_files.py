"""Masks of a job's folder: ``masks/NAME.png``, and ``mattes/NAME.png`` for soft edges."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.arrays import Mask
from rotomask.jobs.folder import JobFolder
from rotomask.masks import read_labels, write_mask
from rotomask.video import Video


def mask_paths(frame_names: Iterable[str], *, soft: bool) -> list[str]:
    """Relative paths of the files of some frames."""
    folders = ("masks", "mattes") if soft else ("masks",)
    return [f"{folder}/{name}.png" for name in frame_names for folder in folders]


def matte_pixels(labels: Mask, alpha: npt.NDArray[np.float32] | None) -> npt.NDArray[np.uint8]:
    """The content of a matte, H×W uint8, 255 opaque.

    Args:
        labels: H×W integers.
        alpha: H×W, 0 to 1: how much the objects cover each pixel; None: from the labels.
    """
    opacity = (labels > 0).astype(np.float32) if alpha is None else alpha
    return np.asarray((opacity * 255).round(), np.uint8)


@dataclass(frozen=True)
class MaskFiles:
    """The masks of one video in a folder that a job holds; a `MaskStore`."""

    folder: JobFolder
    video: Video
    soft: bool
    """True if every frame has a matte, too."""
    replays: bool = False
    """True if finished frames are segmented again, to bring a segmenter to its exact state; their
    files stay."""

    def is_finished(self, index: int) -> bool:
        """True if all files of a frame are there."""
        name = self.video.frame_name(index)
        return all(self.folder.is_finished(path) for path in mask_paths([name], soft=self.soft))

    def finished(self, index: int) -> Mask | None:
        """Labels of a finished frame, H×W int32, or None, also where it is segmented again.

        Raises:
            MaskError: If its file is damaged.
        """
        return self.read(index) if not self.replays and self.is_finished(index) else None

    def read(self, index: int) -> Mask:
        """Labels of a finished frame, H×W int32.

        Raises:
            MaskError: If there is none, or its file is damaged.
        """
        return read_labels(self.folder.root / "masks" / f"{self.video.frame_name(index)}.png")

    def write(self, index: int, labels: Mask, alpha: npt.NDArray[np.float32] | None) -> None:
        """Write the files of a frame unless it is finished.

        The mask comes last, as it says that the frame is finished; a mask without a matte, from a
        run without soft edges, stays as it is.

        Args:
            index: The frame's number.
            labels: H×W integers.
            alpha: H×W, 0 to 1: how much the objects cover each pixel; None: from the labels.

        Raises:
            OutputError: If the disk is full, or another file of that name is there.
        """
        name = self.video.frame_name(index)
        if self.soft and not self.folder.is_finished(f"mattes/{name}.png"):
            matte = Image.fromarray(matte_pixels(labels, alpha))
            with self.folder.write(f"mattes/{name}.png") as temporary:
                matte.save(temporary, format="PNG", compress_level=3)
        if not self.folder.is_finished(f"masks/{name}.png"):
            write_mask(self.folder.root / "masks" / f"{name}.png", labels, self.folder.commit)
