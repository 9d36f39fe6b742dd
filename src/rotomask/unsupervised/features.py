"""What is known of a frame before anything is decided: embedding, objectness, flow (sec. 3.1)."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame
from rotomask.flow.camera import stabilise
from rotomask.flow.optical_flow import Flow, OpticalFlow
from rotomask.networks.embedding import EmbeddingNet
from rotomask.networks.precision import Runtime
from rotomask.unsupervised.graph import Embedding, Values


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameMaps:
    """The network's output for one frame, at its stride."""

    embedding: Embedding
    """h×w×E."""
    objectness: Values
    """h×w, 0 to 1: 1 - P(background)."""


def frame_maps(
    network: EmbeddingNet, runtime: Runtime, frame: Frame, size: tuple[int, int]
) -> FrameMaps:
    """Run the network on a frame.

    Args:
        network: On the runtime's device, in evaluation mode.
        runtime: Device and precision.
        frame: H×W×3 uint8 RGB.
        size: Working size, from `networks.sizing.fitted_size`.
    """
    interpolation = cv2.INTER_AREA if size[0] < frame.shape[0] else cv2.INTER_LINEAR
    small = cv2.resize(frame, size[::-1], interpolation=interpolation)
    image = torch.from_numpy(np.asarray(small)).to(runtime.device).permute(2, 0, 1)[None]
    with runtime.inference():
        maps = network((image.float() / 255).contiguous(memory_format=torch.channels_last))
        objectness = torch.sigmoid(maps.objectness[0])
        embedding = maps.embedding[0].permute(1, 2, 0).contiguous()
    return FrameMaps(embedding=embedding.cpu().numpy(), objectness=objectness.cpu().numpy())


def map_flow(
    estimator: OpticalFlow, first: Frame, second: Frame, size: tuple[int, int], stride: int
) -> Flow:
    """The flow less the camera's, on the network's grid.

    It is measured at half the working size: four times as fast, and on the sequences kept out of
    training as good, as it is averaged over regions.

    Args:
        estimator: Of the flow.
        first: H×W×3 uint8 RGB.
        second: The same.
        size: The working size.
        stride: Of the network: a cell has the mean flow of its pixels.

    Returns:
        h×w×2, px of the working size.
    """
    half = (max(1, size[1] // 2), max(1, size[0] // 2))
    small = [
        np.asarray(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), np.uint8)
        for frame in (first, second)
    ]
    flow = 2 * stabilise(estimator.estimate(small[0], small[1]))
    cells = (size[1] // stride, size[0] // stride)
    mean: npt.NDArray[np.float32] = np.asarray(
        cv2.resize(flow, cells, interpolation=cv2.INTER_AREA), np.float32
    )
    return mean
