"""JumpCut (Fan et al. 2015) as it is on disk.

    ROOT/GROUP/NAME/...       GROUP: ANIMAL, HUMAN, ...; or no groups

where NAME holds the pictures and, in a folder GroundTruth (or GT, mask, masks, Annotations), a
black and white mask of each; or, as other data sets have it, ROOT/JPEGImages/NAME and
ROOT/Annotations/NAME.
"""

from pathlib import Path

from rotomask.data.benchmarks.folders import image_files, pair_masks, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError
from rotomask.masks import read_grey

SEQUENCES = 22

TRUTH_FOLDERS = ("groundtruth", "gt", "mask", "masks", "annotations")
"""Names, in any letter case, of the folder with a sequence's masks."""

KEY_FRAMES = (0, 16, 32, 48, 64, 80, 96)
DISTANCES = (8, 16, 32)


def jumpcut(root: str | Path, split: str = "all") -> VideoDataset:
    """JumpCut: masks are transferred from key frames over a distance.

    Every sequence is given in its key frames 0, 16, ..., 96 and scored 8, 16 and 32 frames later,
    where it has such frames. See `evaluation.protocols.jumpcut` for how results are stored.

    Raises:
        DatasetError: If there is no sequence, or one lacks masks.
    """
    root = Path(root)
    require_folder(root, "JumpCut")
    found = sorted(_folders(root), key=lambda pair: pair[0].name)
    if not found:
        raise DatasetError(
            f"JumpCut is incomplete: no sequence with a folder of masks "
            f"({', '.join(TRUTH_FOLDERS)}) in {root}"
        )
    return VideoDataset(
        benchmark="jumpcut",
        split=split,
        root=root,
        sequences=tuple(_sequence(pictures, truth) for pictures, truth in found),
        official_count=SEQUENCES,
    )


def transfers(frame_count: int, distance: int) -> tuple[tuple[int, int], ...]:
    """Index of every key frame and of the frame at this distance from it."""
    return tuple((key, key + distance) for key in KEY_FRAMES if key + distance < frame_count)


def read_object(paths: tuple[Path, ...]) -> Labels:
    """1 where the mask is white: H×W uint8."""
    mask: Labels = (read_grey(paths[0]) > 127).astype("uint8")
    return mask


def _folders(root: Path) -> list[tuple[Path, Path]]:
    """(pictures, masks) of every sequence."""
    if (root / "JPEGImages").is_dir():
        truth = require_folder(root / "Annotations", "JumpCut")
        return [(root / "JPEGImages" / folder.name, folder) for folder in subfolders(truth)]
    found = []
    for folder in subfolders(root):
        for candidate in (folder, *subfolders(folder)):
            truth_folders = [p for p in subfolders(candidate) if p.name.lower() in TRUTH_FOLDERS]
            if truth_folders:
                found.append((candidate, truth_folders[0]))
    return found


def _sequence(pictures: Path, truth: Path) -> VideoSequence:
    images = image_files(require_folder(pictures, "JumpCut"))
    masks = image_files(truth)
    if not masks:
        raise DatasetError(f"sequence {pictures.name} has no masks in {truth}")
    frames, place = pair_masks(pictures.name, images, masks)
    ends = {end for distance in DISTANCES for _, end in transfers(len(frames), distance)}
    return VideoSequence(
        name=pictures.name,
        frame_names=frames,
        images=tuple(images),
        annotations={frame: (masks[i],) for frame, i in place.items()},
        read_annotation=read_object,
        object_ids=(1,),
        reference_frames={1: frames[0]},
        scored={1: tuple(frames[i] for i in sorted(ends) if frames[i] in place)},
        merged=True,
    )
