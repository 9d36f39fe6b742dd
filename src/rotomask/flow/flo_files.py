"""Read and write .flo files, the optical flow format of the Middlebury benchmark.

Baker et al. 2011: the float 202021.25 (the bytes "PIEH"), width and height as int32, then u and v
of every pixel as float32, row by row, all little-endian. Components above 1e9 mark unknown flow.
"""

import struct
from pathlib import Path

import numpy as np

from rotomask.errors import FlowFileError, ShapeError
from rotomask.files import Commit, complete_or_absent, replace_file
from rotomask.flow.optical_flow import Flow

MAGIC = b"PIEH"
HEADER = struct.Struct("<4sii")
LONGEST_SIDE_PX = 99_999
"""Largest side; a header with a larger one is rejected as damaged, as in the benchmark's code."""


def write_flo(path: Path, flow: Flow, commit: Commit = replace_file) -> None:
    """Write a flow; the file is complete or absent.

    Args:
        path: The file to write; it is replaced if it exists, and its folder is created.
        flow: H×W×2, px.
        commit: Gives the complete file its name.

    Raises:
        ShapeError: If the flow is not H×W×2, or has no pixels.
        OutputError: If the file cannot be written.
    """
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise ShapeError(f"a flow must be H×W×2, got {flow.shape}")
    height, width = flow.shape[:2]
    with complete_or_absent(path, commit) as temporary, temporary.open("wb") as file:
        file.write(HEADER.pack(MAGIC, width, height))
        file.write(np.ascontiguousarray(flow, "<f4").tobytes())


def read_flo(path: Path) -> Flow:
    """The flow in a .flo file: H×W×2 float32, px.

    Raises:
        FlowFileError: If the file is missing or not a .flo file, its length does not match its
            header, or the size in the header is out of range.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlowFileError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) < HEADER.size or content[:4] != MAGIC:
        raise FlowFileError(
            f"{path} is not a .flo file: it starts with {content[:4]!r}, not {MAGIC!r}; use the "
            "Middlebury format"
        )
    _, width, height = HEADER.unpack_from(content)
    if not (0 < width <= LONGEST_SIDE_PX and 0 < height <= LONGEST_SIDE_PX):
        raise FlowFileError(
            f"{path} is damaged: its header says {width}×{height}, sides must be 1 to "
            f"{LONGEST_SIDE_PX} px"
        )
    expected = HEADER.size + width * height * 8
    if len(content) != expected:
        raise FlowFileError(
            f"{path} is truncated or damaged: it has {len(content)} bytes, a flow of "
            f"{width}×{height} has {expected}; download or write it again"
        )
    stored = np.frombuffer(content, "<f4", offset=HEADER.size).reshape(height, width, 2)
    flow: Flow = stored.astype(np.float32)
    return flow
