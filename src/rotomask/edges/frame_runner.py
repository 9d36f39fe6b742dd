"""Run a network on single frames of any size: resizing, conversion to tensors and back."""

from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rotomask.arrays import Frame
from rotomask.networks.layers.pyramid_decoder import upsample_logits
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import nearest_multiples, working_size

STRIDE = 16
"""The height and width of the light PSPNet's input must be multiples of this."""

Network = TypeVar("Network", bound=nn.Module)


class FrameRunner(Generic[Network]):
    """Base class of models that process frames independently of each other.

    Args:
        network: The network; moved to the device, set to evaluation mode and frozen.
        runtime: Device and precision.
        size: Short side to which larger frames are reduced, px; None: the frame's own size.
    """

    def __init__(
        self, network: Network, runtime: Runtime | None = None, *, size: int | None = 480
    ) -> None:
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval().requires_grad_(False)
        self.size = size

    def processing_size(self, frame: Frame) -> tuple[int, int]:
        """Height and width at which a frame is processed, rounded to multiples of `STRIDE`."""
        sides = working_size((frame.shape[0], frame.shape[1]), self.size, enlarge=False)
        return nearest_multiples(sides, STRIDE)

    def tensor(self, array: npt.NDArray[np.uint8 | np.float32], size: tuple[int, int]) -> Tensor:
        """An array H×W×C as a tensor 1×C×h×w float32, resized to `size` (h, w)."""
        if array.shape[:2] != size:
            method = cv2.INTER_AREA if size[0] < array.shape[0] else cv2.INTER_LINEAR
            array = cv2.resize(array, (size[1], size[0]), interpolation=method)  # type: ignore[assignment]
        tensor = (
            torch.tensor(np.ascontiguousarray(array), device=self.runtime.device)
            .permute(2, 0, 1)[None]
            .float()
        )
        return tensor.contiguous(memory_format=torch.channels_last)

    def maps(self, output: Tensor, frame: Frame) -> npt.NDArray[np.float32]:
        """A tensor 1×C×h×w as an array C×H×W float32, resized to the frame."""
        if output.shape[-2:] != frame.shape[:2]:
            output = upsample_logits(output, (frame.shape[0], frame.shape[1]))
        return np.asarray(output[0].float().cpu().numpy(), np.float32)
