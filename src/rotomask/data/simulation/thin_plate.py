"""Thin-plate splines: the smoothest deformation that moves given points (Bookstein 1989)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

GRID = 4
CONTROL_POINTS = GRID * GRID
"""Control points on a regular grid over the frame, edges included, row by row."""


def control_points() -> npt.NDArray[np.float64]:
    """The points' places P×2 (x, y), each 0..1 of the frame's side."""
    line = np.linspace(0, 1, GRID)
    y, x = np.meshgrid(line, line, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], -1)


@lru_cache(maxsize=16)
def basis(size: int) -> Tensor:
    """What each control point's displacement adds at every pixel of a size×size frame: S·S×P.

    Displacements are linear in those of the control points, so that bending is one matrix product.
    """
    points = control_points()
    # Bookstein's system [K P; P' 0]: the kernel between control points, their plane 1, x, y, and
    # the side conditions by which the bending has no affine part. (P+3)×(P+3).
    system = np.zeros((CONTROL_POINTS + 3, CONTROL_POINTS + 3))
    plane = np.concatenate([np.ones((CONTROL_POINTS, 1)), points], 1)
    system[:CONTROL_POINTS, :CONTROL_POINTS] = _kernel(points, points)
    system[:CONTROL_POINTS, CONTROL_POINTS:] = plane
    system[CONTROL_POINTS:, :CONTROL_POINTS] = plane.T
    line = np.arange(size) / max(1, size - 1)
    y, x = np.meshgrid(line, line, indexing="ij")
    pixels = np.stack([x.ravel(), y.ravel()], -1)
    # S·S×(P+3): the same functions at every pixel.
    rows = np.concatenate([_kernel(pixels, points), np.ones((len(pixels), 1)), pixels], 1)
    # Only the first P columns of the inverse are needed: the right-hand side is zero below them.
    weights = rows @ np.linalg.inv(system)[:, :CONTROL_POINTS]
    return torch.from_numpy(weights.astype(np.float32))


def displacement(
    bending: Tensor, size: int, rows: slice = slice(None), columns: slice = slice(None)
) -> Tensor:
    """Control points' displacements N×P×2 -> of every pixel, N×S×S×2, same unit.

    Only of some rows and columns, where these are given.
    """
    weights = _basis_on(size, bending.device).unflatten(0, (size, size))[rows, columns]
    # One product of two matrices: a batch of products takes four times as long.
    # R·C×P @ P×N·2, then R·C×N·2 -> R×C×N×2 -> N×R×C×2.
    moved: Tensor = weights.flatten(0, 1) @ bending.transpose(0, 1).flatten(1)
    return moved.view(*weights.shape[:2], -1, 2).permute(2, 0, 1, 3)


@lru_cache(maxsize=8)
def _basis_on(size: int, device: torch.device) -> Tensor:
    return basis(size).to(device)


def _kernel(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """r² log r of every pair, N×M."""
    squared = np.square(a[:, None] - b[None]).sum(-1)
    # r² log r = r²/2 · log r²: no square root is taken. The maximum keeps log from r = 0, where the
    # limit is 0.
    return np.where(squared > 0, 0.5 * squared * np.log(np.maximum(squared, 1e-300)), 0.0)
