"""Folders of mask images: those of rotomask itself, and DAVIS."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import ReadOptions
from rotomask.errors import DatasetError
from rotomask.files import natural_key
from rotomask.masks import read_labels, write_mask

RESOLUTIONS = ("480p", "Full-Resolution")


def read_masks(path: Path, options: ReadOptions) -> LabelledVideo:
    """The masks of a finished cut, or of any folder of mask images.

    Raises:
        DatasetError: If there is no mask.
    """
    folder = path / "masks" if (path / "masks").is_dir() else path
    return _read_folder(folder, path.name)


def read_davis(path: Path, options: ReadOptions) -> LabelledVideo:
    """A video of a data set in the layout of DAVIS, ``Annotations/480p/NAME/*.png``.

    Raises:
        DatasetError: If there is none, or several and `options.video` names none of them.
    """
    root = path / "Annotations"
    root = next((root / name for name in RESOLUTIONS if (root / name).is_dir()), root)
    folders = {p.name: p for p in sorted(root.iterdir()) if p.is_dir()} if root.is_dir() else {}
    return _read_folder(folders[options.choose(list(folders), path)], None)


def _read_folder(folder: Path, name: str | None) -> LabelledVideo:
    files = [p for p in folder.glob("*.png") if not p.name.startswith(".")]
    files.sort(key=lambda p: natural_key(p.name))
    if not files:
        raise DatasetError(f"{folder} has no mask images (*.png)")
    first = np.asarray(read_labels(files[0]), np.int32)

    def read(index: int) -> Labels:
        return np.asarray(read_labels(files[index]), np.int32)

    names = tuple(p.stem for p in files)
    return LabelledVideo(name or folder.name, first.shape, names, read)


def mask_outputs(video: LabelledVideo) -> Iterator[str]:
    """Paths that `write_masks` writes."""
    return (f"masks/{name}.png" for name in video.frame_names)


def write_masks(video: LabelledVideo, save: Save) -> None:
    """Indexed PNG of every frame in ``masks/``, as `cut` writes them."""
    _write(video, save, "masks")


def davis_outputs(video: LabelledVideo) -> Iterator[str]:
    """Paths that `write_davis` writes."""
    yield "ImageSets/2017/val.txt"
    yield from (f"Annotations/480p/{video.name}/{name}.png" for name in video.frame_names)


def write_davis(video: LabelledVideo, save: Save) -> None:
    """Indexed PNG of every frame in the layout of DAVIS-2017, and the list of sequences."""
    _write(video, save, f"Annotations/480p/{video.name}")
    with save("ImageSets/2017/val.txt") as temporary:
        temporary.write_text(f"{video.name}\n", encoding="utf-8")


def _write(video: LabelledVideo, save: Save, folder: str) -> None:
    for _, name, labels in video.frames():
        with save(f"{folder}/{name}.png") as temporary:
            write_mask(temporary, labels)
