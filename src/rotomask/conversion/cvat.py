"""CVAT 1.1 (https://docs.cvat.ai/docs/other/xml_format): XML with masks as runs within a box.

CVAT does not track masks: as its own export for video does, each mask is a track of one frame, that
ends in the next. ``group_id`` tells which of them are one object.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from rotomask.conversion.labelled_video import LabelledVideo, Labels, Save
from rotomask.conversion.reading import ReadOptions, common_size, frame_size, number_objects
from rotomask.conversion.run_lengths import BoolMask, from_runs, to_runs
from rotomask.errors import DatasetError
from rotomask.masks import object_ids, object_mask

FILE = "annotations.xml"
MOST_FRAMES = 1_000_000


@dataclass(frozen=True)
class _Shape:
    """A shape of one frame."""

    frame: int
    key: tuple[str, str]
    """What tells its object: its group, track or label."""
    label: str
    element: ElementTree.Element


def read_cvat(path: Path, options: ReadOptions) -> LabelledVideo:
    """Masks and polygons of a CVAT file, for video or for images.

    Objects are told apart by their group, then by their track, then by their label. Where shapes
    overlap, the object with the higher id counts.

    Raises:
        DatasetError: If it is damaged, or says nothing of the size of frames.
    """
    root = _parse(path)
    images = root.findall("image")
    if images:
        names = tuple(Path(image.get("name", "")).stem for image in images)
        sizes = {_size(image, path) for image in images}
        shapes = [
            shape
            for index, image in enumerate(images)
            for element in image
            if (shape := _image_shape(element, index)) is not None
        ]
    else:
        names = _frame_names(root, path)
        sizes = {_size(root.find("meta/task/original_size"), path)}
        shapes = [s for track in root.findall("track") for s in _track_shapes(track, path)]
    size = common_size(sizes, path)
    keys = [shape.key for shape in shapes]
    ids = number_objects(keys, lambda key: key[1] if key[0] == "group" else None)
    by_frame: dict[int, list[_Shape]] = defaultdict(list)
    # In the order of ids, so that the higher id is painted last, whatever the order in the file.
    for shape in sorted(shapes, key=lambda s: ids[s.key]):
        by_frame[shape.frame].append(shape)

    def read(index: int) -> Labels:
        labels = np.zeros(size, np.int32)
        for shape in by_frame[index]:
            labels[_mask(shape.element, size, path)] = ids[shape.key]
        return labels

    objects = {ids[s.key]: s.label for s in shapes if s.label != f"object {ids[s.key]}"}
    return LabelledVideo(path.parent.name or path.stem, size, names, read, objects)


def cvat_outputs(video: LabelledVideo) -> Iterator[str]:
    """The path that `write_cvat` writes."""
    yield FILE


def write_cvat(video: LabelledVideo, save: Save) -> None:
    """``annotations.xml`` as CVAT exports it for video."""
    height, width = video.size
    root = ElementTree.Element("annotations")
    _text(root, "version", "1.1")
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    _text(task, "name", video.name)
    _text(task, "size", str(len(video)))
    _text(task, "mode", "interpolation")
    _text(task, "start_frame", "0")
    _text(task, "stop_frame", str(len(video) - 1))
    labels_element = ElementTree.SubElement(task, "labels")
    size = ElementTree.SubElement(task, "original_size")
    _text(size, "width", str(width))
    _text(size, "height", str(height))
    seen: set[int] = set()
    for index, _, labels in video.frames():
        for object_id in object_ids(labels):
            if object_id not in seen:
                label = ElementTree.SubElement(labels_element, "label")
                _text(label, "name", video.object_name(object_id))
                _text(label, "type", "mask")
                ElementTree.SubElement(label, "attributes")
                seen.add(object_id)
            attributes = {
                "id": str(len(root) - 2),
                "label": video.object_name(object_id),
                "source": "rotomask",
                "group_id": str(object_id),
            }
            track = ElementTree.SubElement(root, "track", attributes)
            shape = _mask_attributes(object_mask(labels, object_id))
            # The second entry ends the track in the next frame, unless there is none.
            for frame, outside in ((index, "0"), (index + 1, "1"))[
                : 2 if index + 1 < len(video) else 1
            ]:
                where = {"frame": str(frame), "keyframe": "1", "outside": outside}
                ElementTree.SubElement(track, "mask", {**where, "occluded": "0", **shape})
    ElementTree.indent(root)
    with save(FILE) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def _mask_attributes(mask: BoolMask) -> dict[str, str]:
    """The runs of a mask within its box."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    runs = to_runs(mask[y : y + height, x : x + width])
    box = {"left": x, "top": y, "width": width, "height": height, "z_order": 0}
    return {"rle": ", ".join(map(str, runs)), **{key: str(n) for key, n in box.items()}}


