"""Reader of SegTrack v2.

    ROOT/JPEGImages/NAME/FRAME.png          (or .bmp, .jpg)
    ROOT/GroundTruth/NAME/FRAME.png         (one object)
    ROOT/GroundTruth/NAME/1/FRAME.png       (several objects: a folder each)

Masks are black and white. Where images and masks have different names, they are paired in order.
"""

from pathlib import Path

import numpy as np

from rotomask.data.benchmarks.folders import image_files, pair_masks, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError
from rotomask.masks import read_grey

SEQUENCES = 14
SPLITS = ("objects", "merged")


def segtrack_v2(root: str | Path, split: str = "objects") -> VideoDataset:
    """SegTrack v2.

    Args:
        root: The data set's folder.
        split: "objects": the method gets each object's mask in the first frame, which is not
            scored. "merged": all objects are one, the method gets no mask, and all frames are
            scored.

    Raises:
        OptionError: If the split is unknown.
        DatasetError: If a folder or a frame's mask is missing.
    """
    root = Path(root)
    if split not in SPLITS:
        raise OptionError(f"segtrack-v2 has no split {split!r}; choose from {', '.join(SPLITS)}")
    require_folder(root, "SegTrack v2")
    truth = require_folder(root / "GroundTruth", "SegTrack v2")
    folders = subfolders(truth)
    if not folders:
        raise DatasetError(f"SegTrack v2 is incomplete: {truth} has no sequence")
    return VideoDataset(
        benchmark="segtrack-v2",
        split=split,
        root=root,
        sequences=tuple(_sequence(root, folder, merged=split == "merged") for folder in folders),
        official_count=SEQUENCES,
    )


def read_separate(paths: tuple[Path, ...]) -> Labels:
    """Labels of a frame with one black and white mask per object: H×W uint8.

    The object of `paths[i]` has id i + 1. Where objects overlap, the later one is in front.

    Raises:
        DatasetError: If the masks differ in size.
    """
    labels: Labels | None = None
    for object_id, path in enumerate(paths, start=1):
        mask = read_grey(path) > 127
        if labels is None:
            labels = np.zeros(mask.shape, np.uint8)
        if mask.shape != labels.shape:
            raise DatasetError(
                f"{path} differs in size from the mask of the first object; download it again"
            )
        labels[mask] = object_id
    assert labels is not None
    return labels


def read_merged(paths: tuple[Path, ...]) -> Labels:
    """All objects as one, H×W uint8: 1 where any of the masks is white."""
    return (read_separate(paths) > 0).astype(np.uint8)


def _sequence(root: Path, truth: Path, *, merged: bool) -> VideoSequence:
    folders = subfolders(truth) or [truth]
    masks = [image_files(folder) for folder in folders]
    counts = {len(files) for files in masks}
    if counts == {0} or len(counts) != 1:
        numbers = ", ".join(f"{len(f)} in {d.name}" for f, d in zip(masks, folders, strict=True))
        raise DatasetError(f"the masks of {truth.name} are incomplete: {numbers}")
    pictures = root / "JPEGImages" / truth.name
    images = image_files(pictures) if pictures.is_dir() else []
    frames, mask_index = pair_masks(truth.name, images, masks[0])
    ids = (1,) if merged else tuple(range(1, len(folders) + 1))
    annotated = tuple(frame for frame in frames if frame in mask_index)
    return VideoSequence(
        name=truth.name,
        frame_names=frames,
        images=tuple(images),
        annotations={f: tuple(files[mask_index[f]] for files in masks) for f in annotated},
        read_annotation=read_merged if merged else read_separate,
        object_ids=ids,
        reference_frames={} if merged else dict.fromkeys(ids, annotated[0]),
        scored=dict.fromkeys(ids, annotated if merged else annotated[1:]),
        merged=merged or len(ids) == 1,
    )
