"""Reader of DAVIS 2016 and 2017.

    ROOT/JPEGImages/480p/NAME/00000.jpg     (or Full-Resolution, or any other folder)
    ROOT/Annotations/480p/NAME/00000.png
    ROOT/Annotations_unsupervised/480p/NAME/00000.png      (DAVIS-2017 unsupervised)
    ROOT/ImageSets/2016/val.txt, ROOT/ImageSets/480p/val.txt, ROOT/ImageSets/2017/val.txt

Without ImageSets, a split has all sequences of the Annotations folder. JPEGImages is not needed to
score masks.
"""

from pathlib import Path

from rotomask.data.benchmarks.folders import (
    images_by_stem,
    require_folder,
    require_frames,
    subfolders,
)
from rotomask.data.benchmarks.label_files import Labels, read_foreground, read_label_image
from rotomask.data.sequences import VideoDataset, VideoSequence, read_single
from rotomask.errors import DatasetError, OptionError

VOID = 255

SPLIT_SIZES = {
    ("2016", "train"): 30,
    ("2016", "val"): 20,
    ("2017", "train"): 60,
    ("2017", "val"): 30,
    ("2017", "test-dev"): 30,
    ("2017", "test-challenge"): 30,
}


_UNSTEADY_NAMES = (
    "bmx-bumps bmx-trees breakdance breakdance-flare dance-twirl dog dog-agility drift-chicane "
    "goat horsejump-high horsejump-low libby lucia mallard-fly motocross-jump motorbike "
    "paragliding parkour rollerblade scooter-gray soccerball swing tennis"
)
UNSTEADY = frozenset(_UNSTEADY_NAMES.split())
"""Sequences of DAVIS-2016 without temporal stability, as they have occlusions and the like."""


def davis2016(root: str | Path, split: str = "val") -> VideoDataset:
    """DAVIS-2016: one object, any label but 0; the first and last frame are not scored.

    Raises:
        DatasetError: If a folder, a sequence of the split or a frame's annotation is missing.
        OptionError: If the split is unknown.
    """
    root = Path(root)
    annotations = _resolution(root, "Annotations", "DAVIS-2016")
    sequences = []
    for name in _names(root, annotations, "2016", split):
        frames, images, masks = _files(root, annotations, name)
        sequences.append(
            VideoSequence(
                name=name,
                frame_names=frames,
                images=images,
                annotations=masks,
                read_annotation=_foreground,
                object_ids=(1,),
                reference_frames={1: frames[0]},
                scored={1: frames[1:-1]},
                merged=True,
                has_stability=name not in UNSTEADY,
            )
        )
    return VideoDataset(
        benchmark="davis2016",
        split=split,
        root=root,
        sequences=tuple(sequences),
        official_count=SPLIT_SIZES.get(("2016", split)),
    )


def davis2017(root: str | Path, split: str = "val") -> VideoDataset:
    """DAVIS-2017 semi-supervised; the first and last frame are not scored.

    A sequence has the objects 1 to the largest id in its first frame; 255 is read as background.

    Raises:
        DatasetError: If a folder, a sequence of the split or a frame's annotation is missing.
        OptionError: If the split is unknown.
    """
    return _davis2017(Path(root), split, unsupervised=False)


def davis2017_unsupervised(root: str | Path, split: str = "val") -> VideoDataset:
    """DAVIS-2017 unsupervised: no masks for the method, all frames are scored, 255 is void.

    The annotations are read from ``Annotations_unsupervised`` or, if that folder is missing, from
    ``Annotations``, which differs in some sequences.

    Raises:
        DatasetError: If a folder, a sequence of the split or a frame's annotation is missing.
        OptionError: If the split is unknown.
    """
    return _davis2017(Path(root), split, unsupervised=True)