def _parse(path: Path) -> ElementTree.Element:
    try:
        text = path.read_text(encoding="utf-8")
        # Entities can make a small file expand to gigabytes (billion laughs).
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DatasetError(f"{path} declares XML entities, which CVAT does not; it is not read")
        root = ElementTree.fromstring(text)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except (ElementTree.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(f"{path} is not XML: {error}") from error
    if root.tag != "annotations":
        raise DatasetError(f"{path} is XML, but no annotations of CVAT: <{root.tag}>")
    return root


def _size(element: ElementTree.Element | None, path: Path) -> tuple[int, int]:
    """Height and width, in attributes or in elements of their own."""
    if element is None:
        raise DatasetError(f"{path} does not say the size of the frames (original_size)")
    height, width = (_whole(element.get(k) or element.findtext(k)) for k in ("height", "width"))
    return frame_size(height, width, path)


def _whole(text: str | None) -> int | str | None:
    # What is no number is returned as it is, for the message of `frame_size`.
    return int(text) if text and text.isdecimal() else text


def _frame_names(root: ElementTree.Element, path: Path) -> tuple[str, ...]:
    count = root.findtext("meta/task/size") or ""
    if not count.isdigit() or not 0 < int(count) <= MOST_FRAMES:
        raise DatasetError(f"{path} does not say how many frames there are (size)")
    return tuple(f"{index:05d}" for index in range(int(count)))


def _image_shape(element: ElementTree.Element, index: int) -> _Shape | None:
    label, group = element.get("label", ""), element.get("group_id", "0")
    # Group 0 is CVAT's way to say: in no group.
    key = ("group", group) if group not in ("", "0") else ("label", label)
    return _Shape(index, key, label, element) if element.tag in ("mask", "polygon") else None


def _track_shapes(track: ElementTree.Element, path: Path) -> list[_Shape]:
    label, group = track.get("label", ""), track.get("group_id", "0")
    visible = [e for e in track if e.tag in ("mask", "polygon") and e.get("outside") != "1"]
    if group not in ("", "0"):
        key = ("group", group)
    # A track of one frame is one of CVAT's single masks: its number tells nothing of the object.
    elif len(visible) > 1:
        key = ("track", track.get("id", ""))
    else:
        key = ("label", label)
    try:
        return [_Shape(int(e.get("frame", "")), key, label, e) for e in visible]
    except ValueError as error:
        raise DatasetError(f"{path}: a shape of track {track.get('id')} has no frame") from error


def _mask(element: ElementTree.Element, size: tuple[int, int], path: Path) -> BoolMask:
    """The mask H×W of a shape.

    Raises:
        DatasetError: If its numbers are damaged or lie outside of the frame.
    """
    mask = np.zeros(size, np.uint8)
    try:
        if element.tag == "polygon":
            pairs = [point.split(",") for point in element.get("points", "").split(";")]
            corners = np.array(pairs, np.float64).reshape(-1, 2)
            # fillPoly takes whatever an int32 holds, and corners beyond that wrap around.
            if not (np.abs(corners) <= 1 << 16).all():
                raise ValueError("a corner far outside of the frame")
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
            return mask > 0
        box = [int(element.get(key, "")) for key in ("left", "top", "width", "height")]
        runs = [int(n) for n in element.get("rle", "").split(",")]
        x, y, width, height = box
        if min(box) < 0 or x + width > size[1] or y + height > size[0]:
            raise ValueError(f"a box of {box} in frames of {size[1]}x{size[0]}")
        mask[y : y + height, x : x + width] = from_runs(runs, (height, width))
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{path}: a {element.tag} is damaged: {error}") from error
    return mask > 0
