"""COCO and YouTube-VIS as JSON, written frame by frame: memory does not grow with the video."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from rotomask.export.shapes import bounding_box, to_rle
from rotomask.masks import object_ids, object_mask

Labels = npt.NDArray[np.int32]
"""H×W: 0 background, k = object id k."""

ObjectName = Callable[[int], str]
"""Gives the name of an object id."""

_MAX_TRACK_BYTES = 1 << 20
"""Memory for an object's track; a longer one is moved to a temporary file."""


class JSONStream:
    """JSON on its way into a text file; closing the file is up to its owner."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._items = 0

    def write(self, text: str) -> None:
        """Write text as it is."""
        self._file.write(text)

    def write_item(self, item: object) -> None:
        """Write the next element of the open array, on its own line."""
        self.begin_item()
        self.write(dumps(item))

    def begin_item(self) -> None:
        """Begin the next element of the open array, whose text follows."""
        # The comma comes before an item: which one is the last is not known while frames come.
        self.write(",\n" if self._items else "\n")
        self._items += 1

    def begin_array(self, head: str) -> None:
        """Write what stands before an array, up to its bracket."""
        self.write(head)
        self._items = 0


class AnnotationStream(JSONStream):
    """Annotations of one video in a data set's format.

    Args:
        file: What is written to.
        size: Height and width of the frames, px.
        object_name: Makes each object a category of its own, of this name; without it all objects
            have category 1, "object".
    """

    def __init__(
        self, file: IO[str], size: tuple[int, int], object_name: ObjectName | None = None
    ) -> None:
        super().__init__(file)
        self.height, self.width = size
        self._object_name = object_name
        self._seen: set[int] = set()
        self._frames: list[str] = []

    def add(self, frame_name: str, labels: Labels) -> None:
        """Write the next frame.

        Args:
            frame_name: Its name, without suffix.
            labels: H×W.
        """
        for object_id in object_ids(labels):
            self._seen.add(object_id)
            self._add_object(object_id, object_mask(labels, object_id))
        self._frames.append(frame_name)

    def finish(self) -> None:
        """Write the end, after the last frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what is stored outside the file."""

    def _add_object(self, object_id: int, mask: npt.NDArray[np.bool_]) -> None:
        raise NotImplementedError

    def _category(self, object_id: int) -> int:
        return 1 if self._object_name is None else object_id

    def _write_categories(self) -> None:
        names = {1: "object"}
        if self._object_name is not None:
            names = {k: self._object_name(k) for k in sorted(self._seen)}
        categories = [
            {"id": k, "name": name, "supercategory": "object"} for k, name in names.items()
        ]
        self.write(f'\n],\n"categories": {dumps(categories)}}}\n')


class COCOStream(AnnotationStream):
    """COCO, with an image for each frame; `object_id` tells the objects apart."""

    def __init__(
        self, file: IO[str], size: tuple[int, int], object_name: ObjectName | None = None
    ) -> None:
        super().__init__(file, size, object_name)
        self.begin_array('{"annotations": [')

    def _add_object(self, object_id: int, mask: npt.NDArray[np.bool_]) -> None:
        item = {
            "id": self._items + 1,
            "image_id": len(self._frames) + 1,
            "category_id": self._category(object_id),
            "object_id": object_id,
            "iscrowd": 0,
            "area": int(mask.sum()),
            "bbox": bounding_box(mask),
            "segmentation": to_rle(mask),
        }
        self.write_item(item)

    def finish(self) -> None:
        """See `AnnotationStream.finish`."""
        # Images after the annotations: their number is known at the end, and JSON does not care.
        self.begin_array('\n],\n"images": [')
        size = {"width": self.width, "height": self.height}
        for number, name in enumerate(self._frames, start=1):
            self.write_item({"id": number, "file_name": f"{name}.png", **size})
        self._write_categories()


class YouTubeVISStream(AnnotationStream):
    """YouTube-VIS, with a track per object: run lengths or null for each frame.

    Args:
        file: What is written to.
        size: Height and width of the frames, px.
        object_name: As for `AnnotationStream`.
        video: Name of the video, the folder of its frames.
        to_segmentation: Run lengths of a mask: by default compressed, as in results.
    """

    def __init__(
        self,
        file: IO[str],
        size: tuple[int, int],
        object_name: ObjectName | None = None,
        *,
        video: str,
        to_segmentation: Callable[[npt.NDArray[np.bool_]], Mapping[str, object]] = to_rle,
    ) -> None:
        super().__init__(file, size, object_name)
        self._video = video
        self._to_segmentation = to_segmentation
        self._tracks: dict[int, _Track] = {}

    def _add_object(self, object_id: int, mask: npt.NDArray[np.bool_]) -> None:
        if object_id not in self._tracks:
            self._tracks[object_id] = _Track()
        values = {
            "segmentations": self._to_segmentation(mask),
            "bboxes": bounding_box(mask),
            "areas": int(mask.sum()),
        }
        self._tracks[object_id].add(len(self._frames), values)

    def finish(self) -> None:
        """See `AnnotationStream.finish`."""
        length = len(self._frames)
        size = {"width": self.width, "height": self.height, "length": length}
        files = [f"{self._video}/{frame}.png" for frame in self._frames]
        video = dumps({"id": 1, **size, "file_names": files})
        self.begin_array(f'{{"videos": [\n{video}\n],\n"annotations": [')
        for object_id in sorted(self._tracks):
            head = {"id": object_id, "video_id": 1, "category_id": self._category(object_id)}
            # Without its closing brace: the lists, one value per frame, are appended one by one, so
            # that a long track is never in memory as a whole.
            self.begin_item()
            self.write(dumps({**head, "iscrowd": 0, **size})[:-1])
            for key in ("segmentations", "bboxes", "areas"):
                self.write(f', "{key}": [')
                for index, value in enumerate(self._tracks[object_id].values(key, length)):
                    self.write((", " if index else "") + dumps(value))
                self.write("]")
            self.write("}")
            self._tracks[object_id].close()
        self._write_categories()

    def close(self) -> None:
        """See `AnnotationStream.close`."""
        for track in self._tracks.values():
            track.close()


class _Track:
    """Annotations of one object in the frames that show it; a long track is stored on disk."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # closed by its stream
            _MAX_TRACK_BYTES, "w+", encoding="utf-8"
        )

    def add(self, index: int, values: dict[str, Any]) -> None:
        self._spool.write(dumps([index, values]) + "\n")

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


def dumps(value: object) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, separators=(", ", ": "))
