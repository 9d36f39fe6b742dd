"""The DAVIS palette, in which object 1 is dark red and object 2 is green."""

import functools

import numpy as np
import numpy.typing as npt


@functools.cache
def davis_palette() -> npt.NDArray[np.uint8]:
    """The colour of each label: 256×3 uint8 RGB, read-only.

    DAVIS uses the palette of PASCAL VOC, which spreads the bits of a label over the channels: bit 0
    is the top bit of red, bit 1 of green, bit 2 of blue, bit 3 the next bit of red, and so on.

    Example:
        >>> davis_palette()[:4].tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        channel, shift = bit % 3, 7 - bit // 3
        palette[:, channel] |= (((labels >> bit) & 1) << shift).astype(np.uint8)
    palette.setflags(write=False)
    return palette


def object_colour(object_id: int) -> tuple[int, int, int]:
    """Palette colour of an object id: RGB, 0-255; ids above 255 repeat the colours from id 1."""
    red, green, blue = davis_palette()[(object_id - 1) % 255 + 1] if object_id > 0 else (0, 0, 0)
    return int(red), int(green), int(blue)
