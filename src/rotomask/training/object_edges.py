"""Training of edges-lite: object outlines, supervised at every stride, and the foreground."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.simulation import render
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.edges.motion_edges import flow_channels
from rotomask.edges.thinning import thin_edges
from rotomask.evaluation.measures.object_edges import edge_counts, edge_score
from rotomask.flow.optical_flow import DISFlow
from rotomask.networks.hepspnet import EdgeConfig, EdgeLogits, HEPSPNet
from rotomask.networks.losses import balanced_cross_entropy, foreground_loss
from rotomask.training.single_frames import SingleFrameRecipe, SingleFrameTask, assign_all_ids
from rotomask.training.task import Batch, Data, Task

VALIDATE_EVERY = 4
"""Step between the frames of the held-out videos that are scored."""


@dataclass(frozen=True, kw_only=True)
class EdgeRecipe(SingleFrameRecipe):
    """Hyper-parameters of a run of edges-lite or edges-flow-lite."""

    model: EdgeConfig = field(default_factory=EdgeConfig)
    still: bool = True
    """Use the outlines of objects without motion of their own too; see `assign_all_ids`."""
    without_flow: float = 0.1
    """Fraction of frames for which a network with flow gets zeros in place of the flow."""
    foreground: float = 0.5
    """Weight of the foreground loss."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "edges-flow-lite" if self.model.flow else "edges-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """Task on this data; see `Recipe.task`."""
        return EdgeTask(self, data, initial)


class EdgeTask(SingleFrameTask):
    """HEPSPNet with its training frames, loss and validation."""

    recipe: EdgeRecipe

    def prepare(self, batch: Batch) -> Batch:
        """``frames`` N×3×S×S, instance ``labels`` N×S×S, and ``flow`` N×3×S×S if it is used."""
        clips = render(assign_all_ids(batch, still=self.recipe.still))
        prepared = {"frames": clips.frames.flatten(0, 1), "labels": clips.labels.flatten(0, 1)}
        if self.recipe.model.flow:
            prepared["flow"] = flow_of_clips(clips.frames)
        return prepared

    def loss(self, network: HEPSPNet, batch: Batch, step: int) -> Tensor:
        """Class-balanced cross-entropy of fused and side edges plus the foreground loss."""
        frames = batch["frames"].contiguous(memory_format=torch.channels_last)
        flow = batch.get("flow")
        if flow is not None:
            # Drop the flow of whole frames, so that the network also works without.
            # N×1×1×1: a whole frame has its flow or none.
            draw = torch.rand(len(flow), 1, 1, 1, device=flow.device)
            flow = flow * (draw >= self.recipe.without_flow)
        logits: EdgeLogits = network(frames, flow)
        edges = outlines(batch["labels"])  # N×1×S×S
        # With a fraction p of edge pixels, the mean of the balanced weights is 2·p·(1 - p), which
        # is small as outlines are thin. Dividing by it makes the loss a weighted mean.
        fraction = edges.mean().clamp_min(1e-3)
        edge_loss = sum(balanced_cross_entropy(x, edges) for x in (logits.fused, *logits.sides))
        foreground = (batch["labels"] > 0).float()[:, None]  # N×1×S×S
        masks = foreground_loss(logits.foreground, foreground, self.recipe.dice)
        return edge_loss / (2 * fraction * (1 - fraction)) + self.recipe.foreground * masks

    def validate(self, network: HEPSPNet) -> dict[str, float]:
        """F, precision and recall of the edges on held-out videos, at the best threshold."""
        detector, estimator = EdgeDetector(network), DISFlow()
        counts = []
        for video in self.held_out:
            for index in range(0, len(video) - 1, VALIDATE_EVERY):
                frame, labels = video.read(index)
                flow = None
                if detector.sees_flow:
                    flow = estimator.estimate(frame, video.read(index + 1)[0])
                # One pixel wide, as the truth's outlines are; a thick edge would count many times.
                edges = thin_edges(detector.detect(frame, flow).edges)
                counts.append(edge_counts(edges, labels > 0))
        if not counts:
            return {}
        best = edge_score(counts)
        return {"score": best.f, "precision": best.precision, "recall": best.recall}


def outlines(labels: Tensor) -> Tensor:
    """Outlines two pixels wide: one pixel on either side of every border between labels.

    Args:
        labels: B×H×W, whole numbers.

    Returns:
        B×1×H×W float32, 0 or 1.
    """
    # Replicated, so that an object cut by the frame has no outline there: B×1×H+2×W+2.
    values = F.pad(labels.float()[:, None], (1, 1, 1, 1), mode="replicate")
    # A pixel is on an outline if one of its four neighbours has another label. Max-pooling minus
    # min-pooling would include the diagonal neighbours.
    centre = values[..., 1:-1, 1:-1]
    neighbours = (
        values[..., :-2, 1:-1],
        values[..., 2:, 1:-1],
        values[..., 1:-1, :-2],
        values[..., 1:-1, 2:],
    )
    return torch.stack([x != centre for x in neighbours]).any(0).float()


def flow_of_clips(frames: Tensor) -> Tensor:
    """Flow channels of every frame.

    The flow is to the next frame of the clip; that of the last frame is to the one before.

    Args:
        frames: B×T×3×H×W, 0..1.

    Returns:
        B·T×3×H×W float32, on their device.
    """
    estimator = DISFlow("fast")
    channels = []
    # B×T×3×H×W -> B×T×H×W×3 uint8, as the estimator takes frames.
    for clip in (frames * 255).round().byte().permute(0, 1, 3, 4, 2).cpu().numpy():
        for first, second in zip(clip, (*clip[1:], clip[-2]), strict=True):
            channels.append(flow_channels(estimator.estimate(first, second)))
    return torch.from_numpy(np.stack(channels)).permute(0, 3, 1, 2).to(frames.device)
