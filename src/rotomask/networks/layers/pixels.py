"""Pixels of images as networks take them."""

import torch
from torch import Tensor


def unit_floats(image: Tensor) -> Tensor:
    """Images as floats 0..1: those in uint8 divided by 255, others as they are."""
    return image.float().div_(255) if image.dtype == torch.uint8 else image


def computing_type(x: Tensor) -> torch.dtype:
    """Type in which layers compute with a tensor: autocast's, else float32 for uint8."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return torch.float32 if x.dtype == torch.uint8 else x.dtype
