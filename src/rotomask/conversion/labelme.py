"""LabelMe (https://github.com/wkentaro/labelme): a JSON file for each frame.

Masks are written as its shape type ``mask``: a box by two corners, both inside it, and a PNG of the
pixels within. ``group_id`` is the object's id.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import (
    ReadOptions,
    common_size,
    frame_size,
    number_objects,
    read_json,
    require,
)
from rotomask.conversion.run_lengths import BoolMask
from rotomask.errors import DatasetError
from rotomask.files import natural_key
from rotomask.masks import object_ids, object_mask

_VERSION = "5.5.0"
_MOST_PIXELS = 1 << 26


def read_labelme(path: Path, options: ReadOptions) -> LabelledVideo:
    """The masks, polygons and rectangles of a folder of LabelMe files, in the order of their names.

    Objects are told apart by their group, else by their label.

    Raises:
        DatasetError: If a file is damaged, or they differ in size.
    """
    files = sorted(path.glob("*.json"), key=lambda p: natural_key(p.name))
    if not files:
        raise DatasetError(f"{path} has no LabelMe files (*.json)")
    keys: dict[tuple[str, str], str] = {}
    sizes = set()
    for file in files:
        content = read_json(file)
        height, width = require(content, "imageHeight", file), require(content, "imageWidth", file)
        sizes.add(frame_size(height, width, file))
        for shape in require(content, "shapes", file):
            keys.setdefault(_key(shape, file), str(require(shape, "label", file)))
    size = common_size(sizes, path)
    ids = number_objects(keys, lambda key: key[1] if key[0] == "group" else None)

    def read(index: int) -> Labels:
        labels = np.zeros(size, np.int32)
        shapes = require(read_json(files[index]), "shapes", files[index])
        for shape in sorted(shapes, key=lambda s: ids[_key(s, files[index])]):
            labels[_mask(shape, size, files[index])] = ids[_key(shape, files[index])]
        return labels

    objects = {ids[key]: name for key, name in keys.items() if name != f"object {ids[key]}"}
    names = tuple(file.stem for file in files)
    return LabelledVideo(path.name, size, names, read, objects)


def labelme_outputs(video: LabelledVideo) -> Iterator[str]:
    """Paths that `write_labelme` writes."""
    return (f"{name}.json" for name in video.frame_names)


def write_labelme(video: LabelledVideo, save: Save) -> None:
    """A JSON file for each frame, to be put beside the frames' images."""
    height, width = video.size
    for _, name, labels in video.frames():
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": [_shape(video, labels, object_id) for object_id in object_ids(labels)],
            "imagePath": f"{name}.png",
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        with save(f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")


def _shape(video: LabelledVideo, labels: Labels, object_id: int) -> dict[str, Any]:
    mask = object_mask(labels, object_id)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    png = io.BytesIO()
    Image.fromarray(mask[y : y + height, x : x + width]).save(png, "PNG")
    return {
        "label": video.object_name(object_id),
        # The last pixel of the box, not the edge behind it, as LabelMe has it.
        "points": [[x, y], [x + width - 1, y + height - 1]],
        "group_id": object_id,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(png.getvalue()).decode("ascii"),
    }


def _key(shape: Any, file: Path) -> tuple[str, str]:
    group = shape.get("group_id") if isinstance(shape, dict) else None
    if group is not None:
        return "group", str(group)
    return "label", str(require(shape, "label", file))


def _mask(shape: Any, size: tuple[int, int], file: Path) -> BoolMask:
    """The mask H×W of a shape.

    Raises:
        DatasetError: If it is damaged, or of a type that has no area.
    """
    kind = shape.get("shape_type", "polygon")
    try:
        points = np.array(require(shape, "points", file), np.float64).reshape(-1, 2)
        # `not all <=` and not `any >`: NaN compares as False with anything.
        if not (np.abs(points) <= 1 << 16).all():
            raise ValueError("a point far outside of the image")
        # N×2 int32, px, as `fillPoly` takes them.
        corners = np.round(points).astype(np.int32)
        painted = np.zeros(size, np.uint8)
        if kind == "polygon":
            cv2.fillPoly(painted, [corners], 1)
        elif kind == "rectangle":
            cv2.rectangle(painted, corners[0].tolist(), corners[1].tolist(), 1, cv2.FILLED)
        elif kind == "mask":
            _paste(painted, corners[0], _png(require(shape, "mask", file)))
        else:
            raise ValueError(f"shapes of type {kind} have no area")
    except (ValueError, IndexError, TypeError, OSError) as error:
        raise DatasetError(f"{file}: a shape is damaged: {error}") from error
    return painted > 0


def _png(text: str) -> BoolMask:
    with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"a mask of {image.width}x{image.height}")
        return np.asarray(image.convert("L")) > 0


def _paste(painted: Any, corner: Any, mask: BoolMask) -> None:
    x, y = int(corner[0]), int(corner[1])
    height, width = mask.shape
    if x < 0 or y < 0 or painted[y : y + height, x : x + width].shape != mask.shape:
        raise ValueError(f"a mask of {width}x{height} at {x},{y} reaches out of the image")
    painted[y : y + height, x : x + width] = mask