def _davis2017(root: Path, split: str, *, unsupervised: bool) -> VideoDataset:
    folder = "Annotations"
    if unsupervised and (root / "Annotations_unsupervised").is_dir():
        folder = "Annotations_unsupervised"
    annotations = _resolution(root, folder, "DAVIS-2017")
    sequences = []
    for name in _names(root, annotations, "2017", split):
        frames, images, masks = _files(root, annotations, name)
        first = read_label_image(masks[frames[0]][0])
        largest = int(first[first != VOID].max(initial=0))
        ids = tuple(range(1, largest + 1))
        if not ids:
            raise DatasetError(f"{masks[frames[0]][0]} has no object; every sequence must have one")
        sequences.append(
            VideoSequence(
                name=name,
                frame_names=frames,
                images=images,
                annotations=masks,
                read_annotation=read_single if unsupervised else _void_as_background,
                object_ids=ids,
                reference_frames={} if unsupervised else dict.fromkeys(ids, frames[0]),
                scored=dict.fromkeys(ids, _scored(frames, masks, unsupervised)),
                void_label=VOID if unsupervised else None,
            )
        )
    return VideoDataset(
        benchmark="davis2017-unsupervised" if unsupervised else "davis2017",
        split=split,
        root=root,
        sequences=tuple(sequences),
        official_count=SPLIT_SIZES.get(("2017", split)),
    )


def _scored(
    frames: tuple[str, ...], masks: dict[str, tuple[Path, ...]], unsupervised: bool
) -> tuple[str, ...]:
    if len(masks) < len(frames):
        return ()  # the annotations are not public (test-dev)
    return frames if unsupervised else frames[1:-1]


def _foreground(paths: tuple[Path, ...]) -> Labels:
    return read_foreground(paths[0])


def _void_as_background(paths: tuple[Path, ...]) -> Labels:
    labels = read_label_image(paths[0])
    if (labels == VOID).any():
        labels = labels.copy()
        labels[labels == VOID] = 0
    return labels


def _resolution(root: Path, folder: str, dataset: str) -> Path:
    """The subfolder of one resolution: 480p if it exists, else the first."""
    require_folder(root, dataset)
    resolutions = subfolders(require_folder(root / folder, dataset))
    preferred = [path for path in resolutions if path.name == "480p"]
    if not resolutions:
        raise DatasetError(
            f"{dataset} is incomplete: {root / folder} has no folder of a resolution, such as 480p"
        )
    return (preferred or resolutions)[0]


def _names(root: Path, annotations: Path, year: str, split: str) -> list[str]:
    """Names of the split's sequences from its list; all annotated ones if there are no lists."""
    folders = [root / "ImageSets" / year]
    if year == "2016":
        folders.append(root / "ImageSets" / annotations.name)  # as in the 2016 archive
    candidates = [folder / f"{split}.txt" for folder in folders]
    lists = [path for path in candidates if path.is_file()]
    annotated = [folder.name for folder in subfolders(annotations)]
    if lists:
        names = _read_list(lists[0])
        missing = [name for name in names if name not in annotated]
        if missing:
            raise DatasetError(
                f"{annotations} lacks {len(missing)} of the {len(names)} sequences in "
                f"{lists[0].name}: {', '.join(missing[:8])}"
                f"{', ...' * (len(missing) > 8)}; download the rest of the data set"
            )
        return names
    if (root / "ImageSets").is_dir():
        raise DatasetError(
            f"DAVIS-{year} is incomplete: there is no list {' or '.join(map(str, candidates))}"
        )
    splits = [name for of, name in SPLIT_SIZES if of == year]
    if split not in splits:
        raise OptionError(f"DAVIS-{year} has no split {split!r}; choose from {', '.join(splits)}")
    if not annotated:
        raise DatasetError(f"DAVIS-{year} is incomplete: {annotations} has no sequence")
    return annotated


def _read_list(path: Path) -> list[str]:
    """Sequence names of a list, which has one name per line or (2016) a frame's two paths."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: a list of sequences was expected") from error
    names: dict[str, None] = {}
    for line in lines:
        entry = line.strip()
        if "/" in entry:
            entry = Path(entry.split()[0]).parent.name
        if entry:
            names[entry] = None
    return list(names)


def _files(
    root: Path, annotations: Path, name: str
) -> tuple[tuple[str, ...], tuple[Path, ...], dict[str, tuple[Path, ...]]]:
    """Frame names, image files (none unless all are there) and annotation files of a sequence."""
    masks = images_by_stem(annotations / name)
    images = images_by_stem(root / "JPEGImages" / annotations.name / name)
    frames = tuple(images or masks)
    if not frames:
        raise DatasetError(f"{annotations / name} is empty; download the rest of the data set")
    if not set(masks) <= set(frames):  # images are missing, and masks are scored without them
        images, frames = {}, tuple(masks)
    if tuple(masks) != frames[:1] or len(frames) == 1:  # test-dev has only the first masks
        require_frames(name, frames, tuple(masks), "an annotation")
    return frames, tuple(images.values()), {frame: (path,) for frame, path in masks.items()}
