"""Label Studio: JSON of tasks, one for each frame, with brush masks as packed run lengths.

See https://labelstud.io/guide/export and the ``BrushLabels`` tag. The configuration that shows them
is in ``config.xml``.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import (
    ReadOptions,
    common_size,
    frame_size,
    number_objects,
    read_json,
    require,
)
from rotomask.conversion.run_lengths import from_bit_stream, to_bit_stream
from rotomask.errors import DatasetError
from rotomask.masks import object_ids, object_mask

FILE, CONFIG = "tasks.json", "config.xml"
_OURS = re.compile(r"object-(\d{1,5})-")


def read_label_studio(path: Path, options: ReadOptions) -> LabelledVideo:
    """The brush masks of exported tasks, in the order of the file; each label is an object.

    Raises:
        DatasetError: If it is damaged, or no task has a brush mask.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not tasks:
        raise DatasetError(f"{path} must be a list of tasks, as Label Studio exports them")
    results = [_brushes(task, path) for task in tasks]
    all_brushes = [brush for brushes in results for brush in brushes]
    if not all_brushes and options.size is None:
        raise DatasetError(f"{path} has no brush mask, so it does not say the size of the frames")
    sizes = {
        frame_size(b.get("original_height"), b.get("original_width"), path) for b in all_brushes
    } or {options.size or (1, 1)}
    size = common_size(sizes, path)
    keys = [_key(brush, path) for brush in all_brushes]
    ids = number_objects(keys, lambda key: key[3:] if key.startswith("id ") else None)

    def read(index: int) -> Labels:
        labels = np.zeros(size, np.int32)
        for brush in sorted(results[index], key=lambda b: ids[_key(b, path)]):
            value = require(brush, "value", path)
            try:
                mask = from_bit_stream(require(value, "rle", path), size)
            except (ValueError, TypeError, OverflowError) as error:
                raise DatasetError(f"{path}: a mask of task {index + 1}: {error}") from error
            labels[mask] = ids[_key(brush, path)]
        return labels

    objects = {ids[_key(b, path)]: _label(b, path) for b in all_brushes}
    named = {k: name for k, name in objects.items() if name != f"object {k}"}
    return LabelledVideo(path.parent.name or path.stem, size, _names(tasks, path), read, named)


def label_studio_outputs(video: LabelledVideo) -> Iterator[str]:
    """Paths that `write_label_studio` writes."""
    yield FILE
    yield CONFIG


def write_label_studio(video: LabelledVideo, save: Save) -> None:
    """``tasks.json`` with a task for each frame, and the labelling configuration."""
    height, width = video.size
    tasks, seen = [], set()
    for index, name, labels in video.frames():
        results = []
        for object_id in object_ids(labels):
            seen.add(object_id)
            rle = to_bit_stream(object_mask(labels, object_id))
            label = video.object_name(object_id)
            results.append(
                {
                    "id": f"object-{object_id}-{index}",
                    "type": "brushlabels",
                    "from_name": "tag",
                    "to_name": "image",
                    "origin": "manual",
                    "image_rotation": 0,
                    "original_width": width,
                    "original_height": height,
                    "value": {"format": "rle", "rle": rle, "brushlabels": [label]},
                }
            )
        tasks.append({"data": {"image": f"{name}.png"}, "annotations": [{"result": results}]})
    with save(FILE) as temporary:
        temporary.write_text(json.dumps(tasks), encoding="utf-8")
    listed = "\n".join(
        f"    <Label value={quoteattr(video.object_name(k))}/>" for k in sorted(seen)
    )
    with save(CONFIG) as temporary:
        temporary.write_text(
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <BrushLabels name="tag" toName="image">\n{listed}\n  </BrushLabels>\n</View>\n',
            encoding="utf-8",
        )


def _brushes(task: object, path: Path) -> list[Mapping[str, Any]]:
    """The brush masks of the last annotation of a task, or of its last prediction."""
    for key in ("annotations", "predictions"):
        entries = task.get(key) if isinstance(task, Mapping) else None
        if entries:
            results = require(entries[-1], "result", path)
            return [r for r in results if require(r, "type", path) == "brushlabels"]
    return []


def _label(brush: Mapping[str, Any], path: Path) -> str:
    labels = require(require(brush, "value", path), "brushlabels", path)
    return str(labels[0]) if labels else ""


def _key(brush: Mapping[str, Any], path: Path) -> str:
    """What tells its object: our id, else the label."""
    ours = _OURS.match(str(brush.get("id", "")))
    return f"id {ours[1]}" if ours else _label(brush, path)


def _names(tasks: list[Any], path: Path) -> tuple[str, ...]:
    names = []
    for task in tasks:
        data = require(task, "data", path)
        file = next((str(v) for v in data.values() if isinstance(v, str)), "")
        names.append(PurePosixPath(file.partition("?")[0]).stem)
    return tuple(names)
