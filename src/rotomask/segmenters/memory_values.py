"""Keys and values of a frame with its masks, as a space-time memory keeps them."""

from typing import Any

import torch
from torch import Tensor

from rotomask.segmenters.space_time_config import SpaceTimeNetwork
from rotomask.threads import blocks_apart

OBJECTS_AT_ONCE = 16
"""Objects that are encoded or decoded in one batch. With more, what is kept of each is float16."""


def keys_and_values(
    network: SpaceTimeNetwork, image: Tensor, features: Any, masks: Tensor
) -> tuple[Tensor, Tensor]:
    """Keys and values of all objects of a frame.

    Args:
        network: The network.
        image: 1×3×H×W, padded.
        features: Output of the network's `encode_frame`.
        masks: O×H×W, padded, soft.

    Returns:
        Keys 1×Ck×h×w, or O×Ck×h×w for networks with a key per object, and values O×Cv×h×w.
    """
    if len(masks) <= OBJECTS_AT_ONCE:
        return network.encode_value(image, features, masks)
    with blocks_apart():
        return _of_many(network, image, features, masks)


def _of_many(
    network: SpaceTimeNetwork, image: Tensor, features: Any, masks: Tensor
) -> tuple[Tensor, Tensor]:
    """As `keys_and_values`, in chunks, so that many objects fit into RAM."""
    total = masks.sum(0, keepdim=True, dtype=torch.float32)  # 1×H×W
    keys: list[Tensor] = []
    values: Tensor | None = None  # filled in place: joined afterwards they would be there twice
    for start in range(0, len(masks), OBJECTS_AT_ONCE):
        chunk = masks[start : start + OBJECTS_AT_ONCE].float()
        # A value also depends on the mask of all other objects. Those of the other chunks are
        # added as one more object, whose own value is dropped.
        rest = (total - chunk.sum(0, keepdim=True)).clamp(0, 1)
        key, value = network.encode_value(image, features, torch.cat([chunk, rest]))
        if len(key) > 1:
            keys.append(key[:-1])
        elif not keys:  # shared by all objects
            keys.append(key)
        value = compact(value[:-1], len(masks))
        if values is None:
            values = value.new_empty((len(masks), *value.shape[1:]))
        values[start : start + len(value)] = value
    assert values is not None  # there is an object
    return torch.cat(keys), values


def compact(tensor: Tensor, objects: int | None = None) -> Tensor:
    """A tensor that is kept from frame to frame: as float16 if there are many objects.

    Args:
        tensor: A row for each object.
        objects: Number of objects; None: the rows.
    """
    has_many = (len(tensor) if objects is None else objects) > OBJECTS_AT_ONCE
    return tensor.half() if has_many and tensor.dtype == torch.float32 else tensor
