"""Reader of JumpCut (Fan et al. 2015).

    ROOT/GROUP/NAME/FRAME.jpg                  (GROUP: ANIMAL, HUMAN, ...; or no groups)
    ROOT/GROUP/NAME/GroundTruth/FRAME.png      (or GT, mask, masks, Annotations)

Masks are black and white. The layout of other data sets, ROOT/JPEGImages/NAME and
ROOT/Annotations/NAME, is read too.
"""

from pathlib import Path

from rotomask.data.benchmarks.folders import image_files, pair_masks, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError
from rotomask.masks import read_grey

SEQUENCES = 22

TRUTH_FOLDERS = ("groundtruth", "gt", "mask", "masks", "annotations")
"""Names of the folder of a sequence's masks, in lower case."""

KEY_FRAMES = (0, 16, 32, 48, 64, 80, 96)
DISTANCES = (8, 16, 32)


def jumpcut(root: str | Path, split: str = "all") -> VideoDataset:
    """JumpCut: masks are transferred from key frames to later frames.

    The method gets the masks of the key frames 0, 16, ..., 96 and is scored 8, 16 and 32 frames
    later. See `evaluation.protocols.jumpcut` for the layout of results.

    Raises:
        DatasetError: If there is no sequence, or a sequence has no masks.
        OptionError: If the split is unknown.
    """
    if split != "all":
        raise OptionError(f"jumpcut has no split {split!r}; choose from all")
    root = Path(root)
    require_folder(root, "JumpCut")
    folders = sorted(_folders(root), key=lambda pair: pair[0].name)
    if not folders:
        raise DatasetError(
            f"JumpCut is incomplete: no sequence with a folder of masks "
            f"({', '.join(TRUTH_FOLDERS)}) in {root}"
        )
    return VideoDataset(
        benchmark="jumpcut",
        split=split,
        root=root,
        sequences=tuple(_sequence(pictures, truth) for pictures, truth in folders),
        official_count=SEQUENCES,
    )


def transfers(frame_count: int, distance: int) -> tuple[tuple[int, int], ...]:
    """(key frame, frame at a distance from it) as indices, for all key frames of a sequence."""
    return tuple((key, key + distance) for key in KEY_FRAMES if key + distance < frame_count)


def read_object(paths: tuple[Path, ...]) -> Labels:
    """The object of a black and white mask, H×W uint8: 1 where it is white."""
    mask: Labels = (read_grey(paths[0]) > 127).astype("uint8")
    return mask


def _folders(root: Path) -> list[tuple[Path, Path]]:
    """(folder of images, folder of masks) of each sequence."""
    if (root / "JPEGImages").is_dir() or (root / "Annotations").is_dir():
        truth = require_folder(root / "Annotations", "JumpCut")
        return [(root / "JPEGImages" / folder.name, folder) for folder in subfolders(truth)]
    pairs = []
    for folder in subfolders(root):
        for candidate in (folder, *subfolders(folder)):
            truth_folders = [p for p in subfolders(candidate) if p.name.lower() in TRUTH_FOLDERS]
            if truth_folders:
                pairs.append((candidate, truth_folders[0]))
    return pairs


def _sequence(pictures: Path, truth: Path) -> VideoSequence:
    images = image_files(pictures) if pictures.is_dir() else []
    masks = image_files(truth)
    if not masks:
        raise DatasetError(f"sequence {pictures.name} has no masks in {truth}")
    frames, mask_index = pair_masks(pictures.name, images, masks)
    ends = {end for distance in DISTANCES for _, end in transfers(len(frames), distance)}
    return VideoSequence(
        name=pictures.name,
        frame_names=frames,
        images=tuple(images),
        annotations={frame: (masks[i],) for frame, i in mask_index.items()},
        read_annotation=read_object,
        object_ids=(1,),
        reference_frames={1: frames[0]},
        scored={1: tuple(frames[i] for i in sorted(ends) if frames[i] in mask_index)},
        merged=True,
    )
