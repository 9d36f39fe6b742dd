"""Conversion of decoded frames to upright RGB arrays: colour matrix, rotation, alpha."""

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace

from rotomask.video.images import Pixels

Matrix = tuple[int, int, int, int]
"""a, b, c, d of the display matrix, which moves a stored pixel (x, y) to (ax + cy, bx + dy)."""

UPRIGHT: Matrix = (1, 0, 0, 1)

# FFmpeg's AVColorSpace (the codes of ISO/IEC 23091-2) -> the matrix to decode with.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


def to_pixels(frame: av.VideoFrame, matrix: Matrix) -> tuple[Pixels, Pixels | None]:
    """RGB (H×W×3 uint8) and alpha (H×W uint8 or None), rotated upright by the display matrix."""
    alpha = has_alpha(frame)
    pixels = frame.to_ndarray(
        format="rgba" if alpha else "rgb24", src_colorspace=_colour_matrix(frame)
    ).astype(np.uint8, copy=False)
    pixels = np.ascontiguousarray(rotate_upright(pixels, matrix))
    if alpha:
        return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    return pixels, None


def has_alpha(frame: av.VideoFrame) -> bool:
    """True if the frame's pixel format has alpha, as a palette may."""
    return frame.format.name == "pal8" or any(plane.is_alpha for plane in frame.format.components)


def display_matrix(frame: av.VideoFrame) -> Matrix:
    """The rotation by quarter turns and mirroring that the container asks for; else `UPRIGHT`."""
    side_data = cast(Mapping[str, SideData], frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return UPRIGHT
    # 9 int32 in rows: a b u / c d v / x y w. a to d are 16.16 fixed point; only signs matter here.
    numbers = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)
    a, b, _, c, d = (int(v) for v in numbers[:5])
    if a == d == 0 and b and c:
        return 0, _sign(b), _sign(c), 0
    if b == c == 0 and a and d:
        return _sign(a), 0, 0, _sign(d)
    return UPRIGHT  # rotated by another angle: players show the frame as stored


def rotate_upright(pixels: npt.NDArray[np.uint8], matrix: Matrix) -> npt.NDArray[np.uint8]:
    """A view of H×W×C pixels, upright; H and W are swapped for a quarter turn."""
    a, b, c, d = matrix
    # x' = ax + cy, y' = bx + dy. If a = d = 0, x' = cy and y' = bx: swap the axes, then c and b are
    # the signs of the new x and y. A negative sign mirrors its axis.
    if a == 0:
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return pixels


def _sign(value: int) -> int:
    return 1 if value > 0 else -1


def _colour_matrix(frame: av.VideoFrame) -> Colorspace:
    """The matrix in the file; if there is none, BT.709 from 720 lines and BT.601 below.

    That is the rule of players. swscale alone would use BT.601 for HD too, and shift its colours.
    """
    matrix = _MATRICES.get(frame.colorspace)
    if matrix is not None:
        return matrix
    return Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
