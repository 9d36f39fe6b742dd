"""The contact sheet: one image of overlays spread over the video."""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.files import complete_or_absent
from rotomask.render import ContrastingColours, contact_sheet, overlay

SHEET_FRAMES = 16
"""Frames on a contact sheet, spread evenly over the range."""

SHEET_CELL_PX = 320
"""Width of each frame on the sheet."""


class ContactSheet(FormatWriter):
    """Writer of `contact_sheet.png`: overlays of some frames, evenly spread, with their names."""

    def __init__(self, target: ExportTarget) -> None:
        self.path, self._commit = target.folder / "contact_sheet.png", target.commit
        positions = np.linspace(0, max(target.frame_count - 1, 0), SHEET_FRAMES).round()
        # A set: a video of fewer frames than the sheet has cells gives some positions twice.
        self._positions = {int(position) for position in positions}
        self._position = 0
        self._colours = ContrastingColours()
        self._thumbnails: list[npt.NDArray[np.uint8]] = []
        self._names: list[str] = []

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        # For every frame, not only those on the sheet: an object keeps the colour that it got in
        # its first frame, as in the overlay.
        colours = self._colours.of(masked.frame.image, masked.labels)
        if self._position in self._positions:
            image = overlay(masked.frame.image, masked.labels, colours=colours)
            height = max(1, round(SHEET_CELL_PX * image.shape[0] / image.shape[1]))
            thumbnail = cv2.resize(image, (SHEET_CELL_PX, height), interpolation=cv2.INTER_AREA)
            self._thumbnails.append(thumbnail.astype(np.uint8, copy=False))
            self._names.append(masked.frame.name)
        self._position += 1

    def close(self) -> None:
        """See `FormatWriter.close`."""
        sheet = contact_sheet(self._thumbnails, self._names, cell_width_px=SHEET_CELL_PX)
        with complete_or_absent(self.path, self._commit) as temporary:
            Image.fromarray(sheet).save(temporary, format="PNG")

    def discard(self) -> None:
        """See `FormatWriter.discard`; nothing is written before `close`."""
