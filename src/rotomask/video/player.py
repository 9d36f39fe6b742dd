"""A short video as HTML, which notebooks play for results."""

import base64
import html
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.video.encodings import h264
from rotomask.video.writer import VideoWriter

PLAYER_HEIGHT_PX = 270
MOST_PLAYER_FRAMES = 150
"""Longer results are shown as a strip."""
_CRF = 27


def player_html(pictures: Iterable[npt.NDArray[np.uint8]], fps: Fraction, caption: str) -> str:
    """Pictures as an H.264 video inside the page, in a loop, with a line of text below.

    Args:
        pictures: H×W×3 uint8 RGB, of one size; larger ones are reduced to a height of 270 px.
        fps: Pictures a second.
        caption: Plain text.

    Raises:
        OutputError: If the video cannot be written to the temporary folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "player.mp4"
        writer: VideoWriter | None = None
        for picture in pictures:
            small = _reduced(picture)
            writer = writer or VideoWriter(path, small.shape[:2], fps, h264(_CRF))
            writer.write(small)
        if writer is None:
            return f"<div><code>{html.escape(caption)}</code></div>"
        writer.close()
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    video = f'<video controls loop muted playsinline src="data:video/mp4;base64,{data}"></video>'
    return f"<div>{video}</div><div><code>{html.escape(caption)}</code></div>"


def _reduced(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = picture.shape[:2]
    if height <= PLAYER_HEIGHT_PX:
        return picture
    size = (max(1, round(width * PLAYER_HEIGHT_PX / height)), PLAYER_HEIGHT_PX)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
