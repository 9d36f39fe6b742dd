"""Outputs to look at: overlay, transparent videos, image sequences, contact sheet."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.export.output import Cut, Job, Output
from rotomask.files import complete_or_absent
from rotomask.render import contact_sheet, cutout, overlay
from rotomask.video import PRORES_4444, VP9_ALPHA, Encoding, VideoWriter, h264

SHEET_FRAMES = 16
"""Frames on a contact sheet, spread evenly over the range."""

SHEET_CELL_PX = 320
"""Width of each."""


class OverlayVideo(Output):
    """`overlay.mp4`: objects tinted and outlined, with the source's sound."""

    def __init__(self, job: Job) -> None:
        video = job.video
        self.path = job.folder / "overlay.mp4"
        self._writer = VideoWriter(
            self.path,
            video.size,
            video.fps,
            h264(),
            sound_from=video,
            pixel_aspect=video.pixel_aspect,
        )

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        self._writer.write(overlay(cut.frame.image, cut.labels), cut.frame.time_s)

    def close(self) -> None:
        """See `Output.close`."""
        self._writer.close()

    def discard(self) -> None:
        """See `Output.discard`."""
        self._writer.discard()


class CutoutVideo(Output):
    """The objects with transparency as a video."""

    def __init__(self, job: Job, name: str, encoding: Encoding) -> None:
        video = job.video
        self.path = job.folder / name
        self._writer = VideoWriter(
            self.path, video.size, video.fps, encoding, pixel_aspect=video.pixel_aspect
        )

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        self._writer.write(cutout(cut.frame.image, cut.alpha), cut.frame.time_s)

    def close(self) -> None:
        """See `Output.close`."""
        self._writer.close()

    def discard(self) -> None:
        """See `Output.discard`."""
        self._writer.discard()


class ImageFolder(Output):
    """A PNG a frame; each is complete or absent."""

    def __init__(self, job: Job, name: str) -> None:
        self.path = job.folder / name

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        image = Image.fromarray(self._pixels(cut))
        with complete_or_absent(self.path / f"{cut.frame.name}.png") as temporary:
            image.save(temporary, format="PNG", compress_level=4)

    def close(self) -> None:
        """See `Output.close`: there is nothing left to do."""

    def discard(self) -> None:
        """See `Output.discard`: every image that is there is complete."""

    def _pixels(self, cut: Cut) -> npt.NDArray[np.uint8]:
        """What is written: H×W grey or H×W×4."""
        raise NotImplementedError


class RGBAFolder(ImageFolder):
    """`rgba/NAME.png`: the objects with straight alpha."""

    def _pixels(self, cut: Cut) -> npt.NDArray[np.uint8]:
        return cutout(cut.frame.image, cut.alpha)


class MatteFolder(ImageFolder):
    """`mattes/NAME.png`: the objects' opacity in grey; those that are there stay as they are."""

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        if not (self.path / f"{cut.frame.name}.png").exists():
            super().add(cut)

    def _pixels(self, cut: Cut) -> npt.NDArray[np.uint8]:
        return cut.alpha


class ContactSheet(Output):
    """`contact_sheet.png`: some overlays, evenly spread, with their names."""

    def __init__(self, job: Job) -> None:
        self.path = job.folder / "contact_sheet.png"
        places = np.linspace(0, max(job.frame_count - 1, 0), SHEET_FRAMES).round()
        self._places = {int(place) for place in places}
        self._seen = 0
        self._pictures: list[npt.NDArray[np.uint8]] = []
        self._names: list[str] = []

    def add(self, cut: Cut) -> None:
        """See `Output.add`."""
        if self._seen in self._places:
            picture = overlay(cut.frame.image, cut.labels)
            height = max(1, round(SHEET_CELL_PX * picture.shape[0] / picture.shape[1]))
            small = cv2.resize(picture, (SHEET_CELL_PX, height), interpolation=cv2.INTER_AREA)
            self._pictures.append(small.astype(np.uint8, copy=False))
            self._names.append(cut.frame.name)
        self._seen += 1

    def close(self) -> None:
        """See `Output.close`."""
        sheet = contact_sheet(self._pictures, self._names, cell_width_px=SHEET_CELL_PX)
        with complete_or_absent(self.path) as temporary:
            Image.fromarray(sheet).save(temporary, format="PNG")

    def discard(self) -> None:
        """See `Output.discard`: nothing is written before the end."""


def webm(job: Job) -> Output:
    """`cutout.webm`: VP9 with alpha."""
    return CutoutVideo(job, "cutout.webm", VP9_ALPHA)


def prores(job: Job) -> Output:
    """`cutout.mov`: ProRes 4444."""
    return CutoutVideo(job, "cutout.mov", PRORES_4444)


def rgba(job: Job) -> Output:
    """`rgba/NAME.png`."""
    return RGBAFolder(job, "rgba")


def mattes(job: Job) -> Output:
    """`mattes/NAME.png`."""
    return MatteFolder(job, "mattes")
