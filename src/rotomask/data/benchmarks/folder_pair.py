"""Any folder of masks as the truth: no data set's rules.

ROOT/NAME/FRAME.png     a folder a sequence; or ROOT/FRAME.png for one sequence
"""

from pathlib import Path

import numpy as np

from rotomask.data.benchmarks.folders import image_files, images_by_stem, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels, read_foreground, read_label_image
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence, read_single
from rotomask.errors import DatasetError, OptionError
from rotomask.masks import object_ids

SPLITS = ("all", "without-first", "without-ends")


def folder_pair(root: str | Path, split: str = "all") -> VideoDataset:
    """Masks in folders as the truth. Ids are those that appear anywhere in a sequence.

    Where a sequence's masks are 0/255 throughout, every label but 0 is the one object.

    Args:
        root: Folder of folders of masks, or of the masks of one sequence.
        split: Which frames are scored: all, without-first (which is given), or without-ends (as in
            DAVIS).

    Raises:
        OptionError: If there is no such split.
        DatasetError: If the folder is missing or has no masks.
    """
    root = Path(root)
    if split not in SPLITS:
        raise OptionError(f"folders has no split {split!r}; choose from {', '.join(SPLITS)}")
    require_folder(root, "the truth")
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
    first_seen: dict[int, str] = {}
    for frame, path in masks.items():
        for label in object_ids(read_label_image(path)):
            first_seen.setdefault(label, frame)
    merged = set(first_seen) <= {255}
    given = {1: first_seen.get(255, frames[0])} if merged else dict(sorted(first_seen.items()))
    scored = {"all": frames, "without-first": frames[1:], "without-ends": frames[1:-1]}[split]
    return VideoSequence(
        name=folder.resolve().name,
        frame_names=frames,
        annotations={frame: (path,) for frame, path in masks.items()},
        read_annotation=_foreground if merged else read_single,
        object_ids=tuple(given),
        reference_frames={} if split == "all" else given,
        scored=dict.fromkeys(given, scored),
        merged=merged,
    )


def _foreground(paths: tuple[Path, ...]) -> Labels:
    return np.asarray(read_foreground(paths[0]))
