"""Count of the pictures in an image file."""

from PIL import Image

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
