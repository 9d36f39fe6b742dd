"""Clips from their plans, in batches, on the device where the tensors are."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.simulation import appearance
from rotomask.data.simulation.batch import NO_ID, ClipBatch
from rotomask.data.simulation.thin_plate import displacement


class RenderedClips(NamedTuple):
    """What a network is trained on."""

    frames: Tensor
    """B×T×3×S×S float32, 0..1."""
    labels: Tensor
    """B×T×S×S uint8: 0 background, k = object k."""


def render(batch: ClipBatch) -> RenderedClips:
    """Frames and labels of a batch of plans (`stack_clips`).

    The layers are sampled bilinearly and painted from the scene up: the scene continues by
    reflection beyond its edges, the others are cut along their masks with soft edges. An object's
    mask is where it covers at least half of a pixel.
    """
    size = int(batch["size"])
    clips, depth, count = batch["index"].shape
    frames = torch.zeros((clips, count, 3, size, size), device=batch["images"].device)
    labels = torch.zeros(
        (clips, count, size, size), dtype=torch.uint8, device=batch["images"].device
    )
    for layer in range(depth):
        present = (batch["index"][:, layer, 0] >= 0).nonzero()[:, 0]
        grid = _grid(batch, present, layer, size, reflect=layer == 0)
        picture = batch["index"][present, layer].flatten()
        colour = F.grid_sample(
            batch["images"][picture].float() / 255, grid, padding_mode="border", align_corners=True
        ).unflatten(0, (-1, count))
        ids = _ids(batch, present, layer, picture)
        if layer == 0:
            frames[present] = colour
        else:
            alpha = _sample_mask(ids != NO_ID, grid).unflatten(0, (-1, count))
            frames[present] = frames[present].lerp(colour, alpha)
            labels[present] = labels[present].masked_fill(alpha[:, :, 0] >= 0.5, 0)
        named = (batch["ids"][present, layer].int() % NO_ID).amax() if len(present) else 0
        for k in range(1, int(named) + 1):
            covered = _sample_mask(ids == k, grid).unflatten(0, (-1, count))[:, :, 0] >= 0.5
            labels[present] = labels[present].masked_fill(covered, k)
    return RenderedClips(_change_appearance(frames, batch), labels)


def guidance_grid(batch: ClipBatch) -> Tensor:
    """Where each pixel of the first guidance mask is taken from: B×S×S×2 for `F.grid_sample`."""
    size = int(batch["size"])
    y, x = _pixels(size, batch["guidance"].device)
    m = batch["guidance"][..., None, None]
    across = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    down = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    return torch.stack([across, down], -1) * (2 / max(1, size - 1)) - 1


def _grid(batch: ClipBatch, present: Tensor, layer: int, size: int, *, reflect: bool) -> Tensor:
    """Sampling places in the pictures' canvases, B'·T×S×S×2, -1..1 as `F.grid_sample` has them."""
    picture = batch["index"][present, layer].flatten()
    matrix = batch["matrix"][present, layer].flatten(0, 1)
    bending = displacement(batch["bending"][present, layer].flatten(0, 1), size)
    y, x = _pixels(size, matrix.device)
    x, y = x + bending[..., 0], y + bending[..., 1]
    m = matrix[..., None, None]
    across = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    down = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    last = (batch["extents"][picture] - 1).float()[..., None, None]
    if reflect:
        across, down = _reflect(across, last[:, 1]), _reflect(down, last[:, 0])
    height, width = batch["labels"].shape[1:]
    return torch.stack(
        [across * (2 / max(1, width - 1)) - 1, down * (2 / max(1, height - 1)) - 1], -1
    )


def _reflect(x: Tensor, last: Tensor) -> Tensor:
    """Fold places outside 0..last back in, as a mirror at each edge does."""
    last = last.clamp_min(1)
    folded = torch.remainder(x, 2 * last)
    return last - (folded - last).abs()


def _pixels(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    line = torch.arange(size, device=device, dtype=torch.float32)
    return line[:, None], line[None, :]


def _ids(batch: ClipBatch, present: Tensor, layer: int, picture: Tensor) -> Tensor:
    """Object ids of the layer's pictures, B'·T×Hc×Wc uint8."""
    count = batch["index"].shape[2]
    table = batch["ids"][present, layer].repeat_interleave(count, 0)
    labels = batch["labels"][picture]
    return table.gather(1, labels.flatten(1).long()).view_as(labels)


def _sample_mask(mask: Tensor, grid: Tensor) -> Tensor:
    """A boolean mask N×H×W on a grid, N×1×S×S, 0..1; nothing outside."""
    return F.grid_sample(mask[:, None].float(), grid, align_corners=True)


def _change_appearance(frames: Tensor, batch: ClipBatch) -> Tensor:
    flat = frames.flatten(0, 1)
    flat = appearance.change_colour(
        flat, *(batch[k].flatten(0, 1) for k in ("gain", "offset", "gamma", "grey"))
    )
    flat = appearance.change_light(flat, batch["light"].flatten(0, 1))
    flat = appearance.motion_blur(flat, batch["blur"].flatten(0, 1))
    flat = appearance.jpeg_noise(flat, batch["quality"].flatten())
    return torch.unflatten(flat, 0, frames.shape[:2])
