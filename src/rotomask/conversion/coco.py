"""COCO and YouTube-VIS: JSON with a run-length mask for each object and frame.

COCO (https://cocodataset.org/#format-data) has images, not videos: `object_id` of an annotation,
or `track_id`, tells which object it is; without either, the category does. YouTube-VIS
(https://youtube-vos.org/dataset/vis) has a list with a mask or null for each frame.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import ReadOptions, frame_size, read_json, require
from rotomask.data.training.segmentations import segmentation_fault
from rotomask.errors import DatasetError
from rotomask.export.shapes import bounding_box, to_rle
from rotomask.masks import object_ids, object_mask

COCO_FILE, VIS_FILE = "annotations.json", "instances.json"


def read_coco(path: Path, options: ReadOptions) -> LabelledVideo:
    """The frames of a COCO file, in the order of their image ids.

    Raises:
        DatasetError: If it is damaged, its images differ in size, or objects cannot be told apart.
    """
    content = read_json(path)
    names = _category_names(content, path)
    images = sorted(require(content, "images", path), key=lambda i: int(require(i, "id", path)))
    if not images:
        raise DatasetError(f"{path} has no images")
    sizes = {frame_size(i.get("height"), i.get("width"), path) for i in images}
    if len(sizes) > 1:
        raise DatasetError(f"the images of {path} differ in size; a video has one")
    (size,) = sizes
    found: dict[int, dict[int, Any]] = defaultdict(dict)
    objects: dict[int, str] = {}
    for item in require(content, "annotations", path):
        image, object_id = require(item, "image_id", path), _object_id(item, path)
        if object_id in found[image]:
            raise DatasetError(
                f"{path} has object {object_id} twice in image {image}; give every annotation an "
                "object_id or track_id"
            )
        found[image][object_id] = item
        objects.setdefault(object_id, names.get(item.get("category_id"), f"object {object_id}"))
    ids = [image["id"] for image in images]

    def read(index: int) -> Labels:
        segmentations = {k: v["segmentation"] for k, v in found[ids[index]].items()}
        return _paint(segmentations, size, path)

    frames = tuple(PurePosixPath(str(require(i, "file_name", path))).stem for i in images)
    return LabelledVideo(path.parent.name or path.stem, size, frames, read, _named(objects))


def read_youtube_vis(path: Path, options: ReadOptions) -> LabelledVideo:
    """A video of a YouTube-VIS file.

    Raises:
        DatasetError: If it is damaged, or has no such video.
        OptionError: If it has several and none is named.
    """
    content = read_json(path)
    names = _category_names(content, path)
    videos = {_video_name(v, path): v for v in require(content, "videos", path)}
    name = options.choose(list(videos), path)
    video = videos[name]
    size = frame_size(video.get("height"), video.get("width"), path)
    files = require(video, "file_names", path)
    tracks = [
        a
        for a in require(content, "annotations", path)
        if require(a, "video_id", path) == require(video, "id", path)
    ]
    ids = [int(track.get("id", number)) for number, track in enumerate(tracks, start=1)]
    if len({*ids}) < len(ids) or any(not 0 < k < 1 << 16 for k in ids):
        ids = list(range(1, len(tracks) + 1))
    for track in tracks:
        if len(require(track, "segmentations", path)) != len(files):
            raise DatasetError(f"{path}: a track of {name} has not one mask for each frame")

    def read(index: int) -> Labels:
        found = {k: t["segmentations"][index] for k, t in zip(ids, tracks, strict=True)}
        return _paint({k: s for k, s in found.items() if s is not None}, size, path)

    objects = {
        k: names.get(t.get("category_id"), f"object {k}") for k, t in zip(ids, tracks, strict=True)
    }
    frames = tuple(PurePosixPath(str(file)).stem for file in files)
    return LabelledVideo(name, size, frames, read, _named(objects))


def coco_outputs(video: LabelledVideo) -> Iterator[str]:
    """The path that `write_coco` writes."""
    yield COCO_FILE


def write_coco(video: LabelledVideo, save: Save) -> None:
    """``annotations.json`` with an image for each frame."""
    height, width = video.size
    annotations: list[dict[str, Any]] = []
    seen: set[int] = set()
    for index, _, labels in video.frames():
        for object_id in object_ids(labels):
            mask = object_mask(labels, object_id)
            seen.add(object_id)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": object_id,
                    "object_id": object_id,
                    "iscrowd": 0,
                    "area": int(mask.sum()),
                    "bbox": bounding_box(mask),
                    "segmentation": to_rle(mask),
                }
            )
    images = [
        {"id": number, "file_name": f"{name}.png", "width": width, "height": height}
        for number, name in enumerate(video.frame_names, start=1)
    ]
    content = {"images": images, "annotations": annotations, "categories": _categories(video, seen)}
    with save(COCO_FILE) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def youtube_vis_outputs(video: LabelledVideo) -> Iterator[str]:
    """The path that `write_youtube_vis` writes."""
    yield VIS_FILE


def write_youtube_vis(video: LabelledVideo, save: Save) -> None:
    """``instances.json`` with a track for each object."""
    height, width = video.size
    head = {"width": width, "height": height, "length": len(video)}
    tracks: dict[int, dict[str, Any]] = {}
    for index, _, labels in video.frames():
        for object_id in object_ids(labels):
            mask = object_mask(labels, object_id)
            if object_id not in tracks:
                empty = {key: [None] * len(video) for key in ("segmentations", "bboxes", "areas")}
                tracks[object_id] = {
                    "id": object_id,
                    "video_id": 1,
                    "category_id": object_id,
                    "iscrowd": 0,
                    **head,
                    **empty,
                }
            track = tracks[object_id]
            track["segmentations"][index] = to_rle(mask)
            track["bboxes"][index] = bounding_box(mask)
            track["areas"][index] = int(mask.sum())
    files = [f"{video.name}/{name}.png" for name in video.frame_names]
    content = {
        "videos": [{"id": 1, "file_names": files, **head}],
        "annotations": [tracks[k] for k in sorted(tracks)],
        "categories": _categories(video, set(tracks)),
    }
    with save(VIS_FILE) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _categories(video: LabelledVideo, ids: set[int]) -> list[dict[str, Any]]:
    return [{"id": k, "name": video.object_name(k), "supercategory": "object"} for k in sorted(ids)]


def _category_names(content: object, path: Path) -> dict[object, str]:
    listed = require(content, "categories", path)
    return {require(c, "id", path): str(c.get("name", "object")) for c in listed}


def _named(objects: Mapping[int, str]) -> dict[int, str]:
    """Names without those that say nothing more than the id."""
    return {k: name for k, name in objects.items() if name not in ("object", f"object {k}")}


def _object_id(item: Any, path: Path) -> int:
    """Which object an annotation is of: 1 to 65,535."""
    for key in ("object_id", "track_id", "category_id"):
        value = item.get(key) if isinstance(item, Mapping) else None
        if value is None and isinstance(item, Mapping):
            attributes = item.get("attributes")
            value = attributes.get(key) if isinstance(attributes, Mapping) else None
        if isinstance(value, int) and 0 < value < 1 << 16:
            return value
    raise DatasetError(f"{path}: an annotation has no object_id, track_id or category_id above 0")


def _video_name(video: Any, path: Path) -> str:
    """The folder of a video's frames, or its id."""
    files = require(video, "file_names", path)
    folder = PurePosixPath(str(files[0])).parent.name if files else ""
    return folder or f"video {require(video, 'id', path)}"


def _paint(segmentations: Mapping[int, Any], size: tuple[int, int], path: Path) -> Labels:
    """Labels H×W of segmentations by object; where two overlap, the higher id counts."""
    labels = np.zeros(size, np.int32)
    for object_id, segmentation in sorted(segmentations.items()):
        fault = segmentation_fault(segmentation, *size)
        if fault is not None:
            raise DatasetError(f"{path}: object {object_id}: {fault}")
        if isinstance(segmentation, list):
            parts = coco_mask.frPyObjects(segmentation, *size)
            encoded = coco_mask.merge(parts) if parts else None
        elif isinstance(segmentation["counts"], list):
            encoded = coco_mask.frPyObjects(segmentation, *size)
        else:
            encoded = segmentation
        if encoded is not None:
            labels[coco_mask.decode(encoded) > 0] = object_id
    return labels
