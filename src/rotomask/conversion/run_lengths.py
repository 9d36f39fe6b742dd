"""Run lengths of masks in row order, as CVAT and Label Studio store them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BoolMask = npt.NDArray[np.bool_]

_WORD_BITS = 8
_RUN_BITS = (3, 4, 8, 16)
"""Bits of a run's length; each run names one of the four."""


def to_runs(mask: BoolMask) -> list[int]:
    """Lengths of the runs of an H×W mask in row order, the first of False, perhaps 0."""
    flat = mask.ravel()
    # Where a new run begins; differences of these are the lengths.
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]]))
    runs = [int(n) for n in lengths]
    return [0, *runs] if flat.size and flat[0] else runs


def from_runs(runs: Sequence[int], size: tuple[int, int]) -> BoolMask:
    """The H×W mask of run lengths in row order.

    Raises:
        ValueError: If a run is negative or they do not add up to the size.
    """
    lengths = np.asarray(runs, np.int64)
    if (lengths < 0).any() or int(lengths.sum()) != size[0] * size[1]:
        raise ValueError(f"runs of {int(lengths.sum())} pixels for a mask of {size[1]}x{size[0]}")
    # Runs of False and True in turn: odd ones are the object.
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size)


def to_bit_stream(mask: BoolMask) -> list[int]:
    """An H×W mask as Label Studio's brush stores it: bytes of a packed stream of RGBA runs.

    Each pixel is four equal values, 0 or 255. The header is the number of values in 32 bits, the
    word size less 1 in 5, four run sizes less 1 in 4 each. A run is a 1, two bits for its size, its
    length less 1, and the value (the format of thi.ng/rle-pack).
    """
    header = f"{4 * mask.size:032b}{_WORD_BITS - 1:05b}" + "".join(
        f"{n - 1:04b}" for n in _RUN_BITS
    )
    bits = [header]
    value = 0
    for pixels in to_runs(mask):
        left = 4 * pixels
        while left:
            length = min(left, 1 << _RUN_BITS[-1])
            # The shortest of the four codes that holds the length; longer runs are cut into
            # several.
            size = next(i for i, n in enumerate(_RUN_BITS) if length <= 1 << n)
            bits.append(f"1{size:02b}{length - 1:0{_RUN_BITS[size]}b}{value:0{_WORD_BITS}b}")
            left -= length
        value = 255 - value
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return [int(stream[i : i + 8], 2) for i in range(0, len(stream), 8)]


def from_bit_stream(stream: Sequence[int], size: tuple[int, int]) -> BoolMask:
    """The H×W mask of Label Studio's brush; a pixel is set where its alpha is 128 and more.

    Raises:
        ValueError: If the stream ends early, or is not of this size.
    """
    reader = _BitReader(np.asarray(stream, np.uint8))
    count = reader.read(32)
    word_bits = reader.read(5) + 1
    run_bits = [reader.read(4) + 1 for _ in range(4)]
    if count != 4 * size[0] * size[1]:
        raise ValueError(f"{count} values for an RGBA image of {size[1]}x{size[0]}")
    values = np.empty(count, np.uint32)
    position = 0
    while position < count:
        is_run = reader.read(1)
        end = min(count, position + 1 + reader.read(run_bits[reader.read(2)]))
        if is_run:
            values[position:end] = reader.read(word_bits)
        else:
            # A 0 in front: that many values follow, each by itself.
            values[position:end] = [reader.read(word_bits) for _ in range(end - position)]
        position = end
    return values.reshape(*size, 4)[:, :, 3] >= 128


class _BitReader:
    """Numbers of any width from bytes, the highest bit first."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        # Text of 0 and 1: fields are of 1 to 32 bits at any offset, and a mask has a few thousand
        # runs.
        self._bits = "".join(f"{byte:08b}" for byte in data.tolist())
        self._position = 0

    def read(self, width: int) -> int:
        """The next number.

        Raises:
            ValueError: At the end of the stream.
        """
        text = self._bits[self._position : self._position + width]
        if len(text) < width:
            raise ValueError("the run lengths end early")
        self._position += width
        return int(text, 2)
