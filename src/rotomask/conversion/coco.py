"""COCO and YouTube-VIS: JSON with a run-length mask for each object and frame.

COCO (https://cocodataset.org/#format-data) has images, not videos: `object_id` of an annotation,
or `track_id`, tells which object it is; without either, the category does. YouTube-VIS
(https://youtube-vos.org/dataset/vis) has a list with a mask or null for each frame.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

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
from rotomask.conversion.run_lengths import BoolMask, to_runs
from rotomask.errors import DatasetError
from rotomask.export.annotation_streams import AnnotationStream, COCOStream, YouTubeVISStream
from rotomask.masks.segmentations import decode_segmentation, segmentation_fault

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
    size = common_size(sizes, path)
    # Image id -> object id -> annotation.
    items: dict[int, dict[int, Any]] = defaultdict(dict)
    objects: dict[int, str] = {}
    for item in require(content, "annotations", path):
        image, object_id = require(item, "image_id", path), _object_id(item, path)
        if object_id in items[image]:
            raise DatasetError(
                f"{path} has object {object_id} twice in image {image}; give every annotation an "
                "object_id or track_id"
            )
        items[image][object_id] = item
        objects.setdefault(object_id, names.get(item.get("category_id"), f"object {object_id}"))
    ids = [image["id"] for image in images]

    def read(index: int) -> Labels:
        # Painted when the frame is read: all masks of a video at once would take gigabytes.
        segmentations = {k: v["segmentation"] for k, v in items[ids[index]].items()}
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
    # Tracks of other videos have been left out, so their own numbers may begin anywhere.
    ids = number_objects(range(len(tracks)), lambda k: tracks[k].get("id", k + 1)).values()
    for track in tracks:
        if len(require(track, "segmentations", path)) != len(files):
            raise DatasetError(f"{path}: a track of {name} has not one mask for each frame")

    def read(index: int) -> Labels:
        segmentations = {k: t["segmentations"][index] for k, t in zip(ids, tracks, strict=True)}
        return _paint({k: s for k, s in segmentations.items() if s is not None}, size, path)

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
    with save(COCO_FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
        _write_frames(COCOStream(file, video.size, video.object_name), video)


def youtube_vis_outputs(video: LabelledVideo) -> Iterator[str]:
    """The path that `write_youtube_vis` writes."""
    yield VIS_FILE


def write_youtube_vis(video: LabelledVideo, save: Save) -> None:
    """``instances.json`` with a track for each object."""
    with save(VIS_FILE) as temporary, temporary.open("w", encoding="utf-8") as file:
        stream = YouTubeVISStream(
            file, video.size, video.object_name, video=video.name, to_segmentation=_plain_rle
        )
        _write_frames(stream, video)


def _plain_rle(mask: BoolMask) -> dict[str, Any]:
    """Run lengths of an H×W mask as numbers, column by column, as the published annotations."""
    # The rows of the transposed mask are the columns of the mask.
    return {"size": list(mask.shape), "counts": to_runs(mask.T)}


def _write_frames(stream: AnnotationStream, video: LabelledVideo) -> None:
    with contextlib.closing(stream):
        for _, name, labels in video.frames():
            stream.add(name, labels)
        stream.finish()


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
            # CVAT puts what COCO does not define into a dictionary of its own.
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
    # Rising ids, so that the higher one is painted last.
    for object_id, segmentation in sorted(segmentations.items()):
        fault = segmentation_fault(segmentation, *size)
        if fault is not None:
            raise DatasetError(f"{path}: object {object_id}: {fault}")
        labels[decode_segmentation(segmentation, *size)] = object_id
    return labels
