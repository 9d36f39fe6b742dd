"""Listing of a data set's folders and files, and errors that name the missing ones."""

from collections.abc import Sequence
from pathlib import Path

from rotomask.errors import DatasetError
from rotomask.files import natural_key
from rotomask.video.images import IMAGE_SUFFIXES


def require_folder(path: Path, dataset: str) -> Path:
    """The same path, after checking that it is a folder.

    Raises:
        DatasetError: If it is missing; the message begins with `dataset`.
    """
    if not path.is_dir():
        raise DatasetError(f"{dataset} is incomplete: the folder {path} is missing")
    return path


def subfolders(path: Path) -> list[Path]:
    """The folders in a folder, in natural order, except hidden ones."""
    folders = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(folders, key=lambda p: natural_key(p.name))


def image_files(path: Path) -> list[Path]:
    """The image files of any type in a folder, in natural order."""
    files = [
        p
        for p in path.iterdir()
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    ]
    return sorted(files, key=lambda p: natural_key(p.name))


def images_by_stem(path: Path) -> dict[str, Path]:
    """Stem -> image file of a folder, in natural order; empty if the folder does not exist."""
    return {p.stem: p for p in image_files(path)} if path.is_dir() else {}


def pair_masks(
    sequence: str, images: Sequence[Path], masks: Sequence[Path]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Names of the frames, and the index of the mask of each annotated frame.

    Masks and images are paired by their stems if every mask has an image of the same stem, else by
    their order. Without images the masks are the frames.

    Args:
        sequence: Name of the sequence, for errors.
        images: Image files in order.
        masks: Mask files in order.

    Raises:
        DatasetError: If stems differ and there are not as many masks as images.
    """
    stems = [path.stem for path in masks]
    frames = tuple(path.stem for path in images) or tuple(stems)
    if set(stems) <= set(frames):
        return frames, {stem: index for index, stem in enumerate(stems)}
    if len(images) != len(masks):
        raise DatasetError(
            f"sequence {sequence} has {len(masks)} masks but {len(images)} images, with other "
            "names; download the rest of the data set"
        )
    return frames, {frame: index for index, frame in enumerate(frames)}


def require_frames(
    sequence: str, frames: Sequence[str], existing: Sequence[str], kind: str
) -> None:
    """Check that all frames of a sequence exist.

    Args:
        sequence: Name of the sequence, for the message.
        frames: Names of the frames that are needed.
        existing: Names of the frames that exist.
        kind: Kind of file, such as "an annotation", for the message.

    Raises:
        DatasetError: If frames are missing; the message names the first ones.
    """
    missing = [name for name in frames if name not in set(existing)]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DatasetError(
            f"sequence {sequence} lacks {kind} for {len(missing)} of {len(frames)} frames "
            f"({listed}); download the rest of the data set"
        )
