"""Data set annotations as JSON, streamed to disk: COCO, YouTube-VIS and polygons."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.export.shapes import bounding_box, to_polygons, to_rle
from rotomask.files import output_errors, temporary_name
from rotomask.masks import object_ids, object_mask

_CATEGORIES = [{"id": 1, "name": "object", "supercategory": "object"}]

_MAX_TRACK_BYTES = 1 << 20
"""Memory for an object's track; a longer one is moved to a temporary file."""


class JSONWriter(FormatWriter):
    """Writer of a JSON file, piece by piece; the file is complete or absent."""

    def __init__(self, target: ExportTarget, name: str) -> None:
        self.path = target.folder / name
        self._target = target
        self._temporary = temporary_name(self.path)
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._temporary.open("w", encoding="utf-8")
        self._items = 0

    def close(self) -> None:
        """See `FormatWriter.close`."""
        try:
            with output_errors(self.path):
                self._finish()
                self._file.close()
                self._target.commit(self._temporary, self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Write the end of the file, after the last frame."""
        raise NotImplementedError

    def _write(self, text: str) -> None:
        with output_errors(self.path):
            self._file.write(text)

    def _write_item(self, item: object) -> None:
        """Write the next element of the open array, on its own line."""
        self._write((",\n" if self._items else "\n") + _dumps(item))
        self._items += 1


class COCO(JSONWriter):
    """Writer of `annotations.json`: COCO, with run lengths for each object in each frame.

    All objects have category 1, "object"; their `object_id` tells them apart.
    """

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "annotations.json")
        self._images: list[str] = []
        self._write('{"annotations": [')

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        self._images.append(masked.frame.name)
        for object_id in object_ids(masked.labels):
            mask = object_mask(masked.labels, object_id)
            item = {
                "id": self._items + 1,
                "image_id": len(self._images),
                "category_id": 1,
                "object_id": object_id,
                "iscrowd": 0,
                "area": int(mask.sum()),
                "bbox": bounding_box(mask),
                "segmentation": to_rle(mask),
            }
            self._write_item(item)

    def _finish(self) -> None:
        height, width = self._target.video.size
        self._write('\n],\n"images": [')
        self._items = 0
        for number, name in enumerate(self._images, start=1):
            self._write_item(
                {"id": number, "file_name": f"{name}.png", "width": width, "height": height}
            )
        self._write(f'\n],\n"categories": {_dumps(_CATEGORIES)}}}\n')


class YouTubeVIS(JSONWriter):
    """Writer of `instances.json`: a track per object, with run lengths or null for each frame."""

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "instances.json")
        self._names: list[str] = []
        self._tracks: dict[int, _Track] = {}

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        for object_id in object_ids(masked.labels):
            mask = object_mask(masked.labels, object_id)
            if object_id not in self._tracks:
                self._tracks[object_id] = _Track()
            with output_errors(self.path):
                self._tracks[object_id].add(
                    len(self._names),
                    {
                        "segmentations": to_rle(mask),
                        "bboxes": bounding_box(mask),
                        "areas": int(mask.sum()),
                    },
                )
        self._names.append(masked.frame.name)

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        super().discard()
        for track in self._tracks.values():
            track.close()

    def _finish(self) -> None:
        (height, width), length = self._target.video.size, len(self._names)
        name = self._target.video.name
        video = {"id": 1, "width": width, "height": height, "length": length}
        video["file_names"] = [f"{name}/{frame}.png" for frame in self._names]  # type: ignore[assignment]
        self._write(f'{{"videos": [\n{_dumps(video)}\n],\n"annotations": [')
        for object_id in sorted(self._tracks):
            head = {"id": object_id, "video_id": 1, "category_id": 1, "iscrowd": 0}
            head |= {"width": width, "height": height, "length": length}
            # Without its closing brace: the lists, one value per frame, are appended one by one, so
            # that a long track is never in memory as a whole.
            self._write((",\n" if self._items else "\n") + _dumps(head)[:-1])
            for key in ("segmentations", "bboxes", "areas"):
                self._write(f', "{key}": [')
                for index, value in enumerate(self._tracks[object_id].values(key, length)):
                    self._write((", " if index else "") + _dumps(value))
                self._write("]")
            self._write("}")
            self._items += 1
            self._tracks[object_id].close()
        self._write(f'\n],\n"categories": {_dumps(_CATEGORIES)}}}\n')


class Polygons(JSONWriter):
    """Writer of `polygons.json`: outlines and holes (`Ring`) of each object in each frame."""

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "polygons.json")
        height, width = target.video.size
        self._write(f'{{"width": {width}, "height": {height}, "frames": [')

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        frame = masked.frame
        objects = [
            {"object_id": k, "polygons": to_polygons(object_mask(masked.labels, k))}
            for k in object_ids(masked.labels)
        ]
        self._write_item(
            {"index": frame.index, "name": frame.name, "time_s": frame.time_s, "objects": objects}
        )

    def _finish(self) -> None:
        self._write("\n]}\n")


class _Track:
    """Annotations of one object in the frames that show it; a long track is stored on disk."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed by its output
            _MAX_TRACK_BYTES, "w+", encoding="utf-8"
        )

    def add(self, index: int, values: dict[str, Any]) -> None:
        self._spool.write(_dumps([index, values]) + "\n")

    def values(self, key: str, length: int) -> Iterator[Any]:
        """The values of one key in all frames, None in frames without the object."""
        self._spool.seek(0)
        position = 0
        for line in self._spool:
            index, values = json.loads(line)
            yield from [None] * (index - position)
            yield values[key]
            position = index + 1
        yield from [None] * (length - position)

    def close(self) -> None:
        self._spool.close()


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(", ", ": "))
