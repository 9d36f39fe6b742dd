"""The pictures in an image file: how many, and which way up."""

import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

IMAGE_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, OverflowError, NotImplementedError),
    *(TypeError, KeyError, IndexError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises for a damaged image, or for one of more than 179 megapixels: a TypeError for a
TIFF page without dimensions, a KeyError for a tag that is missing, and so on."""

_ORIENTATION = 274
"""The EXIF tag Orientation; values above 4 swap width and height."""
_THUMBNAIL = 254
"""The TIFF tag NewSubfileType, whose lowest bit marks a page as a smaller copy of another."""


def page_count(image: Image.Image) -> int:
    """Number of frames of an animation, or of pages of a document; 1 for most images.

    Smaller copies of the same picture do not count: the second picture of a phone's JPEG, the sizes
    of an icon, the thumbnails of a TIFF.
    """
    if image.format in ("JPEG", "MPO", "ICO", "ICNS"):
        return 1
    count = int(getattr(image, "n_frames", 1))
    if image.format != "TIFF" or count == 1:
        return count
    pages = 0
    for index in range(count):
        image.seek(index)
        pages += not int(image.tag_v2.get(_THUMBNAIL, 0)) & 1  # type: ignore[attr-defined]
    image.seek(0)
    return max(1, pages)


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation has it; `image` is loaded.

    Pillow maps an uncompressed TIFF into memory by its size after a quarter turn, which scrambles
    the pixels; here such a file is read instead.
    """
    if image.format == "TIFF" and image.getexif().get(_ORIENTATION, 1) > 4:
        image.filename = ""  # type: ignore[attr-defined]  # only a named file is mapped
    return ImageOps.exif_transpose(image)


def is_torn_png(data: npt.NDArray[np.uint8]) -> bool:
    """True for a PNG with a chunk that ends behind the file.

    OpenCV allocates as much as the chunk says that it has, up to 4 GiB, before it reads it.
    """
    if data[:8].tobytes() != b"\x89PNG\r\n\x1a\n":
        return False
    at = 8
    while at + 8 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4].tobytes(), "big")  # length, name and checksum
    return at > len(data)
