"""Data set annotations as JSON, streamed to disk: COCO, YouTube-VIS and polygons."""

import contextlib
from typing import IO

from rotomask.export.annotation_streams import (
    AnnotationStream,
    COCOStream,
    JSONStream,
    YouTubeVISStream,
)
from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.export.shapes import to_polygons
from rotomask.files import output_errors, temporary_name
from rotomask.masks import object_ids, object_mask


class JSONWriter(FormatWriter):
    """Writer of a JSON file, piece by piece; the file is complete or absent."""

    def __init__(self, target: ExportTarget, name: str) -> None:
        self.path = target.folder / name
        self._target = target
        self._temporary = temporary_name(self.path)
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._temporary.open("w", encoding="utf-8")

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
            # After closing: Windows does not remove a file that is open.
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Write the end of the file, after the last frame."""
        raise NotImplementedError


class AnnotationWriter(JSONWriter):
    """Writer of a stream of annotations."""

    _stream: AnnotationStream

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        with output_errors(self.path):
            self._stream.add(masked.frame.name, masked.labels)

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        super().discard()
        self._stream.close()

    def _finish(self) -> None:
        self._stream.finish()


class COCO(AnnotationWriter):
    """Writer of `annotations.json`: COCO, with run lengths for each object in each frame.

    All objects have category 1, "object"; their `object_id` tells them apart.
    """

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "annotations.json")
        with output_errors(self.path):
            self._stream = COCOStream(self._file, target.video.size)


class YouTubeVIS(AnnotationWriter):
    """Writer of `instances.json`: a track per object, with run lengths or null for each frame."""

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "instances.json")
        video = target.video
        self._stream = YouTubeVISStream(self._file, video.size, video=video.name)


class Polygons(JSONWriter):
    """Writer of `polygons.json`: outlines and holes (`Ring`) of each object in each frame."""

    def __init__(self, target: ExportTarget) -> None:
        super().__init__(target, "polygons.json")
        height, width = target.video.size
        self._stream = JSONStream(self._file)
        with output_errors(self.path):
            self._stream.begin_array(f'{{"width": {width}, "height": {height}, "frames": [')

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        frame = masked.frame
        objects = [
            {"object_id": k, "polygons": to_polygons(object_mask(masked.labels, k))}
            for k in object_ids(masked.labels)
        ]
        with output_errors(self.path):
            self._stream.write_item(
                {
                    "index": frame.index,
                    "name": frame.name,
                    "time_s": frame.time_s,
                    "objects": objects,
                }
            )

    def _finish(self) -> None:
        self._stream.write("\n]}\n")
