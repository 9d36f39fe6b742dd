"""A cut job on disk: what was asked, and which frames are finished."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import OutputError
from rotomask.files import complete_or_absent, output_errors
from rotomask.masks import read_labels, write_mask

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class JobDescription:
    """What decides the masks of a job; two runs with the same description can share a folder.

    Where a run ends is not part of it: a longer one goes on after a shorter.
    """

    video: str
    """Name of the video file or folder."""
    frame_size: tuple[int, int]
    """(height, width)."""
    start: int
    annotations: dict[str, str]
    """Frame number -> digest of its mask."""
    model: str
    weights: str | None
    size: int | None
    direction: str
    objects: int | None = None
    """Most objects that were looked for; None: they were marked."""
    format: int = FORMAT


class Job:
    """A folder with ``job.json``, ``masks/NAME.png``, and ``mattes/NAME.png`` for soft edges."""

    def __init__(self, folder: Path, *, soft: bool) -> None:
        self.folder, self.soft = folder, soft
        self.masks, self.mattes = folder / "masks", folder / "mattes"

    def open(self, description: JobDescription, *, overwrite: bool) -> None:
        """Begin the job, or go on with the same one.

        Raises:
            OutputError: If the folder cannot be written, or holds another job's masks.
        """
        file = self.folder / "job.json"
        content = json.dumps(asdict(description), indent=1)
        if overwrite:
            self._clear()
        if file.is_file() and json.loads(file.read_text()) != json.loads(content):
            changed = _differences(json.loads(file.read_text()), json.loads(content))
            raise OutputError(
                f"{self.folder} holds the masks of another job ({changed}); choose another --out, "
                "or --overwrite to begin anew"
            )
        if not file.is_file() and self.masks.is_dir() and any(self.masks.iterdir()):
            raise OutputError(
                f"{self.masks} holds masks that are not of a cut job; choose another --out, "
                "or --overwrite to begin anew"
            )
        with complete_or_absent(file) as temporary:
            temporary.write_text(content)

    def is_finished(self, name: str) -> bool:
        """Whether a frame's files are all there."""
        if not (self.masks / f"{name}.png").is_file():
            return False
        return not self.soft or (self.mattes / f"{name}.png").is_file()

    def read(self, name: str) -> npt.NDArray[np.int32]:
        """Labels of a finished frame, H×W."""
        return read_labels(self.masks / f"{name}.png")

    def write(
        self, name: str, labels: npt.NDArray[np.integer], alpha: npt.NDArray[np.float32] | None
    ) -> None:
        """Write a frame's files; the mask last, as it says that the frame is finished.

        Args:
            name: The frame's name.
            labels: H×W integers.
            alpha: H×W, 0 to 1: how much any object covers the pixel, for soft edges; None: from
                the labels.
        """
        if self.soft:
            if alpha is None:
                alpha = (labels > 0).astype(np.float32)
            matte = Image.fromarray((alpha * 255).round().astype(np.uint8))
            with complete_or_absent(self.mattes / f"{name}.png") as temporary:
                matte.save(temporary, format="PNG", compress_level=3)
        write_mask(self.masks / f"{name}.png", labels)

    def _clear(self) -> None:
        with output_errors(self.folder):
            for folder in (self.masks, self.mattes):
                if folder.is_dir():
                    shutil.rmtree(folder)
            (self.folder / "job.json").unlink(missing_ok=True)


def digest(labels: npt.NDArray[np.integer]) -> str:
    """A short fingerprint of a mask's content."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype=np.int32).tobytes()).hexdigest()[:16]


def _differences(old: dict[str, object], new: dict[str, object]) -> str:
    changed = [k for k in new if old.get(k) != new[k]]
    shown = [f"{k} {old.get(k)!r} there, {new[k]!r} here" for k in changed if k != "annotations"]
    if "annotations" in changed:
        shown.append("other reference masks")
    return "; ".join(shown)
