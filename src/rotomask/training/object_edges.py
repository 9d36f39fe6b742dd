"""Training of edges-lite: object outlines, side by side at every stride, and the foreground."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.data.simulation import render
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.edges.motion_edges import flow_channels
from rotomask.edges.thinning import thin_edges
from rotomask.evaluation.measures.object_edges import edge_counts, edge_score
from rotomask.flow.optical_flow import DISFlow
from rotomask.networks.hepspnet import EdgeConfig, EdgeLogits, HEPSPNet
from rotomask.segmenters.fine_tuned import balanced_cross_entropy
from rotomask.training.single_frames import (
    SingleFrameRecipe,
    SingleFrameTask,
    foreground_loss,
    name_all,
)
from rotomask.training.task import Batch, Data, Task

VALIDATE_EVERY = 4
"""Of the held-out videos' frames, one in so many is scored."""


@dataclass(frozen=True, kw_only=True)
class EdgeRecipe(SingleFrameRecipe):
    """Everything that a run depends on, but for the data."""

    model: EdgeConfig = field(default_factory=EdgeConfig)
    still: bool = True
    """Whether objects that move as the camera does are marked too, where that is known."""
    without_flow: float = 0.1
    """Part of the frames of which a network with flow does not see it."""
    foreground: float = 0.5
    """Weight of the foreground's loss."""

    @property
    def model_name(self) -> str:
        """Name of the trained network in the catalogue."""
        return "edges-flow-lite" if self.model.flow else "edges-lite"

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data; see `Recipe.task`."""
        return EdgeTask(self, data, initial)


class EdgeTask(SingleFrameTask):
    """A recipe on the user's data."""

    def __init__(self, recipe: EdgeRecipe, data: Data, initial: Path | None = None) -> None:
        super().__init__(recipe, data, initial)
        self.recipe = recipe

    def network(self) -> HEPSPNet:
        """The network."""
        return HEPSPNet(self.recipe.model)

    def prepare(self, batch: Batch) -> Batch:
        """Frames and their instances; for a network with flow, its channels to a neighbour."""
        clips = render(name_all(batch, still=self.recipe.still))
        prepared = {"frames": clips.frames.flatten(0, 1), "labels": clips.labels.flatten(0, 1)}
        if self.recipe.model.flow:
            prepared["flow"] = flow_of_clips(clips.frames)
        return prepared

    def loss(self, network: nn.Module, batch: Batch, step: int) -> Tensor:
        """Class-balanced cross-entropy of the fused edges and of every side, and foreground."""
        frames = batch["frames"].contiguous(memory_format=torch.channels_last)
        flow = batch.get("flow")
        if flow is not None:
            kept = torch.rand(len(flow), 1, 1, 1, device=flow.device) >= self.recipe.without_flow
            flow = flow * kept
        logits: EdgeLogits = network(frames, flow)
        edges = outlines(batch["labels"])
        # Balanced weights add up to 2·p·(1 - p) of the pixels; over that the loss is of order 1.
        part = edges.mean().clamp_min(1e-3)
        nested = sum(balanced_cross_entropy(x, edges) for x in (logits.fused, *logits.sides))
        foreground = (batch["labels"] > 0).float()[:, None]
        masks = foreground_loss(logits.foreground, foreground, self.recipe.dice)
        return nested / (2 * part * (1 - part)) + self.recipe.foreground * masks

    def validate(self, network: nn.Module) -> dict[str, float]:
        """F of the edges over frames of the videos kept out, at the best threshold."""
        assert isinstance(network, HEPSPNet)
        detector, estimator = EdgeDetector(network), DISFlow()
        counts = []
        for video in self.held_out:
            for index in range(0, len(video) - 1, VALIDATE_EVERY):
                frame, labels = video.read(index)
                flow = None
                if detector.sees_flow:
                    flow = estimator.estimate(frame, video.read(index + 1)[0])
                edges = thin_edges(detector.detect(frame, flow).edges)
                counts.append(edge_counts(edges, labels > 0))
        if not counts:
            return {}
        best = edge_score(counts)
        return {"score": best.f, "precision": best.precision, "recall": best.recall}


def outlines(labels: Tensor) -> Tensor:
    """The two pixels on either side of every border between different labels.

    Args:
        labels: B×H×W, whole numbers.

    Returns:
        B×1×H×W float32, 0 or 1.
    """
    values = F.pad(labels.float()[:, None], (1, 1, 1, 1), mode="replicate")
    # Cross-shaped neighbourhoods: a pixel is on an outline when one beside it has another label.
    middle = values[..., 1:-1, 1:-1]
    beside = (
        values[..., :-2, 1:-1],
        values[..., 2:, 1:-1],
        values[..., 1:-1, :-2],
        values[..., 1:-1, 2:],
    )
    return torch.stack([x != middle for x in beside]).any(0).float()


def flow_of_clips(frames: Tensor) -> Tensor:
    """Flow channels of every frame: to the next one of its clip, of the last to the one before.

    Args:
        frames: B×T×3×H×W, 0..1.

    Returns:
        B·T×3×H×W float32, on their device.
    """
    estimator = DISFlow("fast")
    channels = []
    for clip in (frames * 255).round().byte().permute(0, 1, 3, 4, 2).cpu().numpy():
        for first, second in zip(clip, (*clip[1:], clip[-2]), strict=True):
            channels.append(flow_channels(estimator.estimate(first, second)))
    return torch.from_numpy(np.stack(channels)).permute(0, 3, 1, 2).to(frames.device)
