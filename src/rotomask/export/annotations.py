"""Outputs for data sets: COCO, YouTube-VIS and polygons as JSON, streamed to disk."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from rotomask.export.output import Cut, Job, Output
from rotomask.export.shapes import bounding_box, to_polygons, to_rle
from rotomask.files import output_errors, temporary_name
from rotomask.masks import object_ids, object_mask

_CATEGORIES = [{"id": 1, "name": "object", "supercategory": "object"}]

_HELD_BYTES = 1 << 20
"""Of an object's track, before it goes to a temporary file."""


class JSONOutput(Output):
    """A JSON file written piece by piece; complete or absent."""

    def __init__(self, job: Job, name: str) -> None:
        self.path = job.folder / name
        self._job = job
        self._temporary = temporary_name(self.path)
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._temporary.open("w", encoding="utf-8")
        self._items = 0

    def close(self) -> None:
        """See `Output.close`."""
        try:
            with output_errors(self.path):
                self._finish()
                self._file.close()
                self._temporary.replace(self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """See `Output.discard`."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Write what comes after the frames."""
        raise NotImplementedError

    def _write(self, text: str) -> None:
        with output_errors(self.path):
            self._file.write(text)

    def _write_item(self, item: object) -> None:
        """One more element of the array that is open, on its own line."""
        self._write((",\n" if self._items else "\n") + _dumps(item))
        self._items += 1


class COCO(JSONOutput):
    """`annotations.json`: COCO images, and an annotation with run lengths for each object in each.

    All are of category 1, "object"; `object_id` says which one.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job, "annotations.json")
        self._images: list[str] = []
        self._write('{"annotations": [')

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        self._images.append(cut.frame.name)
        for object_id in object_ids(cut.labels):
            mask = object_mask(cut.labels, object_id)
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
        height, width = self._job.video.size
        self._write('\n],\n"images": [')
        self._items = 0
        for number, name in enumerate(self._images, start=1):
            self._write_item(
                {"id": number, "file_name": f"{name}.png", "width": width, "height": height}
            )
        self._write(f'\n],\n"categories": {_dumps(_CATEGORIES)}}}\n')


class YouTubeVIS(JSONOutput):
    """`instances.json`: a track for each object, with run lengths or null for every frame."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, "instances.json")
        self._names: list[str] = []
        self._tracks: dict[int, _Track] = {}

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        for object_id in object_ids(cut.labels):
            mask = object_mask(cut.labels, object_id)
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
        self._names.append(cut.frame.name)

    def discard(self) -> None:
        """See `Output.discard`."""
        super().discard()
        for track in self._tracks.values():
            track.close()

    def _finish(self) -> None:
        (height, width), length = self._job.video.size, len(self._names)
        video = self._job.video.name
        about = {"id": 1, "width": width, "height": height, "length": length}
        about["file_names"] = [f"{video}/{name}.png" for name in self._names]  # type: ignore[assignment]
        self._write(f'{{"videos": [\n{_dumps(about)}\n],\n"annotations": [')
        for object_id in sorted(self._tracks):
            head = {"id": object_id, "video_id": 1, "category_id": 1, "iscrowd": 0}
            head |= {"width": width, "height": height, "length": length}
            self._write((",\n" if self._items else "\n") + _dumps(head)[:-1])
            for key in ("segmentations", "bboxes", "areas"):
                self._write(f', "{key}": [')
                for place, value in enumerate(self._tracks[object_id].values(key, length)):
                    self._write((", " if place else "") + _dumps(value))
                self._write("]")
            self._write("}")
            self._items += 1
            self._tracks[object_id].close()
        self._write(f'\n],\n"categories": {_dumps(_CATEGORIES)}}}\n')


class Polygons(JSONOutput):
    """`polygons.json`: for every frame and object the outlines with their holes, see `Ring`."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, "polygons.json")
        height, width = job.video.size
        self._write(f'{{"width": {width}, "height": {height}, "frames": [')

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        frame = cut.frame
        objects = [
            {"object_id": k, "polygons": to_polygons(object_mask(cut.labels, k))}
            for k in object_ids(cut.labels)
        ]
        self._write_item(
            {"index": frame.index, "name": frame.name, "time_s": frame.time_s, "objects": objects}
        )

    def _finish(self) -> None:
        self._write("\n]}\n")


class _Track:
    """What is known of one object in the frames where it is, kept on disk once it is long."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed by its output
            _HELD_BYTES, "w+", encoding="utf-8"
        )

    def add(self, place: int, values: dict[str, Any]) -> None:
        self._spool.write(_dumps([place, values]) + "\n")

    def values(self, key: str, length: int) -> Iterator[Any]:
        """The value of every frame, None where the object is not."""
        self._spool.seek(0)
        expected = 0
        for line in self._spool:
            place, values = json.loads(line)
            yield from [None] * (place - expected)
            yield values[key]
            expected = place + 1
        yield from [None] * (length - expected)

    def close(self) -> None:
        self._spool.close()


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(", ", ": "))
