"""Object edges of single frames of any size, by `HEPSPNet`."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, check_frame
from rotomask.edges.frame_runner import FrameRunner
from rotomask.edges.motion_edges import EdgeMap, flow_channels
from rotomask.errors import ShapeError
from rotomask.flow.optical_flow import Flow
from rotomask.networks.hepspnet import HEPSPNet


@dataclass(frozen=True, kw_only=True)
class EdgeDetectorConfig:
    """Settings of running the network on a frame."""

    size: int | None = 480
    """Short side at which frames are processed, px; smaller ones are left. None: their own size."""


class EdgeMaps(NamedTuple):
    """Output for one frame, each H×W float32, 0..1."""

    edges: EdgeMap
    """Probability of an object edge."""
    foreground: npt.NDArray[np.float32]
    """Probability of any object."""


class EdgeDetector(FrameRunner[HEPSPNet]):
    """An edge detector: a trained `HEPSPNet` on a device."""

    @property
    def sees_flow(self) -> bool:
        """True if the network uses flow."""
        return self.network.config.flow

    def detect(self, frame: Frame, flow: Flow | None = None) -> EdgeMaps:
        """Edges and foreground of a frame.

        Args:
            frame: H×W×3 uint8 RGB.
            flow: Flow from the frame to a neighbour, H×W×2, px; ignored by a network without flow.
                None: run without motion.

        Raises:
            ShapeError: If `frame` is not a frame, or the flow has another size.
        """
        check_frame(frame)
        if flow is not None and flow.shape != (*frame.shape[:2], 2):
            raise ShapeError(f"the flow must be H×W×2 of its frame's size, got {flow.shape}")
        size = self.processing_size(frame)
        flow_input = None
        if flow is not None and self.sees_flow:
            flow_input = self.tensor(flow_channels(flow), size)
        with self.runtime.inference():
            logits = self.network(self.tensor(frame, size) / 255, flow_input)
            # 1×2×h×w: both maps are resized to the frame together.
            maps = torch.sigmoid(torch.cat([logits.fused, logits.foreground], 1).float())
            return EdgeMaps(*self.maps(maps, frame))
