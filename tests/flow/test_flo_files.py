"""The .flo format: its bytes, round trips, and files that are not what they should be."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import FlowFileError, ShapeError
from rotomask.flow.flo_files import read_flo, write_flo


def test_the_bytes_are_those_of_the_format(tmp_path):
    flow = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    write_flo(tmp_path / "a.flo", flow)
    content = (tmp_path / "a.flo").read_bytes()
    assert struct.unpack("<fii", content[:12]) == (202021.25, 3, 2)
    assert struct.unpack("<12f", content[12:]) == tuple(range(12))


@settings(max_examples=20)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_what_is_written_is_read(tmp_path_factory, height, width, seed):
    flow = np.random.default_rng(seed).normal(size=(height, width, 2)).astype(np.float32)
    flow[0, 0] = 1.7e9  # unknown
    path = tmp_path_factory.mktemp("flo") / "deep" / "a.flo"
    write_flo(path, flow)
    found = read_flo(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, flow)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a .flo file"),
        (b"PI", "not a .flo file"),
        (b"\x89PNG" + bytes(40), "not a .flo file"),
        (struct.pack("<4sii", b"PIEH", 0, 5), "0×5, sides must be 1 to"),
        (struct.pack("<4sii", b"PIEH", -3, 5), "sides must be 1 to"),
        (struct.pack("<4sii", b"PIEH", 2**30, 2**30), "sides must be 1 to"),
        (struct.pack("<4sii", b"PIEH", 3, 2) + bytes(47), "59 bytes, a flow of 3×2 has 60"),
        (struct.pack("<4sii", b"PIEH", 3, 2) + bytes(49), "truncated or damaged"),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path, content, message):
    path = tmp_path / "a.flo"
    path.write_bytes(content)
    with pytest.raises(FlowFileError, match=message) as caught:
        read_flo(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_flow_of_another_shape(tmp_path):
    with pytest.raises(FlowFileError, match="No such file"):
        read_flo(tmp_path / "none.flo")
    with pytest.raises(ShapeError, match="H×W×2"):
        write_flo(tmp_path / "a.flo", np.zeros((3, 2), np.float32))
