"""Frames and masks as the page gets them: many in one answer (docs/app-design.md, "Packs")."""

import base64
import hashlib
import struct
import zlib
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path

from rotomask.app.document import Document

MOST_FRAMES, MOST_MASKS = 60, 120
HEAD = struct.Struct("<BII")
"""Before the runs of an object in a stored file: label, count of numbers, bytes of the numbers."""


def pack_frames(folder: Path, frames: Iterable[int]) -> bytes:
    """JPEGs of frames, each behind `uint32 frame, uint32 length`; those not there are left out."""
    parts = []
    for index in frames:
        try:
            content = (folder / f"{index:05d}.jpg").read_bytes()
        except FileNotFoundError:
            continue
        parts += [struct.pack("<II", index, len(content)), content]
    return b"".join(parts)


def pack_masks(
    folder: Path, document: Document, size: tuple[int, int], frames: Iterable[int]
) -> bytes:
    """Masks of frames as deflated records.

    Args:
        folder: Folder of the masks.
        document: Which mask is a frame's, and which objects are there.
        size: Width and height.
        frames: Their numbers; those without a mask are left out.
    """
    parts = [
        mask_record(folder, document.frames[index].digest, index, size, document.live)
        for index in frames
        if index in document.frames
    ]
    return zlib.compress(b"".join(parts), 6)


def masks_tag(document: Document, frames: Iterable[int]) -> str:
    """An ETag that changes with any mask among some frames, or with the objects."""
    digest = hashlib.sha256(repr(sorted(document.live)).encode())
    for index in frames:
        row = document.frames.get(index)
        digest.update(f"{index}:{row and row.digest};".encode())
    return f'"{digest.hexdigest()[:24]}"'


def mask_record(
    folder: Path, digest: str, index: int, size: tuple[int, int], live: Collection[int]
) -> bytes:
    """`uint32 frame, uint16 width, uint16 height, uint32 length` and the runs of the objects."""
    runs = _runs(folder / f"{digest}.runs")
    content = b"".join(runs[label] for label in sorted(runs) if label in live)
    return struct.pack("<IHHI", index, *size, len(content)) + content


def mask_text(
    folder: Path, digest: str, index: int, size: tuple[int, int], live: Collection[int]
) -> str:
    """One record in base64."""
    return base64.b64encode(mask_record(folder, digest, index, size, live)).decode()


@lru_cache(maxsize=512)
def _runs(path: Path) -> dict[int, bytes]:
    """Runs of a stored mask by object: `uint8 label, uint32 count`, numbers."""
    content = path.read_bytes()
    runs: dict[int, bytes] = {}
    at = 0
    while at < len(content):
        label, count, length = HEAD.unpack_from(content, at)
        at += HEAD.size
        runs[label] = struct.pack("<BI", label, count) + content[at : at + length]
        at += length
    return runs
