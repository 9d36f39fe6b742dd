"""A strip of pictures as HTML, which notebooks show for videos and results."""

import base64
import html
import io
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

STRIP_HEIGHT_PX = 110


def strip_html(images: Sequence[npt.NDArray[np.uint8]], caption: str) -> str:
    """Pictures in a row, as JPEGs inside the page, with a line of text below.

    Args:
        images: H×W×3 uint8 RGB, of any sizes; scaled to one height.
        caption: Plain text.
    """
    shown = "".join(
        f'<img src="data:image/jpeg;base64,{_jpeg(image)}" style="margin-right:4px">'
        for image in images
    )
    style = "white-space:nowrap;overflow-x:auto"
    return f'<div style="{style}">{shown}</div><div><code>{html.escape(caption)}</code></div>'


def _jpeg(image: npt.NDArray[np.uint8]) -> str:
    """A picture at the strip's height, base64."""
    width = max(1, round(image.shape[1] * STRIP_HEIGHT_PX / image.shape[0]))
    small = cv2.resize(image, (width, STRIP_HEIGHT_PX), interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(small.astype(np.uint8, copy=False)).save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode("ascii")
