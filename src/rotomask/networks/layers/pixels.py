"""Pixels of images as networks take them."""

import torch
from torch import Tensor


def unit_floats(image: Tensor) -> Tensor:
    """Images as floats 0..1: those in uint8 divided by 255, others as they are."""
    return image.float().div_(255) if image.dtype == torch.uint8 else image
