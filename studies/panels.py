"""Rows of pictures under their titles, for the documentation."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame

JPEG_QUALITY = 80
TITLE_PX = 26


def save_panels(
    path: Path, titles: Sequence[str], rows: Sequence[Sequence[Frame]], size: tuple[int, int]
) -> None:
    """Write the rows of panels, each reduced to (width, height), under one row of titles."""
    strips = [_titles(titles, size[0])]
    for row in rows:
        reduced = [cv2.resize(panel, size, interpolation=cv2.INTER_AREA) for panel in row]
        strips.append(np.asarray(np.hstack(reduced), np.uint8))
    picture = cv2.cvtColor(np.vstack(strips), cv2.COLOR_RGB2BGR)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def grey(values: npt.NDArray[np.floating]) -> Frame:
    """A map H×W, 0..1, as a picture: white is 1."""
    pixels = (values * 255).round().astype(np.uint8)
    return np.repeat(pixels[..., None], 3, -1)


def _titles(names: Sequence[str], width: int) -> Frame:
    strip = np.full((TITLE_PX, width * len(names), 3), 255, np.uint8)
    for i, name in enumerate(names):
        origin = (i * width + 6, 18)
        cv2.putText(strip, name, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    return strip
