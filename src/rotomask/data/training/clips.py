"""Annotated videos: what the second stage trains on, and what runs are validated on."""

from collections.abc import Sequence
from pathlib import Path

from rotomask.data.sequences import VideoSequence
from rotomask.data.training.images import (
    Labels,
    check_pair,
    images_in,
    read_image,
    read_labels,
)
from rotomask.errors import DatasetError

FRAME_FOLDERS = ("JPEGImages", "frames", "images")
MASK_FOLDERS = ("Annotations", "masks")


def read_training_mask(paths: tuple[Path, ...]) -> Labels:
    """The labels of a frame with one mask file of any format, H×W uint8.

    Ids are those of the file, so that an object has the same in every frame; a black and white mask
    has object 1.

    Raises:
        DatasetError: If the file cannot be read, or has an id above 255.
    """
    return read_labels(paths[0])


def find_videos(root: Path, exclude: Sequence[str] = ()) -> tuple[VideoSequence, ...]:
    """The annotated videos of a data set folder.

    Frames lie in ``JPEGImages``, ``frames`` or ``images``, masks in ``Annotations`` or ``masks``,
    each with a folder per video; DAVIS has a folder of the resolution between (``480p``). A
    frame without a mask is left out.

    Args:
        root: The data set.
        exclude: Names of videos to leave out.

    Raises:
        DatasetError: If a folder is missing, no sequence has both frames and masks, a file is not
            an image, or a mask is not of its frame's size.
    """
    frames_root = _first_folder(root, FRAME_FOLDERS)
    masks_root = _first_folder(root, MASK_FOLDERS)
    frames_root = _below_resolution(frames_root)
    if masks_root.joinpath(frames_root.name).is_dir() and frames_root.name not in FRAME_FOLDERS:
        masks_root = masks_root / frames_root.name
    videos = []
    for folder in sorted(p for p in frames_root.iterdir() if p.is_dir()):
        masks_folder = masks_root / folder.name
        if folder.name in exclude or not masks_folder.is_dir():
            continue
        masks = {p.stem: p for p in images_in(masks_folder)}
        frames = [p for p in images_in(folder) if p.stem in masks]
        if frames:
            for frame in frames:
                check_pair(frame, masks[frame.stem])
            videos.append(
                VideoSequence(
                    name=folder.name,
                    frame_names=tuple(p.stem for p in frames),
                    images=tuple(frames),
                    read_frame=read_image,
                    annotations={p.stem: (masks[p.stem],) for p in frames},
                    read_annotation=read_training_mask,
                )
            )
    if not videos:
        raise DatasetError(
            f"{root} holds no video with frames and masks of the same names "
            f"({frames_root}/VIDEO/*.jpg beside {masks_root}/VIDEO/*.png)"
        )
    return tuple(videos)


def _first_folder(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DatasetError(f"{root} must hold a folder {', '.join(names[:-1])} or {names[-1]}")


def _below_resolution(folder: Path) -> Path:
    """DAVIS's folder of one resolution, where there is one: it holds folders, not images."""
    inside = sorted(p for p in folder.iterdir() if p.is_dir())
    if inside and not images_in(inside[0]) and any(p.is_dir() for p in inside[0].iterdir()):
        return inside[0]
    return folder
