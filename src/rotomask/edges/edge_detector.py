"""Object edges of single frames: runs `HEPSPNet` over frames of any size."""

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
    """How the network is run on a frame."""

    size: int | None = 480
    """Short side at which frames are processed, px; smaller ones are left. None: their own size."""


class EdgeMaps(NamedTuple):
    """What is known of a frame, H×W float32, 0..1."""

    edges: EdgeMap
    foreground: npt.NDArray[np.float32]


class EdgeDetector(FrameRunner[HEPSPNet]):
    """Runs the network over frames, each by itself."""

    @property
    def sees_flow(self) -> bool:
        """Whether flow makes a difference."""
        return self.network.config.flow

    def detect(self, frame: Frame, flow: Flow | None = None) -> EdgeMaps:
        """Edges and foreground of a frame.

        Args:
            frame: H×W×3 uint8 RGB.
            flow: From the frame to a neighbour, H×W×2, px; None: no motion is known. Only a
                network with flow looks at it.

        Raises:
            ShapeError: If the frame is none, or the flow not of its size.
        """
        check_frame(frame)
        if flow is not None and flow.shape != (*frame.shape[:2], 2):
            raise ShapeError(f"the flow must be H×W×2 of its frame's size, got {flow.shape}")
        size = self.processing_size(frame)
        moving = None
        if flow is not None and self.sees_flow:
            moving = self.tensor(flow_channels(flow), size)
        with self.runtime.inference():
            logits = self.network(self.tensor(frame, size) / 255, moving)
            both = torch.sigmoid(torch.cat([logits.fused, logits.foreground], 1).float())
            return EdgeMaps(*self.maps(both, frame))
