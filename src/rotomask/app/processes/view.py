"""A project as what the rest of rotomask reads: a video beside a folder of `masks/NAME.png`."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rotomask.app.processes.mask_store import MaskStore
from rotomask.errors import VideoError
from rotomask.files import output_errors
from rotomask.masks import write_mask
from rotomask.video import Video

MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"RIFF": ".webp"}
"""First bytes of the pictures that are taken as backgrounds; the rest are videos or refused."""


class MaskFolder:
    """The masks of a project under the names of its frames.

    Args:
        folder: To make; what is in it is replaced.
        video: The video.
        store: Where the masks are by digest.
    """

    def __init__(self, folder: Path, video: Video, store: MaskStore) -> None:
        self.folder, self.video, self.store = folder, video, store
        self._shown: dict[int, str] = {}
        self._live: tuple[int, ...] | None = None
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "masks").mkdir(parents=True)

    def show(self, masks: Mapping[int, str], live: Sequence[int], count: int) -> bool:
        """Put the masks of all frames there; frames without one get an empty one.

        Args:
            masks: Digests by frame.
            live: Labels of the objects that are not deleted.
            count: Frames of the video.

        Returns:
            Whether anything changed.
        """
        everything = tuple(live) != self._live
        wanted = {index: masks.get(index, "") for index in range(count)}
        changed = [i for i in wanted if everything or self._shown.get(i) != wanted[i]]
        for index in changed:
            self._put(index, wanted[index], set(live))
        self._shown, self._live = wanted, tuple(live)
        return bool(changed)

    def _put(self, index: int, digest: str, live: set[int]) -> None:
        path = self.folder / "masks" / f"{self.video.frame_name(index)}.png"
        path.unlink(missing_ok=True)
        labels = self.store.read(digest) if digest else np.zeros(self.video.size, np.int32)
        visible = np.where(np.isin(labels, list(live)), labels, 0)
        if digest and np.array_equal(visible, labels):
            with output_errors(path):
                try:
                    os.link(self.store.path(digest), path)
                except OSError:  # a file system without links
                    shutil.copyfile(self.store.path(digest), path)
        else:
            write_mask(path, visible)


def media_path(path: Path) -> str:
    """A picture or video that a user sent, under a name that says what it is.

    Raises:
        VideoError: If it is not there any more.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise VideoError("The background is not there any more; choose it again.") from error
    suffix = next((s for magic, s in MAGIC.items() if head.startswith(magic)), "")
    if not suffix:
        return str(path)
    named = path.with_name(path.name + suffix)
    if not named.exists():
        shutil.copyfile(path, named)
    return str(named)
