"""Memory read: attention from the query frame's positions to those of past frames."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.errors import OptionError, ShapeError

Similarity = Literal["dot", "l2"]

BAND_ROWS = 192
"""Query positions that `_read_in_bands` computes at once, of the fastest of several numbers the one
that takes least memory."""
BAND_BYTES = 16 << 20
"""Size of their affinities, bytes: with a large memory they are fewer."""
MEMORY_STEP = 512
"""Memory positions read in bands are a multiple of this: for each size the library that multiplies
matrices keeps code of its own, and every memory has another number of positions."""
_FAR = 1e6
"""Squared distance of the positions that are added; their weight is nothing."""
SMALLEST_LOG_WEIGHT = -60.0
"""Logarithm of the smallest weight of a memory position relative to the best one's."""


class Memory:
    """Keys and values of memory positions, brought once into the form in which they are read.

    A memory stays as it is for some frames, and is read in each of them.
    """

    def __init__(
        self,
        key: Tensor,
        value: Tensor,
        *,
        similarity: Similarity = "dot",
        log_weight: Tensor | None = None,
    ) -> None:
        """A memory of M positions.

        Args:
            key: Keys, B×C×M.
            value: Values, B×V×M.
            similarity: ``dot`` or ``l2``; see `memory_read`.
            log_weight: Logarithm of the number of positions that each one stands for, M; None: of
                one each. Only with ``l2``.

        Raises:
            ShapeError: If the shapes of keys and values do not match.
            OptionError: If the similarity is unknown, or has no weights.
        """
        if key.shape[::2] != value.shape[::2]:
            raise ShapeError(
                f"keys must be B×C×M and values B×V×M, got {tuple(key.shape)} and "
                f"{tuple(value.shape)}"
            )
        if similarity not in ("dot", "l2"):
            raise OptionError(f"unknown similarity {similarity!r}; use dot or l2")
        if log_weight is not None and similarity != "l2":
            raise OptionError("positions of a memory have weights only with the similarity l2")
        self._key, self._value = key, value.to(key.dtype)
        self._similarity = similarity
        self._scale = 1 / math.sqrt(key.shape[1])
        # Softmax weights are multiplied by n if log n is added to the scaled similarity.
        self._bonus = None if log_weight is None else log_weight[:, None] / self._scale  # M×1
        self._banded: list[tuple[Tensor, Tensor]] | None = None

    def read(self, query_key: Tensor, top_k: int | None = None) -> Tensor:
        """Values gathered by affinity with the query; see `memory_read`."""
        if query_key.shape[:2] != self._key.shape[:2]:
            raise ShapeError(
                "keys must be B×C×N and B×C×M, got "
                f"{tuple(query_key.shape)} and {tuple(self._key.shape)}"
            )
        reads_all = top_k is None or top_k >= self._key.shape[2]
        if reads_all and self._similarity == "l2" and _reads_faster_in_bands(self._key):
            if self._banded is None:
                pairs = zip(self._key, self._value, strict=True)
                self._banded = [_for_bands(*pair, self._bonus) for pair in pairs]
            bands = zip(query_key, self._banded, strict=True)
            return torch.stack([_read_in_bands(one, *memory, self._scale) for one, memory in bands])
        query, key = query_key.mT, self._key.mT  # B×N×C, B×M×C
        if self._similarity == "l2":
            query, key = _as_dot_product(query, key, self._bonus)
        if reads_all:
            return _read_all(query, key, self._value.mT, self._scale).mT
        assert top_k is not None
        return _read_top_k(query, key, self._value.mT, self._scale, top_k).mT


def memory_read(
    query_key: Tensor,
    memory_key: Tensor,
    memory_value: Tensor,
    *,
    similarity: Similarity = "dot",
    top_k: int | None = None,
    log_weight: Tensor | None = None,
) -> Tensor:
    """Values gathered from memory by affinity with the query.

    The affinity is the softmax of the similarity over memory positions. ``dot`` is the dot product
    of Oh et al. 2019 (STM), sec. 3.2, divided by √C as in their code but not in their paper. ``l2``
    is the negative squared distance of Cheng et al. 2021 (STCN), sec. 3.3, also divided by √C.

    Args:
        query_key: Keys at the N positions of the query frame, B×C×N.
        memory_key: Keys at the M positions of the memory, B×C×M.
        memory_value: Values of the memory, B×V×M.
        similarity: ``dot`` or ``l2``.
        top_k: Read only from the k most similar memory positions of each query position; None: all.
        log_weight: Logarithm of the number of positions that each memory position stands for, M;
            None: of one each. Only with ``l2``.

    Returns:
        B×V×N, with the dtype of the keys.

    Raises:
        ShapeError: If the shapes of keys and values do not match.
        OptionError: If the similarity is unknown, or has no weights.
    """
    memory = Memory(memory_key, memory_value, similarity=similarity, log_weight=log_weight)
    return memory.read(query_key, top_k)


def _as_dot_product(query: Tensor, key: Tensor, bonus: Tensor | None) -> tuple[Tensor, Tensor]:
    """Keys with two more channels whose dot product is 2 q·k - |k|².

    That is -|q - k|² + |q|², and the softmax over memory positions ignores |q|², which is constant
    for a query. So the fused attention kernel, which knows only dot products, computes ``l2`` too.
    |k|² is stored as a rounded value plus a remainder, because bfloat16 has only 8 bits of
    mantissa.

    Args:
        query: B×N×C.
        key: B×M×C.
        bonus: What is added to the similarity of each position, M×1; None: nothing.

    Returns:
        B×N×C+2 and B×M×C+2.
    """
    norm = _rounded_norm(key, bonus)  # B×M×2
    query = torch.cat([2 * query, torch.ones_like(query[..., :2])], -1)
    return query, torch.cat([key, -norm], -1)


