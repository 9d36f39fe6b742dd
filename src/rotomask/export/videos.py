"""Videos: overlay, outline, side by side, and cut-outs with transparency."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.render import Colour, ContrastingColours, Pixels, beside, overlay
from rotomask.video import PRORES_4444, VP9_ALPHA, Encoding, VideoWriter, h264

QUICK = h264(
    crf=17,
    preset="ultrafast",
    changes={"8x8dct": "1", "bf": "3", "partitions": "i8x8,i4x4", "subq": "1"},
)
"""A fifth of the time of `h264()`, as good, for larger files: they are to be looked at. Without
arithmetic coding x264 needs 0.6 of superfast's time and 10 % more bytes (docs/speed.md)."""


class PictureVideo(FormatWriter):
    """Writer of a video of pictures with the objects marked, with the source's sound."""

    name: ClassVar[str]
    """Name of the file."""
    columns: ClassVar[int] = 1
    """Pictures of the video's size side by side."""

    def __init__(self, target: ExportTarget) -> None:
        video = target.video
        self.path = target.folder / self.name
        self._colours = ContrastingColours()
        self._writer = VideoWriter(
            self.path,
            # (height, width).
            (video.size[0], video.size[1] * self.columns),
            video.fps,
            QUICK,
            sound_from=video,
            pixel_aspect=video.pixel_aspect,
            commit=target.commit,
        )

    @abstractmethod
    def picture(self, masked: MaskedFrame, colours: Mapping[int, Colour]) -> Pixels:
        """The picture of a frame, with these colours of objects: H×(columns·W)×3 uint8 RGB."""

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        colours = self._colours.of(masked.frame.image, masked.labels)
        self._writer.write(self.picture(masked, colours), masked.frame.time_s)

    def close(self) -> None:
        """See `FormatWriter.close`."""
        self._writer.close()

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        self._writer.discard()


class OverlayVideo(PictureVideo):
    """Writer of `overlay.mp4`: objects tinted and outlined."""

    name = "overlay.mp4"

    def picture(self, masked: MaskedFrame, colours: Mapping[int, Colour]) -> Pixels:
        """See `PictureVideo.picture`."""
        return overlay(masked.frame.image, masked.labels, colours=colours)


class OutlineVideo(PictureVideo):
    """Writer of `outline.mp4`: objects outlined, their inside as it is."""

    name = "outline.mp4"

    def picture(self, masked: MaskedFrame, colours: Mapping[int, Colour]) -> Pixels:
        """See `PictureVideo.picture`."""
        return overlay(masked.frame.image, masked.labels, opacity=0, colours=colours)


class SideBySideVideo(PictureVideo):
    """Writer of `side_by_side.mp4`: the source on the left, the overlay on the right."""

    name = "side_by_side.mp4"
    columns = 2

    def picture(self, masked: MaskedFrame, colours: Mapping[int, Colour]) -> Pixels:
        """See `PictureVideo.picture`."""
        image = masked.frame.image
        return beside(image, overlay(image, masked.labels, colours=colours))


class CutoutVideo(FormatWriter):
    """Writer of a video of the objects on transparency."""

    def __init__(self, target: ExportTarget, name: str, encoding: Encoding) -> None:
        video = target.video
        self.path = target.folder / name
        # Without sound: a cut-out is an ingredient of another film.
        self._writer = VideoWriter(
            self.path,
            video.size,
            video.fps,
            encoding,
            pixel_aspect=video.pixel_aspect,
            commit=target.commit,
        )

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        self._writer.write(masked.cutout(), masked.frame.time_s)

    def close(self) -> None:
        """See `FormatWriter.close`."""
        self._writer.close()

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        self._writer.discard()


def webm(target: ExportTarget) -> FormatWriter:
    """Writer of `cutout.webm`: VP9 with alpha."""
    return CutoutVideo(target, "cutout.webm", VP9_ALPHA)


def prores(target: ExportTarget) -> FormatWriter:
    """Writer of `cutout.mov`: ProRes 4444."""
    return CutoutVideo(target, "cutout.mov", PRORES_4444)
