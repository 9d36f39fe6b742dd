"""distance-lite: the depth of every pixel inside its object, which separates touching objects.

The DAVIS-2017 report on OSVOS, PSPNet, edges and flow, section 5, tries two formulations on the
distance transform of each instance: a classification into four bins, and a dense regression; a
foreground network masks out the rest. Between two objects that touch there is a valley, by which
they can be told apart (after Bai and Urtasun 2017, the watershed transform). Here both are outputs
of one light PSPNet, the foreground a third.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.arrays import Frame, check_frame
from rotomask.edges.frame_runner import FrameRunner
from rotomask.errors import ShapeError
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.layers.pyramid_decoder import PyramidDecoder, upsample_logits
from rotomask.networks.precision import choose_runtime

BINS = 4

WEIGHTS = Path(__file__).parent / "weights" / "distance-lite.safetensors"


@dataclass(frozen=True, kw_only=True)
class DistanceConfig:
    """The shape of the network."""

    decoder_channels: tuple[int, int, int] = (96, 64, 48)
    """Width of the decoder at strides 16, 8 and 4."""


class DistanceLogits(NamedTuple):
    """Outputs of the network for images B×3×H×W, float32 at their size."""

    bins: Tensor
    """B×4×H×W, outermost first."""
    distance: Tensor
    """B×1×H×W; its sigmoid is the distance."""
    foreground: Tensor
    """B×1×H×W."""


class DistanceNet(nn.Module):
    """The network: tensors in, tensors out."""

    def __init__(self, config: DistanceConfig | None = None) -> None:
        super().__init__()
        self.config = config or DistanceConfig()
        self.encoder = EfficientNetLite0()
        widths = self.config.decoder_channels
        self.decoder = PyramidDecoder(self.encoder.channels[-1], widths)
        self.predict = nn.Conv2d(widths[-1], BINS + 2, 3, padding=1)

    def forward(self, image: Tensor) -> DistanceLogits:
        """Logits of RGB images B×3×H×W, 0..1, sides multiples of 16."""
        pyramid = self.encoder(image)
        decoded = self.decoder.decode(pyramid, pyramid.stride16)
        size = (image.shape[-2], image.shape[-1])
        logits = upsample_logits(self.predict(F.relu(decoded.stride4)), size)
        return DistanceLogits(*logits.split([BINS, 1, 1], 1))


class DistanceMaps(NamedTuple):
    """Maps of a frame, float32."""

    bins: npt.NDArray[np.float32]
    """4×H×W, probabilities, outermost first."""
    distance: npt.NDArray[np.float32]
    """H×W, 0..1."""
    foreground: npt.NDArray[np.float32]
    """H×W, 0..1."""

    def level_of_bins(self) -> npt.NDArray[np.float32]:
        """Expected distance under the bins' probabilities, each bin at its middle: H×W, 0..1."""
        middles = (np.arange(BINS, dtype=np.float32) + 0.5) / BINS
        level: npt.NDArray[np.float32] = np.tensordot(middles, self.bins, 1).astype(np.float32)
        return level


class DistanceEstimator(FrameRunner[DistanceNet]):
    """Runs the network over frames, each by itself."""

    def estimate(self, frame: Frame) -> DistanceMaps:
        """Bins, distance and foreground of a frame H×W×3 uint8 RGB.

        Raises:
            ShapeError: If it is no frame.
        """
        check_frame(frame)
        with self.runtime.inference():
            image = self.tensor(frame, self.processing_size(frame)) / 255
            logits: DistanceLogits = self.network(image)
            bins = logits.bins.float().softmax(1)
            both = torch.sigmoid(torch.cat([logits.distance, logits.foreground], 1).float())
            maps = self.maps(torch.cat([bins, both], 1), frame)
        return DistanceMaps(maps[:BINS], maps[BINS], maps[BINS + 1])


def load_distance_estimator(
    *,
    weights: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    size: int | None = 480,
) -> DistanceEstimator:
    """Network and weights, ready to `estimate`.

    Args:
        weights: A checkpoint; None: the trained weights in `studies/weights`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        size: Short side to which larger frames are reduced, px; None: they are not.

    Raises:
        OptionError: If device or precision is unknown.
        WeightsError: If the weights cannot be read or are of another network.
    """
    path = weights or WEIGHTS
    config = read_metadata(path).get("config", {}) if path.suffix == ".safetensors" else {}
    shape = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    network = DistanceNet(DistanceConfig(**shape))
    load_into(network, path)
    return DistanceEstimator(network, choose_runtime(device, precision), size=size)


def normalised_distance(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Depth of every pixel inside its instance: 1 where the instance is deepest.

    The Euclidean distance to the nearest pixel outside the instance, divided by its maximum in the
    instance. The frame's edge is no border: an instance that touches it is taken to continue.

    Args:
        labels: H×W, 0 background, k = instance k.

    Returns:
        H×W float32: 0 outside, else above 0 and up to 1.

    Raises:
        ShapeError: If it is not H×W.
    """
    if labels.ndim != 2:
        raise ShapeError(f"labels are H×W, got {labels.shape}")
    distance = np.zeros(labels.shape, np.float32)
    for k in np.unique(labels):
        if k == 0:
            continue
        inside = (labels == k).astype(np.uint8)
        if inside.all():
            distance[:] = 1
            break
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance += depth / depth.max()
    return distance


def distance_bins(distance: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The quarter of its range in which every distance lies, 0 (outermost) to 3; H×W."""
    return np.asarray(np.clip(np.ceil(distance * BINS) - 1, 0, BINS - 1), np.int64)
