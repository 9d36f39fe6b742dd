"""Reader of any folder of masks as the annotations.

ROOT/NAME/FRAME.png     (a folder per sequence; or ROOT/FRAME.png for one sequence)
"""

from pathlib import Path

import numpy as np

from rotomask.data.benchmarks.folders import image_files, images_by_stem, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels, read_foreground, read_label_image
from rotomask.data.sequences import VideoDataset, VideoSequence, read_single
from rotomask.errors import DatasetError, OptionError
from rotomask.masks import object_ids

SPLITS = ("all", "without-first", "without-ends")


def folder_pair(root: str | Path, split: str = "all") -> VideoDataset:
    """A data set of folders of masks; a sequence has the objects of all of its masks.

    If all masks of a sequence are 0/255, every label but 0 is its only object.

    Args:
        root: Folder of folders of masks, or folder of the masks of one sequence.
        split: The frames to score: "all", "without-first", or "without-ends" (as in DAVIS).

    Raises:
        OptionError: If the split is unknown.
        DatasetError: If the folder is missing or has no masks.
    """
    root = Path(root)
    if split not in SPLITS:
        raise OptionError(f"folders has no split {split!r}; choose from {', '.join(SPLITS)}")
    require_folder(root, "the annotation")
    folders = [root] if image_files(root) else [f for f in subfolders(root) if image_files(f)]
    if not folders:
        raise DatasetError(f"{root} has no masks, neither in it nor in its folders")
    return VideoDataset(
        benchmark="folders",
        split=split,
        root=root,
        sequences=tuple(_sequence(folder, split) for folder in folders),
    )


def _sequence(folder: Path, split: str) -> VideoSequence:
    masks = images_by_stem(folder)
    frames = tuple(masks)
    first_frames: dict[int, str] = {}
    for frame, path in masks.items():
        for label in object_ids(read_label_image(path)):
            first_frames.setdefault(label, frame)
    merged = set(first_frames) <= {255}
    reference_frames = dict(sorted(first_frames.items()))
    if merged:
        reference_frames = {1: first_frames.get(255, frames[0])}
    scored = {"all": frames, "without-first": frames[1:], "without-ends": frames[1:-1]}[split]
    return VideoSequence(
        name=folder.resolve().name,
        frame_names=frames,
        annotations={frame: (path,) for frame, path in masks.items()},
        read_annotation=_foreground if merged else read_single,
        object_ids=tuple(reference_frames),
        reference_frames={} if split == "all" else reference_frames,
        scored=dict.fromkeys(reference_frames, scored),
        merged=merged,
    )


def _foreground(paths: tuple[Path, ...]) -> Labels:
    return np.asarray(read_foreground(paths[0]))
