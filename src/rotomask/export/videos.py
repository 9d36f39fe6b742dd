"""Videos: the overlay, and cut-outs with transparency."""

from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.render import cutout, overlay
from rotomask.video import PRORES_4444, VP9_ALPHA, Encoding, VideoWriter, h264


class OverlayVideo(FormatWriter):
    """Writer of `overlay.mp4`: objects tinted and outlined, with the source's sound."""

    def __init__(self, target: ExportTarget) -> None:
        video = target.video
        self.path = target.folder / "overlay.mp4"
        self._writer = VideoWriter(
            self.path,
            video.size,
            video.fps,
            h264(),
            sound_from=video,
            pixel_aspect=video.pixel_aspect,
            commit=target.commit,
        )

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        self._writer.write(overlay(masked.frame.image, masked.labels), masked.frame.time_s)

    def close(self) -> None:
        """See `FormatWriter.close`."""
        self._writer.close()

    def discard(self) -> None:
        """See `FormatWriter.discard`."""
        self._writer.discard()


class CutoutVideo(FormatWriter):
    """Writer of a video of the objects on transparency."""

    def __init__(self, target: ExportTarget, name: str, encoding: Encoding) -> None:
        video = target.video
        self.path = target.folder / name
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
        self._writer.write(cutout(masked.frame.image, masked.alpha), masked.frame.time_s)

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
