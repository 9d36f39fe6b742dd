"""Reader of YouTube-VOS 2018 and 2019.

    ROOT/train/meta.json
    ROOT/train/JPEGImages/VIDEO/00000.jpg
    ROOT/train/Annotations/VIDEO/00000.png
    ROOT/valid/...                       (the same; only first masks are public)
    ROOT/valid_all_frames/JPEGImages/... (all frames instead of every fifth)

ROOT may also be one of these folders. JPEGImages is not needed to score masks.
"""

import zlib
from pathlib import Path
from typing import Any

from rotomask.data.benchmarks.folders import images_by_stem, require_folder, require_frames
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError
from rotomask.files import load_json

HELD_OUT_COUNT = 150
"""Training videos used for validation, as in "Towards good practices" (2019), sec. 3.1."""

SPLITS = {"train": "train", "held-out": "train", "valid": "valid", "test": "test"}
"""Split -> its folder. The suffix "-all-frames" may be added to each."""

ALL_FRAMES = "-all-frames"


_SEEN_NAMES = (
    "airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck "
    "eagle earless_seal elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog "
    "horse knife leopard lion lizard monkey motorbike mouse others owl paddle parachute parrot "
    "penguin person plant rabbit raccoon sedan shark sheep sign skateboard snail snake "
    "snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella whale "
    "zebra"
)
SEEN_CATEGORIES = frozenset(_SEEN_NAMES.split())
"""The 65 categories of the training videos; all others are unseen."""


def youtube_vos(root: str | Path, split: str = "held-out") -> VideoDataset:
    """YouTube-VOS; an object may appear late and is scored after the frame of its first mask.

    Args:
        root: The data set's folder.
        split: "train", "held-out" (150 videos of train), "valid" or "test". With the suffix
            "-all-frames" sequences have all frames instead of every fifth; the same frames are
            scored.

    Raises:
        OptionError: If the split is unknown.
        DatasetError: If meta.json, a video, or a frame in meta.json is missing.
    """
    root = Path(root)
    every_frame = split.endswith(ALL_FRAMES)
    base = split.removesuffix(ALL_FRAMES)
    if base not in SPLITS:
        raise OptionError(
            f"youtube-vos has no split {split!r}; choose from {', '.join(SPLITS)}, "
            f"each also with {ALL_FRAMES}"
        )
    folder = _split_folder(root, SPLITS[base])
    pictures = folder
    if every_frame:
        pictures = folder.with_name(f"{folder.name}_all_frames")
        require_folder(pictures / "JPEGImages", "YouTube-VOS")
    videos = _read_meta(folder / "meta.json")
    names = held_out(list(videos)) if base == "held-out" else sorted(videos)
    return VideoDataset(
        benchmark="youtube-vos",
        split=split,
        root=root,
        sequences=tuple(_sequence(name, videos[name], folder, pictures) for name in names),
    )


def held_out(names: list[str], *, count: int = HELD_OUT_COUNT, seed: int = 0) -> list[str]:
    """A pseudo-random subset of the training videos, always the same for a seed.

    The paper does not list its videos. Here they are those with the smallest CRC-32 of their name
    (with the seed in front, unless it is 0): this needs no list, and stays the same if some videos
    are missing.

    Args:
        names: Names of the training videos.
        count: Size of the subset; all videos if there are fewer.
        seed: Seed of the subset; 0 gives the split "held-out".

    Raises:
        OptionError: If the count is below 1.
    """
    if count < 1:
        raise OptionError(f"at least 1 video is held out, got {count}")
    prefix = str(seed) if seed else ""
    shuffled = sorted(names, key=lambda name: (zlib.crc32(f"{prefix}{name}".encode()), name))
    return sorted(shuffled[:count])


def _split_folder(root: Path, name: str) -> Path:
    require_folder(root, "YouTube-VOS")
    if (root / name).is_dir():
        return root / name
    if (root / "meta.json").is_file():
        return root
    raise DatasetError(
        f"YouTube-VOS is incomplete: there is no folder {root / name} and no meta.json in {root}"
    )


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        videos = load_json(path)["videos"]
        if not isinstance(videos, dict):
            raise TypeError('"videos" is no object of names')
        return videos
    except OSError as error:
        raise DatasetError(f"YouTube-VOS is incomplete: {path} is missing") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path} is damaged ({error}); download it again") from error


def _sequence(name: str, meta: dict[str, Any], folder: Path, pictures: Path) -> VideoSequence:
    annotations = images_by_stem(folder / "Annotations" / name)
    images = images_by_stem(pictures / "JPEGImages" / name)
    if not annotations:
        raise DatasetError(
            f"video {name} has no annotation in {folder / 'Annotations' / name}; "
            "download the rest of the data set"
        )
    try:
        objects = {int(key): meta["objects"][key] for key in sorted(meta["objects"], key=int)}
        visible = {key: sorted(item["frames"]) for key, item in objects.items()}
        categories = {key: item["category"].replace(" ", "_") for key, item in objects.items()}
        first_frames = {key: frames[0] for key, frames in visible.items()}
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise DatasetError(
            f"meta.json is damaged in video {name} ({error!r}); download it again"
        ) from error
    require_frames(name, sorted(set(first_frames.values())), tuple(annotations), "the first mask")
    needed = sorted({frame for frames in visible.values() for frame in frames})
    if not set(needed) <= set(images):  # masks are scored without images
        images = {}
    frames = tuple(sorted(images or {*annotations, *needed}))
    return VideoSequence(
        name=name,
        frame_names=frames,
        images=tuple(images[frame] for frame in frames) if images else (),
        annotations={frame: (path,) for frame, path in annotations.items()},
        object_ids=tuple(objects),
        reference_frames=first_frames,
        scored=_scored(name, first_frames, visible, tuple(annotations)),
        submitted_frames=_submitted_frames(name, folder, needed, frames),
        categories=categories,
    )


def _submitted_frames(
    name: str, folder: Path, needed: list[str], frames: tuple[str, ...]
) -> tuple[str, ...]:
    """Frames of the 6 fps subset: those in JPEGImages, else those with objects in meta.json."""
    subset = sorted(images_by_stem(folder / "JPEGImages" / name)) or needed
    return tuple(frame for frame in frames if frame in set(subset))


def _scored(
    name: str,
    first_frames: dict[int, str],
    visible: dict[int, list[str]],
    annotated: tuple[str, ...],
) -> dict[int, tuple[str, ...]]:
    """Object id -> annotated frames after its first; none if only first masks are public."""
    in_meta = {f for frames in visible.values() for f in frames}
    if set(annotated) == set(first_frames.values()) != in_meta:
        return dict.fromkeys(first_frames, ())
    needed = sorted({frame for frames in visible.values() for frame in frames})
    require_frames(name, needed, annotated, "an annotation")
    ordered = sorted(annotated)
    return {key: tuple(f for f in ordered if f > first) for key, first in first_frames.items()}
