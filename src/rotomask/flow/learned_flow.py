"""The flow-lite network as an `OpticalFlow` estimator for frames of any size."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.arrays import Frame, check_frame
from rotomask.flow.optical_flow import Flow, OpticalFlow
from rotomask.networks.flow_lite import FlowLite, InitialFlow
from rotomask.networks.precision import Runtime


class LearnedFlow(OpticalFlow):
    """Optical flow by a trained `FlowLite`.

    Args:
        network: The network; moved to the device and set to evaluation mode.
        runtime: Device and precision.
        start: An estimator whose flow the network refines; None: the network alone.
    """

    def __init__(
        self, network: FlowLite, runtime: Runtime, *, start: OpticalFlow | None = None
    ) -> None:
        self.network = network.eval().to(runtime.device)
        self.runtime = runtime
        self.start = start

    def estimate(self, first: Frame, second: Frame) -> Flow:
        """Flow from the first frame to the second; see `OpticalFlow.estimate`."""
        check_frame(first)
        check_frame(second, first.shape[:2])
        height, width = first.shape[:2]
        with self.runtime.inference():
            flow = self.network(
                self._tensor(first) / 255, self._tensor(second) / 255, self._start(first, second)
            )
        # 1×2×H'×W' -> 2×H×W without the padding -> H×W×2
        output: Flow = flow[0, :, :height, :width].permute(1, 2, 0).float().cpu().numpy()
        return np.ascontiguousarray(output)

    def _start(self, first: Frame, second: Frame) -> InitialFlow | None:
        if self.start is None:
            return None
        return InitialFlow(self._tensor(self.start.estimate(first, second)))

    def _tensor(self, array: Frame | Flow) -> Tensor:
        """H×W×C -> 1×C×H'×W' float32, padded on the right and below to multiples of 32.

        Border pixels are repeated: a black border would look like an edge with its own motion.
        """
        tensor = (
            torch.tensor(np.ascontiguousarray(array), device=self.runtime.device)
            .permute(2, 0, 1)[None]
            .float()
        )
        multiple = self.network.multiple
        padding = (0, -array.shape[1] % multiple, 0, -array.shape[0] % multiple)
        padded = F.pad(tensor, padding, mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last)
