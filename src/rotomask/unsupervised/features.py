"""Features of a frame: embedding and objectness by the network, and stabilised flow (sec. 3.1)."""

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
    """Output of the embedding network for one frame, at stride 4."""

    embedding: Embedding
    """h×w×E float32."""
    objectness: Values
    """Probability of any object, h×w float32."""


def frame_maps(
    network: EmbeddingNet, runtime: Runtime, frame: Frame, size: tuple[int, int]
) -> FrameMaps:
    """Embedding and objectness of a frame.

    Args:
        network: The network, on the runtime's device and in evaluation mode.
        runtime: Device and precision.
        frame: H×W×3 uint8 RGB.
        size: Working size, from `networks.sizing.fitted_size`.
    """
    interpolation = cv2.INTER_AREA if size[0] < frame.shape[0] else cv2.INTER_LINEAR
    small = cv2.resize(frame, size[::-1], interpolation=interpolation)
    image = torch.from_numpy(np.ascontiguousarray(small)).to(runtime.device).permute(2, 0, 1)[None]
    with runtime.inference():
        maps = network((image.float() / 255).contiguous(memory_format=torch.channels_last))
        objectness = torch.sigmoid(maps.objectness[0])
        embedding = maps.embedding[0].permute(1, 2, 0).contiguous()  # E×h×w -> h×w×E
    return FrameMaps(embedding=embedding.cpu().numpy(), objectness=objectness.cpu().numpy())


def map_flow(
    estimator: OpticalFlow, first: Frame, second: Frame, size: tuple[int, int], stride: int
) -> Flow:
    """Flow between two frames minus the camera's flow, on the grid of the network's output.

    It is estimated at half the working size: four times as fast, and equally good on the held-out
    sequences, because it is averaged over regions later.

    Args:
        estimator: The flow estimator.
        first: H×W×3 uint8 RGB.
        second: H×W×3 uint8 RGB.
        size: Working size (height, width), px.
        stride: Stride of the network; each cell gets the mean flow of its pixels.

    Returns:
        h×w×2, px of the working size.
    """
    half = (max(1, size[1] // 2), max(1, size[0] // 2))  # width, height, as OpenCV wants them
    small = [
        np.asarray(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), np.uint8)
        for frame in (first, second)
    ]
    # Twice the size is twice the pixels that anything moves.
    flow = 2 * stabilise(estimator.estimate(small[0], small[1]))  # px of the working size
    cells = (size[1] // stride, size[0] // stride)
    mean: npt.NDArray[np.float32] = np.asarray(
        cv2.resize(flow, cells, interpolation=cv2.INTER_AREA), np.float32
    )
    return mean
