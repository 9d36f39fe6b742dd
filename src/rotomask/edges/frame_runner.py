"""What runs a network over frames that it looks at each by itself."""

from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rotomask.arrays import Frame
from rotomask.networks.layers.pyramid_decoder import upsample_logits
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import working_size

STRIDE = 16
"""Networks on the light PSPNet take sides that are multiples of it."""

Network = TypeVar("Network", bound=nn.Module)


class FrameRunner(Generic[Network]):
    """A network on its device, and the way of a frame into it and back."""

    def __init__(
        self, network: Network, runtime: Runtime | None = None, *, size: int | None = 480
    ) -> None:
        """Take a network; frames are reduced to a short side of `size` px, None: not at all."""
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval().requires_grad_(False)
        self.size = size

    def processing_size(self, frame: Frame) -> tuple[int, int]:
        """Height and width at which a frame is processed: the nearest that the network takes."""
        wanted = working_size((frame.shape[0], frame.shape[1]), self.size, False)
        height, width = (STRIDE * max(1, round(side / STRIDE)) for side in wanted)
        return height, width

    def tensor(self, picture: npt.NDArray[np.uint8 | np.float32], size: tuple[int, int]) -> Tensor:
        """H×W×C as 1×C×h×w float at the size given."""
        if picture.shape[:2] != size:
            method = cv2.INTER_AREA if size[0] < picture.shape[0] else cv2.INTER_LINEAR
            picture = cv2.resize(picture, (size[1], size[0]), interpolation=method)  # type: ignore[assignment]
        tensor = torch.tensor(picture, device=self.runtime.device).permute(2, 0, 1)[None].float()
        return tensor.contiguous(memory_format=torch.channels_last)

    def maps(self, output: Tensor, frame: Frame) -> npt.NDArray[np.float32]:
        """1×C×h×w as C×H×W float32 at the frame's size."""
        if output.shape[-2:] != frame.shape[:2]:
            output = upsample_logits(output, (frame.shape[0], frame.shape[1]))
        return np.asarray(output[0].float().cpu().numpy(), np.float32)
