"""Looking into a data set's folders, and saying what is missing."""

from collections.abc import Sequence
from pathlib import Path

from rotomask.errors import DatasetError
from rotomask.files import natural_key
from rotomask.video.images import IMAGE_SUFFIXES


def require_folder(path: Path, what: str) -> Path:
    """The folder itself.

    Raises:
        DatasetError: If it is missing.
    """
    if not path.is_dir():
        raise DatasetError(f"{what} is incomplete: the folder {path} is missing")
    return path


def subfolders(path: Path) -> list[Path]:
    """The folders within a folder, in natural order, without hidden ones."""
    found = [p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(found, key=lambda p: natural_key(p.name))


def image_files(path: Path) -> list[Path]:
    """The images within a folder, of any type, in natural order."""
    found = [
        p
        for p in path.iterdir()
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    ]
    return sorted(found, key=lambda p: natural_key(p.name))


def images_by_stem(path: Path) -> dict[str, Path]:
    """Stem -> image of a folder, in natural order; empty if there is no such folder."""
    return {p.stem: p for p in image_files(path)} if path.is_dir() else {}


def pair_masks(
    sequence: str, images: Sequence[Path], masks: Sequence[Path]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Frame names, and of the annotated frames the place of their mask.

    Masks belong to the pictures of their stem where all have one; else the order counts, and there
    must be as many of both. Without pictures the masks are the frames.

    Raises:
        DatasetError: If neither way works.
    """
    stems = [path.stem for path in masks]
    frames = tuple(path.stem for path in images) or tuple(stems)
    if set(stems) <= set(frames):
        return frames, {stem: place for place, stem in enumerate(stems)}
    if len(images) != len(masks):
        raise DatasetError(
            f"sequence {sequence} has {len(masks)} masks but {len(images)} pictures, of other "
            "names; the data set seems to be half downloaded"
        )
    return frames, {frame: place for place, frame in enumerate(frames)}


def require_frames(sequence: str, frames: Sequence[str], found: Sequence[str], kind: str) -> None:
    """Raise unless every frame is among those found.

    Raises:
        DatasetError: Naming the first that are missing.
    """
    missing = [name for name in frames if name not in set(found)]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DatasetError(
            f"sequence {sequence} lacks {kind} for {len(missing)} of {len(frames)} frames "
            f"({listed}); the data set seems to be half downloaded"
        )
