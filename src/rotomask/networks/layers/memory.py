"""Memory read: attention from the query frame's positions to those of past frames."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.errors import OptionError, ShapeError

Similarity = Literal["dot", "l2"]

BAND_BYTES = 8 << 20
"""Affinities that `_read_in_bands` computes at once, bytes; the fastest of several sizes."""
SMALLEST_LOG_WEIGHT = -60.0
"""Logarithm of the smallest weight of a memory position relative to the best one's."""


def memory_read(
    query_key: Tensor,
    memory_key: Tensor,
    memory_value: Tensor,
    *,
    similarity: Similarity = "dot",
    top_k: int | None = None,
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

    Returns:
        B×V×N, with the dtype of the keys.

    Raises:
        ShapeError: If the shapes of keys and values do not match.
        OptionError: If the similarity is unknown.
    """
    if query_key.shape[:2] != memory_key.shape[:2] or memory_key.shape[2] != memory_value.shape[2]:
        raise ShapeError(
            "keys must be B×C×N and B×C×M and values B×V×M, got "
            f"{tuple(query_key.shape)}, {tuple(memory_key.shape)}, {tuple(memory_value.shape)}"
        )
    if similarity not in ("dot", "l2"):
        raise OptionError(f"unknown similarity {similarity!r}; use dot or l2")
    scale = 1 / math.sqrt(query_key.shape[1])
    value = memory_value.to(query_key.dtype)
    reads_all = top_k is None or top_k >= memory_key.shape[2]
    if reads_all and similarity == "l2" and _reads_faster_in_bands(memory_key, value):
        bands = zip(query_key, memory_key, value, strict=True)
        return torch.stack([_read_in_bands(*one, scale) for one in bands])
    query, key = query_key.mT, memory_key.mT  # B×N×C, B×M×C
    if similarity == "l2":
        query, key = _as_dot_product(query, key)
    if reads_all:
        return _read_all(query, key, value.mT, scale).mT
    assert top_k is not None
    return _read_top_k(query, key, value.mT, scale, top_k).mT


def _as_dot_product(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Keys with two more channels whose dot product is 2 q·k - |k|².

    That is -|q - k|² + |q|², and the softmax over memory positions ignores |q|², which is constant
    for a query. So the fused attention kernel, which knows only dot products, computes ``l2`` too.
    |k|² is stored as a rounded value plus a remainder, because bfloat16 has only 8 bits of
    mantissa.

    Args:
        query: B×N×C.
        key: B×M×C.

    Returns:
        B×N×C+2 and B×M×C+2.
    """
    norm = _rounded_norm(key)  # B×M×2
    query = torch.cat([2 * query, torch.ones_like(query[..., :2])], -1)
    return query, torch.cat([key, -norm], -1)


def _as_negative_distance(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Keys with four more channels whose dot product is 2 q·k - |k|² - |q|² = -|q - k|².

    It is near 0 where it counts, for the most similar positions, and so bfloat16, which rounds to 8
    bits of mantissa, has it exactly enough.

    Args:
        query: N×C.
        key: M×C.

    Returns:
        N×C+4 and M×C+4.
    """
    query_norm, key_norm = _rounded_norm(query), _rounded_norm(key)
    query = torch.cat([2 * query, torch.ones_like(query_norm), -query_norm], -1)
    return query, torch.cat([key, -key_norm, torch.ones_like(key_norm)], -1)


def _rounded_norm(keys: Tensor) -> Tensor:
    """Squared length as a rounded value plus a remainder, ...×C -> ...×2."""
    norm = keys.float().square().sum(-1, keepdim=True)
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


def _reads_faster_in_bands(key: Tensor, value: Tensor) -> bool:
    """True if `_read_in_bands` takes less time than `_read_all`.

    The fused kernel computes the affinity again for each head of the values, and in bfloat16 it
    does not reach the rate of a matrix product. Gradients need the fused kernel: it does not keep
    the affinity.

    Args:
        key: B×C×M.
        value: B×V×M.
    """
    if key.device.type != "cpu" or torch.is_grad_enabled():
        return False
    return key.dtype == torch.bfloat16 or value.shape[1] > key.shape[1] + 2


def _read_in_bands(query_key: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention by negative squared distance over all memory positions, V×N.

    Bands of query positions are small enough that their affinities stay in the processor's cache
    between the two matrix products.

    Args:
        query_key: C×N.
        key: C×M.
        value: V×M.
        scale: Factor on the squared distances.
    """
    query, key = _as_negative_distance(query_key.mT, key.mT)  # N×C+4, M×C+4
    key, positions = key.mT, value.mT
    rows = max(1, BAND_BYTES // (4 * key.shape[1]))
    readout = value.new_empty(len(query), len(value))  # N×V
    for part, out in zip(query.split(rows), readout.split(rows), strict=True):
        similarity = torch.mm(part, key)  # rows×M
        # Softmax by hand, in place: in a band the largest weight is 1, so nothing overflows.
        similarity -= similarity.amax(1, keepdim=True)
        # Weights of nothing are slow: processors take many times as long over denormal numbers.
        weight = similarity.mul_(scale).clamp_(min=SMALLEST_LOG_WEIGHT).exp_()
        total = weight.sum(1, keepdim=True, dtype=torch.float32)
        torch.div(torch.mm(weight, positions), total, out=out)
    return readout.mT


def _read_top_k(query: Tensor, key: Tensor, value: Tensor, scale: float, top_k: int) -> Tensor:
    """Attention over the k most similar memory positions of each query position, B×N×V."""
    similarity = query @ key.mT * scale  # B×N×M
    best, index = similarity.topk(top_k, dim=-1, sorted=False)  # B×N×k
    weight = torch.softmax(best.float(), dim=-1).to(value.dtype)
    # Scatter into a dense affinity, B×N×M: gathering the values would take B×N×k×V memory.
    affinity = torch.zeros_like(similarity, dtype=value.dtype).scatter_(-1, index, weight)
    return affinity @ value
