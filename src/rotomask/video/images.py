"""Reading of still images of any type as upright 8-bit RGB, with alpha if there is any."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import VideoError
from rotomask.masks.pages import IMAGE_ERRORS, is_torn_png, page_count, upright
from rotomask.memory import check_memory

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k", ".avif", ".sgi", ".rgb", ".ras"),
    *(".pcx", ".dds", ".gif", ".ico", ".hdr"),
)
"""Suffixes of image files, in lower case."""

Pixels = npt.NDArray[np.uint8]


def read_image(path: Path) -> tuple[Pixels, Pixels | None]:
    """The pixels of an image file: H×W×3 uint8 RGB, and alpha H×W uint8 or None.

    16-bit values are scaled to 8 bits, floats are clipped to 0..1 and scaled, grey becomes RGB, and
    the EXIF orientation is applied.

    Raises:
        VideoError: If the file is missing, damaged, of an unknown type, or has several frames.
    """
    try:
        with Image.open(path) as opened:
            count = page_count(opened)
            if count > 1:
                raise VideoError(
                    f"{path} has {count} frames or pages, and would be read as one; convert it to "
                    "a video or a folder of images, e.g. with ImageMagick: magick FILE %05d.png"
                )
            return _from_pillow(upright(opened))
    except FileNotFoundError as error:
        raise VideoError(f"{path} does not exist") from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        # OpenCV reads types that Pillow does not: 16-bit RGB TIFF, Radiance HDR.
        pixels = _read_opencv(path)
        if pixels is None:
            raise VideoError(f"{path} is not a readable image: {_reason(error, path)}") from error
        return pixels


def is_animated_png(path: Path) -> bool:
    """True for a PNG of several frames, which FFmpeg reads as a video."""
    try:
        with Image.open(path) as image:
            return image.format == "PNG" and page_count(image) > 1
    except IMAGE_ERRORS:
        return False


def stored_size(path: Path) -> tuple[int, int] | None:
    """(height, width) from the header, before EXIF rotation; None if Pillow cannot read it."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except IMAGE_ERRORS:
        return None


def _from_pillow(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    if image.mode.startswith("I"):
        return _to_rgb(_to_eight_bits(np.asarray(image).astype(np.int64).clip(0, 65535)))
    if image.mode == "F":
        return _to_rgb(_to_eight_bits(np.asarray(image)))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return _to_rgb(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB")), None


def _read_opencv(path: Path) -> tuple[Pixels, Pixels | None] | None:
    try:
        flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_UNCHANGED
        data = np.fromfile(path, np.uint8)
        if is_torn_png(data):
            return None
        pixels = cv2.imdecode(data, flags)
    except (OSError, cv2.error):
        return None
    if pixels is None:
        return None
    if pixels.ndim == 3:
        order = [2, 1, 0, 3][: pixels.shape[2]]  # BGR or BGRA to RGB or RGBA
        pixels = pixels[..., order]
    return _to_rgb(_to_eight_bits(pixels))


def _to_eight_bits(pixels: npt.NDArray[np.generic]) -> Pixels:
    """Values scaled to 0-255: floats from 0..1, other integers than uint8 from 0..65535."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8)
    if np.issubdtype(pixels.dtype, np.floating):
        unit = np.nan_to_num(pixels.astype(np.float64)).clip(0, 1)
        return (unit * 255).round().astype(np.uint8)
    return ((pixels.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def _to_rgb(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """RGB and alpha of H×W grey, H×W×3 or H×W×4 pixels."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2), None
    alpha = pixels[..., 3].copy() if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[..., :3]), alpha


def _reason(error: Exception, path: Path) -> str:
    """The first line of an error's message, without the path."""
    return str(error).replace(str(path), "it").splitlines()[0] if str(error) else "damaged"
