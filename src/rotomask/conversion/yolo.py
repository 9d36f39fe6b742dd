"""YOLO segmentation (https://docs.ultralytics.com/datasets/segment): a text file for each frame.

A line is a class and the corners of a polygon as fractions of width and height. Each object has a
class of its own. What it cannot hold: holes, and which parts are one object of a class.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import ReadOptions
from rotomask.errors import DatasetError, OptionError
from rotomask.export.shapes import to_polygons
from rotomask.files import natural_key
from rotomask.masks import object_ids, object_mask
from rotomask.masks.pages import IMAGE_ERRORS

NAMES_FILE = "data.yaml"
INSIDE = 0.25
"""Where in its pixel a corner is written, px: readers that cut the fraction off (Ultralytics) and
readers that round to the nearest number (supervision) both get the pixel."""
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def read_yolo(path: Path, options: ReadOptions) -> LabelledVideo:
    """The polygons of a folder with ``labels/*.txt``; class k is object k + 1.

    The size of the frames is that of an image in ``images/``, or `options.size`.

    Raises:
        DatasetError: If a file is damaged.
        OptionError: If the size is not known.
    """
    folder = path / "labels" if (path / "labels").is_dir() else path
    files = sorted(folder.glob("*.txt"), key=lambda p: natural_key(p.name))
    if not files:
        raise DatasetError(f"{folder} has no YOLO labels (*.txt)")
    size = options.size or _image_size(path / "images")
    if size is None:
        raise OptionError(f"{path} does not say the size of the frames; give --size WxH")
    size = (int(size[0]), int(size[1]))

    def read(index: int) -> Labels:
        labels = np.zeros(size, np.int32)
        for number, line in enumerate(_lines(files[index]), start=1):
            if line.strip():
                object_id, corners = _line(line, size, f"{files[index]}, line {number}")
                painted = np.zeros(size, np.uint8)
                cv2.fillPoly(painted, [corners], 1)
                labels[painted > 0] = object_id
        return labels

    names = tuple(file.stem for file in files)
    return LabelledVideo(path.name, size, names, read, _object_names(path / NAMES_FILE))


def yolo_outputs(video: LabelledVideo) -> Iterator[str]:
    """Paths that `write_yolo` writes."""
    yield NAMES_FILE
    yield from (f"labels/{name}.txt" for name in video.frame_names)


def write_yolo(video: LabelledVideo, save: Save) -> None:
    """``labels/NAME.txt`` for each frame, and ``data.yaml`` with the names of the classes."""
    height, width = video.size
    most = 0
    for _, name, labels in video.frames():
        lines = []
        # Outlines are filled: one that lies in another's hole must come after it.
        for object_id in sorted(object_ids(labels), key=lambda k: -int((labels == k).sum())):
            most = max(most, object_id)
            # No tolerance: reading the polygon again gives the pixels of the mask.
            for ring in to_polygons(object_mask(labels, object_id), tolerance_px=0):
                corners = _thick(ring["outer"])
                values = [
                    (p + INSIDE) / n for x, y in corners for p, n in ((x, width), (y, height))
                ]
                lines.append(" ".join([str(object_id - 1), *(f"{v:.8g}" for v in values)]))
        with save(f"labels/{name}.txt") as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    # Classes are numbered from 0, objects from 1. Ultralytics wants a name for every class up to
    # the largest, whether it occurs or not.
    names = {k - 1: video.object_name(k) for k in range(1, most + 1)}
    with save(NAMES_FILE) as temporary:
        # The keys that Ultralytics asks for; both splits are the same images.
        content = {"path": ".", "train": "images", "val": "images", "names": names}
        temporary.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _lines(path: Path) -> list[str]:
    """Lines of a text file.

    Raises:
        DatasetError: If it cannot be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text") from error


def _thick(ring: list[list[int]]) -> list[list[int]]:
    """A ring of three corners at least: a point or a line goes there and back."""
    # [a] -> [a, a, a], [a, b] -> [a, b, a]: polygons without area that still draw their line.
    return (ring * 3)[:3] if len(ring) < 3 else ring


def _line(line: str, size: tuple[int, int], where: str) -> tuple[int, np.ndarray]:
    """Object id and corners N×2 int32, px, of a line.

    Raises:
        DatasetError: If it is damaged.
    """
    try:
        kind, *numbers = line.split()
        # A line with an odd number of coordinates fails here, as a damaged one should.
        values = np.array(numbers, np.float64).reshape(-1, 2)
        object_id = int(kind) + 1
    except ValueError as error:
        raise DatasetError(f"{where}: a class and pairs of numbers were expected") from error
    if len(values) < 3 or not 0 < object_id < 1 << 16 or not (np.abs(values) <= 2).all():
        raise DatasetError(f"{where}: a class and three corners from 0 to 1 were expected")
    height, width = size
    corners = np.floor(values * [width, height] + 1e-3).astype(np.int32)  # 1e-3: their roundings
    return object_id, corners


def _image_size(folder: Path) -> tuple[int, int] | None:
    """Height and width of the first image of a folder."""
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.suffix.lower() in _IMAGES:
            try:
                with Image.open(path) as image:
                    return image.height, image.width
            except IMAGE_ERRORS as error:
                raise DatasetError(f"{path} is not an image that can be read") from error
    return None


def _object_names(path: Path) -> dict[int, str]:
    """Names by object id from data.yaml; none without the file."""
    try:
        names = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("names", {})
        listed = dict(enumerate(names)) if isinstance(names, list) else dict(names)
        # Aliases may make a list of lists exponentially large as text.
        if not all(isinstance(name, str | int | float) for name in listed.values()):
            raise ValueError("a name is no text")
        objects = {int(k) + 1: str(name) for k, name in listed.items()}
    except OSError:
        return {}
    except (
        *(yaml.YAMLError, ValueError, TypeError),
        *(AttributeError, OverflowError, RecursionError),
    ) as error:
        raise DatasetError(f"{path} has no readable names of classes") from error
    return {k: name for k, name in objects.items() if name != f"object {k}"}
