"""Masks as the page gets them, against a decoder written here."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rotomask.app.document import Document, FrameRow
from rotomask.app.packs import mask_record, pack_frames, pack_masks
from rotomask.app.processes.mask_store import MaskStore, leb128
from rotomask.masks import read_labels


def decode(record: bytes) -> tuple[int, npt.NDArray[np.uint8], bytes]:
    """Frame, mask and the rest of a pack, byte by byte as docs/app-design.md has it."""
    frame, width, height, length = struct.unpack_from("<IHHI", record)
    content, rest = record[12 : 12 + length], record[12 + length :]
    flat = np.zeros(width * height, np.uint8)
    at = 0
    while at < length:
        label, count = struct.unpack_from("<BI", content, at)
        at += 5
        position, numbers = 0, []
        for _ in range(count):
            value = shift = 0
            while True:
                value |= (content[at] & 127) << shift
                shift += 7
                at += 1
                if content[at - 1] < 128:
                    break
            numbers.append(value)
        for gap, run in zip(numbers[::2], numbers[1::2], strict=True):
            position += gap
            flat[position : position + run] = label
            position += run
    return frame, flat.reshape(height, width), rest


def masks(seed: int) -> npt.NDArray[np.int32]:
    random = np.random.default_rng(seed)
    small = random.choice([0, 0, 1, 2, 255], size=(9, 14))
    return np.kron(small, np.ones((7, 11))).astype(np.int32)


@pytest.mark.parametrize("seed", range(4))
def test_a_stored_mask_comes_back(tmp_path: Path, seed: int) -> None:
    labels = masks(seed)
    store = MaskStore(tmp_path)
    digest, found = store.write(labels)
    assert store.write(labels) == (digest, found)
    assert found == tuple(int(k) for k in np.unique(labels) if k)
    height, width = labels.shape
    frame, decoded, rest = decode(mask_record(tmp_path, digest, 7, (width, height), found))
    assert (frame, rest) == (7, b"")
    assert np.array_equal(decoded, labels)
    assert np.array_equal(read_labels(store.path(digest)), labels)


def test_deleted_objects_and_frames_without_a_mask_are_left_out(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    digests = [store.write(masks(seed))[0] for seed in (1, 2)]
    rows = {
        index: FrameRow(digest=digest, labels=(1, 2, 255), source="cut")
        for index, digest in zip((3, 5), digests, strict=True)
    }
    document = Document(rows, (1, 255), 9)
    height, width = masks(1).shape
    pack = zlib.decompress(pack_masks(tmp_path, document, (width, height), range(9)))
    for index, seed in ((3, 1), (5, 2)):
        frame, decoded, pack = decode(pack)
        expected = np.where(masks(seed) == 2, 0, masks(seed))
        assert frame == index
        assert np.array_equal(decoded, expected)
    assert pack == b""


def test_an_empty_mask_is_a_record_without_runs(tmp_path: Path) -> None:
    digest, found = MaskStore(tmp_path).write(np.zeros((4, 6), np.int32))
    assert found == ()
    record = mask_record(tmp_path, digest, 0, (6, 4), ())
    assert record == struct.pack("<IHHI", 0, 6, 4, 0)


def test_large_numbers_in_leb128() -> None:
    assert leb128(np.array([0, 127, 128, 624485, 2**28])) == bytes(
        [0, 127, 128, 1, 0xE5, 0x8E, 0x26, 0x80, 0x80, 0x80, 0x80, 0x01]
    )


def test_frames_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "00004.jpg").write_bytes(b"four")
    assert pack_frames(tmp_path, range(9)) == struct.pack("<II", 4, 4) + b"four"