def _for_bands(key: Tensor, value: Tensor, bonus: Tensor | None) -> tuple[Tensor, Tensor]:
    """Keys and values as `_read_in_bands` takes them, C+4×M and M×V, with more positions.

    The dot product of these keys and the query's is 2 q·k - |k|² - |q|², the negative squared
    distance. It is near 0 where it counts, for the most similar positions, and so bfloat16, which
    rounds to 8 bits of mantissa, has it exactly enough.

    Args:
        key: C×M.
        value: V×M.
        bonus: What is added to the similarity of each position, M×1; None: nothing.
    """
    norm = _rounded_norm(key.mT, bonus)  # M×2
    keys = torch.cat([key.mT, -norm, torch.ones_like(norm)], -1)  # M×C+4
    values = value.mT  # M×V
    added = -len(keys) % MEMORY_STEP
    if added:
        keys, values = F.pad(keys, (0, 0, 0, added)), F.pad(values, (0, 0, 0, added))
        keys[-added:, key.shape[0]] = -_FAR  # in place of -|k|²
    return keys.mT.contiguous(), values.contiguous()


def _rounded_norm(keys: Tensor, bonus: Tensor | None = None) -> Tensor:
    """Squared length less a bonus, as a rounded value plus a remainder, ...×C -> ...×2."""
    norm = keys.float().square().sum(-1, keepdim=True)
    if bonus is not None:
        norm = norm - bonus
    coarse = norm.to(keys.dtype)
    return torch.cat([coarse, (norm - coarse.float()).to(keys.dtype)], -1)


def _read_all(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention over all memory positions, B×N×V, by the fused kernel.

    The fused CPU kernel needs keys and values of equal width with contiguous channels, so the V
    value channels are split into heads of the keys' width, and keys are padded with zeros, which do
    not change dot products. Without the fused kernel a read takes many times as long on a CPU.

    Args:
        query: B×N×C.
        key: B×M×C.
        value: B×M×V.
        scale: Factor on the dot products.
    """
    width = key.shape[-1] if key.shape[-1] > 128 else 128
    heads = -(-value.shape[-1] // width)  # rounded up; the last head is padded with zeros
    padded = F.pad(value, (0, heads * width - value.shape[-1])).contiguous()
    batch, positions, _ = value.shape
    value_heads = padded.view(batch, positions, heads, width).transpose(1, 2)  # B×heads×M×width
    # Every head has the same keys: expand, B×heads×N×width, does not copy them.
    query_heads = F.pad(query, (0, width - query.shape[-1]))[:, None].expand(-1, heads, -1, -1)
    key_heads = F.pad(key, (0, width - key.shape[-1]))[:, None].expand(-1, heads, -1, -1)
    readout = F.scaled_dot_product_attention(query_heads, key_heads, value_heads, scale=scale)
    # B×heads×N×width -> B×N×heads×width -> B×N×heads·width, without the padding.
    return readout.transpose(1, 2).flatten(2)[..., : value.shape[-1]]


def _reads_faster_in_bands(key: Tensor) -> bool:
    """True if `_read_in_bands` takes less time than `_read_all`, or as much and less memory.

    The fused kernel computes the affinity again for each head of the values, and in bfloat16 it
    does not reach the rate of a matrix product. Gradients need the fused kernel: it does not keep
    the affinity.
    """
    return key.device.type == "cpu" and not torch.is_grad_enabled()


def _read_in_bands(query_key: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """Attention by negative squared distance over all memory positions, V×N.

    Bands of query positions are small enough that their affinities stay in the processor's cache
    between the two matrix products.

    Args:
        query_key: C×N.
        keys: C+4×M, of `_for_bands`.
        values: M×V, of `_for_bands`.
        scale: Factor on the squared distances.
    """
    query = query_key.mT
    norm = _rounded_norm(query)  # N×2
    query = torch.cat([2 * query, torch.ones_like(norm), -norm], -1)  # N×C+4
    rows = max(1, min(BAND_ROWS, BAND_BYTES // (4 * keys.shape[1]), len(query)))
    readout = values.new_empty(len(query), values.shape[1])  # N×V
    zero = query.new_zeros(1)
    for start in range(0, len(query), rows):
        # The last band begins earlier instead of being smaller, for the reason of `MEMORY_STEP`.
        band = slice(min(start, len(query) - rows), min(start + rows, len(query)))
        # The product applies the scale as it writes: rows×M.
        similarity = torch.addmm(zero, query[band], keys, beta=0, alpha=scale)
        # Weights of nothing are slow: processors take many times as long over denormal numbers, and
        # nearly all positions are that far away.
        least = similarity.amax(1, keepdim=True) + SMALLEST_LOG_WEIGHT
        torch.maximum(similarity, least, out=similarity)
        torch.mm(torch.softmax(similarity, 1), values, out=readout[band])
    return readout.mT


def _read_top_k(query: Tensor, key: Tensor, value: Tensor, scale: float, top_k: int) -> Tensor:
    """Attention over the k most similar memory positions of each query position, B×N×V."""
    similarity = query @ key.mT * scale  # B×N×M
    best, index = similarity.topk(top_k, dim=-1, sorted=False)  # B×N×k
    weight = torch.softmax(best.float(), dim=-1).to(value.dtype)
    # Scatter into a dense affinity, B×N×M: gathering the values would take B×N×k×V memory.
    affinity = torch.zeros_like(similarity, dtype=value.dtype).scatter_(-1, index, weight)
    return affinity @ value
