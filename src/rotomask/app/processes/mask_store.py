"""Masks in a project's folder: under the digest of their content, as PNG and as runs.

`DIGEST.png` is what everything in rotomask reads; `DIGEST.runs` is what the server sends to the
page without decoding anything. Both are there before anybody hears of the digest.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask
from rotomask.files import output_errors, temporary_name
from rotomask.masks import read_labels, write_mask

Bytes = npt.NDArray[np.uint8]


class MaskStore:
    """The masks of one project.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """The file of a mask."""
        return self.folder / f"{digest}.png"

    def read(self, digest: str) -> npt.NDArray[np.int32]:
        """Labels of a mask, H×W."""
        return _read(self.path(digest)).copy()

    def write(self, labels: Mask) -> tuple[str, tuple[int, ...]]:
        """Store a mask unless it is there.

        Args:
            labels: H×W integers, 0 background.

        Returns:
            Its digest, and the objects with a pixel in it.

        Raises:
            OutputError: If the disk is full.
        """
        runs, ids = encode_runs(labels)
        height, width = labels.shape
        # Of the labels, not of a file: equal masks are stored once, whatever compressed them. The
        # size counts, for runs alone could be of another shape.
        digest = hashlib.blake2b(f"{width}x{height}".encode() + runs, digest_size=16).hexdigest()
        final = self.path(digest)
        if not final.exists():
            self._write_runs(final.with_suffix(".runs"), runs)
            part = self._temporary_name(final)
            write_mask(part, labels)
            with output_errors(final):
                sync(part)
                # The runs are there before: whoever sees the PNG finds both.
                part.replace(final)
        return digest, ids

    def _write_runs(self, final: Path, runs: bytes) -> None:
        part = self._temporary_name(final)
        with output_errors(final):
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(runs)
                file.flush()
                os.fsync(file.fileno())
            part.replace(final)

    def _temporary_name(self, final: Path) -> Path:
        """A name of this process alone: the marker and the worker may store the same mask.

        What a killed process leaves under it is deleted when the server starts again.
        """
        return temporary_name(final.with_name(f"{final.stem}-{os.getpid()}{final.suffix}"))


def with_locked(labels: Mask, before: Mask, locked: Sequence[int]) -> npt.NDArray[np.int32]:
    """A changed mask in which some objects are as they were before the change.

    Args:
        labels: H×W, after the change.
        before: H×W.
        locked: These objects; what else took their pixels gives them back.
    """
    others = np.where(np.isin(labels, locked), 0, labels)
    return np.where(np.isin(before, locked), before, others).astype(np.int32)


@lru_cache(maxsize=16)
def _read(path: Path) -> npt.NDArray[np.int32]:
    """A mask; files under a digest never change."""
    return read_labels(path)


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode_runs(labels: Mask) -> tuple[bytes, tuple[int, ...]]:
    """A label mask as runs of each object in row order.

    Args:
        labels: H×W integers from 0 to 255.

    Returns:
        For each object `uint8 label, uint32 count, uint32 bytes`, little endian, then `count`
        unsigned LEB128 numbers in so many bytes: the start of its first run, its length, the gap
        to the next ... And the objects, rising.

    Example:
        >>> list(encode_runs(np.array([[0, 3, 3], [3, 0, 3]]))[0][9:])
        [1, 3, 1, 1]
    """
    flat = np.ascontiguousarray(labels).ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes])
    ends = np.concatenate([changes, [flat.size]])
    values = flat[starts]
    parts, ids = [], tuple(int(k) for k in np.unique(values) if k)
    for label in ids:
        own = values == label
        # start, end, start, end ...: the differences are gap, length, gap, length.
        edges = np.stack([starts[own], ends[own]], 1).ravel()
        numbers = leb128(np.diff(edges, prepend=0))
        head = np.array([2 * int(own.sum()), len(numbers)], "<u4").tobytes()
        parts.append(bytes([label]) + head + numbers)
    return b"".join(parts), ids


def leb128(numbers: npt.NDArray[np.int64]) -> bytes:
    """Whole numbers below 2^35 from 0 on as unsigned LEB128."""
    # Five groups of seven bits, the lowest first; `count` says how many of them a number needs.
    septets = (numbers[:, None] >> (7 * np.arange(5))) & 127  # N×5
    count = 1 + (numbers[:, None] >= (1 << (7 * np.arange(1, 5)))).sum(1)
    used = np.arange(5) < count[:, None]
    # The high bit says that another byte follows.
    more = np.arange(5) < count[:, None] - 1
    coded: Bytes = (septets | np.where(more, 128, 0)).astype(np.uint8)
    return bytes(coded[used].tobytes())
