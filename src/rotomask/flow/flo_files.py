"""Optical flow on disk: the .flo format of the Middlebury benchmark.

Baker et al. 2011: the float 202021.25 ("PIEH" as bytes), width and height as int32, then u and v of
every pixel as float32, row by row, all little-endian. Components beyond 1e9 mean unknown.
"""

import struct
from pathlib import Path

import numpy as np

from rotomask.errors import FlowFileError, ShapeError
from rotomask.files import complete_or_absent
from rotomask.flow.optical_flow import Flow

MAGIC = b"PIEH"
HEADER = struct.Struct("<4sii")
LONGEST_SIDE_PX = 99_999
"""Sizes beyond it are taken for a damaged header, as in the benchmark's own code."""


def write_flo(path: Path, flow: Flow) -> None:
    """Write a flow; the file is complete or absent.

    Args:
        path: Made or replaced, with its folder.
        flow: H×W×2, px.

    Raises:
        ShapeError: If it is not H×W×2, or has no pixel.
        OutputError: If the file cannot be written.
    """
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise ShapeError(f"a flow is H×W×2, got {flow.shape}")
    height, width = flow.shape[:2]
    with complete_or_absent(path) as temporary, temporary.open("wb") as file:
        file.write(HEADER.pack(MAGIC, width, height))
        file.write(np.ascontiguousarray(flow, "<f4").tobytes())


def read_flo(path: Path) -> Flow:
    """A flow as `write_flo` and the benchmarks store it: H×W×2 float32, px.

    Raises:
        FlowFileError: If the file is missing, no .flo file, cut off, too long, or says it is of a
            size that cannot be.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlowFileError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) < HEADER.size or content[:4] != MAGIC:
        raise FlowFileError(
            f"{path} is no .flo file: it begins with {content[:4]!r}, not {MAGIC!r}; give a flow "
            "in the Middlebury format"
        )
    _, width, height = HEADER.unpack_from(content)
    if not (0 < width <= LONGEST_SIDE_PX and 0 < height <= LONGEST_SIDE_PX):
        raise FlowFileError(
            f"{path} says it is {width}×{height}; sides must be 1 to {LONGEST_SIDE_PX} px; the "
            "file is damaged"
        )
    expected = HEADER.size + width * height * 8
    if len(content) != expected:
        raise FlowFileError(
            f"{path} has {len(content)} bytes, a flow of {width}×{height} has {expected}; the file "
            "is cut off or damaged; get it anew"
        )
    stored = np.frombuffer(content, "<f4", offset=HEADER.size).reshape(height, width, 2)
    flow: Flow = stored.astype(np.float32)
    return flow
