"""Reader of FBMS-59 (Ochs et al. 2014).

    ROOT/Testset/NAME/NAME_0001.jpg
    ROOT/Testset/NAME/GroundTruth/NAMEDef.dat, NAME_0001_gt.ppm or NAME_0001.pgm
    ROOT/Trainingset/...

A .ppm has colours, a .pgm greys; each value is a region. The .dat file lists the regions' values
and the labelled frames. The background is white in a .ppm and black in a .pgm.
"""

import functools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.data.benchmarks.folders import image_files, require_folder, subfolders
from rotomask.data.benchmarks.label_files import Labels, read_label_image
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, MaskError, OptionError
from rotomask.masks.pages import IMAGE_ERRORS
from rotomask.memory import check_memory

SPLITS = {"test": "Testset", "train": "Trainingset"}
SPLIT_SIZES = {"test": 30, "train": 29}

WHITE = 0xFFFFFF


def fbms(root: str | Path, split: str = "test") -> VideoDataset:
    """FBMS-59: no masks for the method; only the labelled frames are scored.

    The background is region 0. The other regions are 1, 2, ... in the order of the .dat file or,
    without one, of their values.

    Raises:
        OptionError: If the split is unknown.
        DatasetError: If a folder or a labelled frame is missing.
    """
    root = Path(root)
    if split not in SPLITS:
        raise OptionError(f"fbms has no split {split!r}; choose from {', '.join(SPLITS)}")
    require_folder(root, "FBMS-59")
    folder = require_folder(root / SPLITS[split], "FBMS-59")
    sequences = tuple(_sequence(path) for path in subfolders(folder))
    if not sequences:
        raise DatasetError(f"FBMS-59 is incomplete: {folder} has no sequence")
    return VideoDataset(
        benchmark="fbms",
        split=split,
        root=root,
        sequences=sequences,
        official_count=SPLIT_SIZES[split],
    )


def read_regions(paths: tuple[Path, ...], values: tuple[int, ...]) -> Labels:
    """Labels of one file: i where its value is `values[i]`, 0 for other values; H×W uint8."""
    stored = _stored_values(paths[0])
    labels = np.zeros(stored.shape, np.uint8)
    for label, value in enumerate(values):
        if label:
            labels[stored == value] = label
    return labels


def _stored_values(path: Path) -> npt.NDArray[np.integer]:
    """Grey values, or colours as 0xRRGGBB: H×W integers."""
    try:
        with Image.open(path) as image:
            if image.mode == "RGB":
                rgb = np.asarray(image).astype(np.int32)
                packed: npt.NDArray[np.int32] = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
                return packed
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise MaskError(f"{path} is not a readable image: {error}") from error
    return read_label_image(path)


def _sequence(folder: Path) -> VideoSequence:
    truth = require_folder(folder / "GroundTruth", "FBMS-59")
    images = image_files(folder)
    definitions = sorted(truth.glob("*.dat"))
    files = [p for p in image_files(truth) if "PROB" not in p.name and p.suffix != ".jpg"]
    if not files:
        raise DatasetError(f"sequence {folder.name} has no labelled frames in {truth}")
    if definitions:
        values, listed = _read_definition(definitions[0])
        missing = [name for _, name in listed if not (truth / name).is_file()]
        if missing:
            raise DatasetError(
                f"sequence {folder.name} lacks {len(missing)} of {len(listed)} labelled frames "
                f"({', '.join(missing[:5])}); download the rest of the data set"
            )
        by_index = {index: truth / name for index, name in listed}
    else:
        values = _values_of(files)
        by_index = {_frame_index(images or files, path): path for path in files}
    if not images:  # the labelled frames alone are scored
        by_index = dict(enumerate(path for _, path in sorted(by_index.items())))
    names = tuple(p.stem for p in images) or tuple(_image_stem(p) for p in by_index.values())
    beyond = [str(index) for index in by_index if not 0 <= index < len(names)]
    if beyond:
        raise DatasetError(
            f"sequence {folder.name} has {len(names)} images but labels for frame "
            f"{', '.join(beyond[:5])}; download the rest of the data set"
        )
    colours = any(path.suffix == ".ppm" for path in by_index.values())
    values = _background_first(values, WHITE if colours else 0)
    scored = tuple(names[index] for index in sorted(by_index))
    ids = tuple(range(len(values)))
    return VideoSequence(
        name=folder.name,
        frame_names=names,
        images=tuple(images),
        annotations={names[index]: (path,) for index, path in sorted(by_index.items())},
        read_annotation=functools.partial(read_regions, values=values),
        object_ids=ids[1:],
        scored=dict.fromkeys(ids[1:] or (0,), scored),
    )


def _read_definition(path: Path) -> tuple[tuple[int, ...], list[tuple[int, str]]]:
    """The regions' values, and (index, file name) of each labelled frame, from a .dat file."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    try:
        count = int(lines[_after(lines, "Total number of regions")])
        start = _after(lines, "Total number of regions") + 1
        values = tuple(int(line) for line in lines[start : start + count])
        numbers = [int(lines[i + 1]) for i, x in enumerate(lines) if x.startswith("Frame number")]
        names = [lines[i + 1] for i, x in enumerate(lines) if x.startswith("File name")]
        if len(values) != count:
            raise ValueError("the file ends early")
        return values, list(zip(numbers, names, strict=True))
    except (ValueError, IndexError) as error:
        raise DatasetError(
            f"{path} is not a ground truth definition: {error}; download it again"
        ) from error


def _after(lines: list[str], title: str) -> int:
    """Index of the line after the one that starts with `title`."""
    for index, line in enumerate(lines):
        if line.startswith(title):
            return index + 1
    raise ValueError(f"there is no line {title!r}")


def _values_of(files: list[Path]) -> tuple[int, ...]:
    """All values in the files, rising."""
    values: set[int] = set()
    for path in files:
        values |= {int(value) for value in np.unique(_stored_values(path))}
    return tuple(sorted(values))


def _frame_index(images: list[Path], labelled: Path) -> int:
    """Index of the image of a labelled frame: the same stem, else the same last number."""
    stem = _image_stem(labelled)
    stems = [_image_stem(image) for image in images]
    if stem in stems:
        return stems.index(stem)
    number = _last_number(stem)
    numbers = [_last_number(other) for other in stems]
    if number is None or number not in numbers:
        raise DatasetError(f"{labelled} has no image; download the rest of the data set")
    return numbers.index(number)


def _image_stem(labelled: Path) -> str:
    """Stem of the image of a labelled frame, as far as its name tells."""
    return re.sub(r"_gt$", "", labelled.stem)


def _last_number(stem: str) -> int | None:
    digits = re.findall(r"[0-9]+", stem)
    return int(digits[-1]) if digits else None


def _background_first(values: tuple[int, ...], background: int) -> tuple[int, ...]:
    """The regions' values with the background in front; by default the first is the background."""
    if background not in values:
        background = values[0]
    return (background, *(value for value in values if value != background))
