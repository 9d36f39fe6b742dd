"""flow-lite as an estimator: frames of any size in, flow in pixels out."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.arrays import Frame, check_frame
from rotomask.flow.optical_flow import Flow, OpticalFlow
from rotomask.networks.flow_lite import FlowLite, InitialFlow
from rotomask.networks.precision import Runtime


class LearnedFlow(OpticalFlow):
    """A trained `FlowLite` on a device.

    Args:
        network: The network.
        runtime: Where, and in which precision.
        start: An estimator whose flow the network makes better; None: it finds all by itself.
    """

    def __init__(
        self, network: FlowLite, runtime: Runtime, *, start: OpticalFlow | None = None
    ) -> None:
        self.network = network.eval().to(runtime.device)
        self.runtime = runtime
        self.start = start

    def estimate(self, first: Frame, second: Frame) -> Flow:
        """The flow from the first frame to the second."""
        check_frame(first)
        check_frame(second, first.shape[:2])
        height, width = first.shape[:2]
        with self.runtime.inference():
            flow = self.network(
                self._tensor(first) / 255, self._tensor(second) / 255, self._start(first, second)
            )
        found: Flow = flow[0, :, :height, :width].permute(1, 2, 0).float().cpu().numpy()
        return np.ascontiguousarray(found)

    def _start(self, first: Frame, second: Frame) -> InitialFlow | None:
        if self.start is None:
            return None
        return InitialFlow(self._tensor(self.start.estimate(first, second)))

    def _tensor(self, picture: Frame | Flow) -> Tensor:
        """H×W×C -> 1×C×H×W float, continued right and below to a multiple of 32."""
        tensor = torch.tensor(picture, device=self.runtime.device).permute(2, 0, 1)[None].float()
        multiple = self.network.multiple
        extra = (0, -picture.shape[1] % multiple, 0, -picture.shape[0] % multiple)
        padded = F.pad(tensor, extra, mode="replicate")
        return padded.contiguous(memory_format=torch.channels_last)
