"""Plans of several clips as one set of tensors: what travels from the loader to the device."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rotomask.data.simulation.plan import ClipPlan, Layer
from rotomask.data.simulation.thin_plate import CONTROL_POINTS

ClipBatch = dict[str, Tensor]
"""The tensors that `stack_clips` makes, by name."""

LABELS = 256


def stack_clips(plans: Sequence[ClipPlan]) -> ClipBatch:
    """Plans of equal size and length as tensors: B clips, T frames, up to L layers, N pictures.

    Returns:
        ``images`` N×3×Hc×Wc uint8 and ``labels`` N×Hc×Wc uint8, each picture at the top left of its
        canvas; ``extents`` N×2, its height and width; ``index`` B×L×T, the picture of a layer, -1
        where there is none; ``matrix`` B×L×T×2×3 and ``bending`` B×L×T×P×2; ``ids`` B×L×256, the
        object id of each label in the picture, 255 where it has none; the fields of `Appearance`,
        B×T...; ``guidance`` B×2×3; ``source`` B; ``size``, a scalar.
    """
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    known: dict[int, int] = {}
    clips, frames = len(plans), plans[0].frames
    depth = max(len(plan.layers) for plan in plans)
    index = np.full((clips, depth, frames), -1)
    matrix = np.zeros((clips, depth, frames, 2, 3), np.float32)
    bending = np.zeros((clips, depth, frames, CONTROL_POINTS, 2), np.float32)
    ids = np.full((clips, depth, LABELS), NO_ID, np.uint8)
    for b, plan in enumerate(plans):
        for at, layer in enumerate(plan.layers):
            for t in range(frames):
                image, mask = layer.picture(t)
                if id(image) not in known:
                    known[id(image)] = len(images)
                    images.append(image)
                    labels.append(mask)
                index[b, at, t] = known[id(image)]
            matrix[b, at], bending[b, at] = layer.path.matrix, layer.path.bending
            ids[b, at] = _lookup(layer)
    batch = {
        "images": _canvas(images).permute(0, 3, 1, 2),
        "labels": _canvas(labels),
        "extents": torch.tensor([image.shape[:2] for image in images]),
        "index": torch.from_numpy(index),
        "matrix": torch.from_numpy(matrix),
        "bending": torch.from_numpy(bending),
        "ids": torch.from_numpy(ids),
        "guidance": torch.from_numpy(np.stack([plan.guidance for plan in plans])),
        "source": torch.tensor([plan.source for plan in plans]),
        "size": torch.tensor(plans[0].size),
    }
    for name in ("gain", "offset", "gamma", "grey", "light", "blur", "quality"):
        values = np.stack([getattr(plan.appearance, name) for plan in plans])
        batch[name] = torch.from_numpy(values)
    return batch


NO_ID = 255


def _lookup(layer: Layer) -> np.ndarray:
    table = np.full(LABELS, NO_ID, np.uint8)
    for label, object_id in layer.ids.items():
        table[label] = object_id
    return table


def _canvas(arrays: list[np.ndarray]) -> Tensor:
    """Arrays of different height and width in one, zeros right and below."""
    height = max(a.shape[0] for a in arrays)
    width = max(a.shape[1] for a in arrays)
    out = np.zeros((len(arrays), height, width, *arrays[0].shape[2:]), np.uint8)
    for canvas, array in zip(out, arrays, strict=True):
        canvas[: array.shape[0], : array.shape[1]] = array
    return torch.from_numpy(out)
