"""Masks of a job's folder: ``masks/NAME.png``, and ``mattes/NAME.png`` for soft edges."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.arrays import Mask
from rotomask.jobs.folder import JobFolder
from rotomask.masks import read_grey, read_labels, write_mask
from rotomask.render import Pixels, changed_matte
from rotomask.video import Video

HALF = 128
"""Least opacity of a pixel of an object."""
SURELY_NONE, SURELY_ONE = 102, 204
"""Opacity of 0.4 and 0.8: below and above no model's labels say the contrary."""


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


def write_matte(folder: JobFolder, relative: str, matte: Pixels) -> None:
    """Write a matte, H×W uint8; the file is complete or the old one."""
    with folder.write(relative) as temporary:
        Image.fromarray(matte).save(temporary, format="PNG", compress_level=3)


def replace_matte(folder: JobFolder, name: str, before: Mask | None, after: Mask) -> None:
    """Make a frame's matte agree with its mask, which was changed; nothing without a matte.

    Args:
        folder: The folder of the cut.
        name: The frame's name.
        before: Labels of the mask that the matte was made with, H×W; None: as the matte has them.
        after: Labels now, H×W.
    """
    relative = f"mattes/{name}.png"
    if not folder.is_finished(relative):
        return
    stored = read_grey(folder.root / relative)
    was = _shown(stored, after) if before is None else before > 0
    if stored.shape == after.shape:
        # Edges that did not move stay as soft as they were.
        matte = changed_matte(stored, was, after > 0)
        if matte is not stored:
            write_matte(folder, relative, matte)


def agree_with_edited_masks(folder: JobFolder, names: Iterable[str]) -> None:
    """Replace mattes whose masks were edited by hand since they were made."""
    for name in names:
        mask, matte = f"masks/{name}.png", f"mattes/{name}.png"
        if folder.journal.is_foreign(mask) and folder.journal.owns(matte):
            replace_matte(folder, name, None, read_labels(folder.root / mask))


def _shown(matte: Pixels, labels: Mask) -> npt.NDArray[np.bool_]:
    """Where objects were when a matte was made, H×W: as in a mask, unless that is impossible.

    Between several objects the labels may be background though each of them is likely.
    """
    if matte.shape != labels.shape:
        return labels > 0
    seen, here = matte >= HALF, labels > 0
    impossible = np.where(here, matte < SURELY_NONE, matte > SURELY_ONE).astype(np.uint8)
    # A whole component of the difference, as one stroke of an editor makes it, and not its
    # impossible pixels alone.
    count, parts = cv2.connectedComponents((seen != here).astype(np.uint8), connectivity=8)
    edited = np.zeros(count, np.bool_)
    edited[parts[impossible > 0]] = True
    # Label 0 is where the matte and the labels agree.
    edited[0] = False
    return np.where(edited[parts], seen, here)


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
            write_matte(self.folder, f"mattes/{name}.png", matte_pixels(labels, alpha))
        if not self.folder.is_finished(f"masks/{name}.png"):
            write_mask(self.folder.root / "masks" / f"{name}.png", labels, self.folder.commit)
