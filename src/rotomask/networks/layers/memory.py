"""Memory reading: values gathered from past frames by similarity of keys."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.errors import OptionError, ShapeError

Similarity = Literal["dot", "l2"]


def memory_read(
    query_key: Tensor,
    memory_key: Tensor,
    memory_value: Tensor,
    *,
    similarity: Similarity = "dot",
    top_k: int | None = None,
) -> Tensor:
    """Values gathered from memory by affinity with the query.

    Oh et al. 2019 (STM), sec. 3.2, with the dot product divided by √C as in their code. ``l2`` is
    the negative squared distance of Cheng et al. 2021 (STCN, sec. 3.3), likewise divided by √C.

    Args:
        query_key: B×C×N, N positions of the query frame.
        memory_key: B×C×M, M positions of the memory.
        memory_value: B×V×M.
        similarity: How two keys are compared.
        top_k: Read only from the k most similar memory positions of each query position.

    Returns:
        B×V×N, of the value's dtype.

    Raises:
        ShapeError: If batch or channels of query and memory differ.
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
    query, key = query_key.mT, memory_key.mT
    if similarity == "l2":
        query, key = _as_dot_product(query, key)
    value = memory_value.mT.to(query.dtype)
    if top_k is not None and top_k < key.shape[1]:
        return _read_top_k(query, key, value, scale, top_k).mT
    return _read_all(query, key, value, scale).mT


def _as_dot_product(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Longer vectors whose dot product is 2 q·k - |k|²: -|q - k|² up to a constant of the query.

    The norm is split in a rounded part and the rest, so that bfloat16 loses neither.
    """
    norm = key.float().square().sum(-1, keepdim=True)
    coarse = norm.to(key.dtype)
    fine = (norm - coarse.float()).to(key.dtype)
    ones = torch.ones_like(query[..., :1])
    return torch.cat([2 * query, ones, ones], -1), torch.cat([key, -coarse, -fine], -1)


def _read_all(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Softmax over all memory: B×N×V.

    The fused kernel needs equal widths of key and value, and channels side by side in memory:
    values are cut into heads, and keys padded with zeros, which change no dot product. Without it
    this takes many times as long on a CPU.
    """
    width = key.shape[-1] if key.shape[-1] > 128 else 128
    heads = -(-value.shape[-1] // width)
    padded = F.pad(value, (0, heads * width - value.shape[-1])).contiguous()
    batch, positions, _ = value.shape
    value_heads = padded.view(batch, positions, heads, width).transpose(1, 2)
    query_heads = F.pad(query, (0, width - query.shape[-1]))[:, None].expand(-1, heads, -1, -1)
    key_heads = F.pad(key, (0, width - key.shape[-1]))[:, None].expand(-1, heads, -1, -1)
    read = F.scaled_dot_product_attention(query_heads, key_heads, value_heads, scale=scale)
    return read.transpose(1, 2).flatten(2)[..., : value.shape[-1]]


def _read_top_k(query: Tensor, key: Tensor, value: Tensor, scale: float, top_k: int) -> Tensor:
    """Softmax over the k most similar positions only: B×N×V."""
    similarity = query @ key.mT * scale
    best, index = similarity.topk(top_k, dim=-1, sorted=False)
    weight = torch.softmax(best.float(), dim=-1).to(value.dtype)
    affinity = torch.zeros_like(similarity, dtype=value.dtype).scatter_(-1, index, weight)
    return affinity @ value
