"""Base of the training of networks on single frames: the frames of clips, each independently.

Their encoder starts from that of stm-lite, which was trained on video, and is mostly frozen, so
that training takes minutes on one core.
"""

from dataclasses import dataclass

import torch

from rotomask.data.simulation import ClipBatch, render
from rotomask.data.simulation.batch import NO_ID
from rotomask.training.clip_data import ClipRecipe, ClipTask, Stage
from rotomask.training.task import Batch


@dataclass(frozen=True, kw_only=True)
class SingleFrameRecipe(ClipRecipe):
    """Common hyper-parameters of the networks on single frames."""

    stage: Stage
    """Composition of the clips whose frames are trained on."""
    frozen_stages: int = 4
    """Number of encoder stages, counted from the input, that are not trained."""
    dice: float = 0.3
    """Weight of the Dice loss of the foreground."""

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """Stages of a run: one."""
        return (self.stage,)

    def needs(self) -> tuple[str, ...]:
        """Required kinds of data: videos, whose frames also replace stills if none are given."""
        return ("videos",)


class SingleFrameTask(ClipTask):
    """Base of the tasks on single frames; a subclass gives the loss."""

    def prepare(self, batch: Batch) -> Batch:
        """Rendered ``frames`` N×3×S×S, 0..1, and all their instances as ``labels`` N×S×S."""
        clips = render(assign_all_ids(batch))
        return {"frames": clips.frames.flatten(0, 1), "labels": clips.labels.flatten(0, 1)}


def assign_all_ids(batch: ClipBatch, *, still: bool = True) -> ClipBatch:
    """Clips in which every annotated object has an id of its own.

    Clips are composed for following a few objects; the other objects of the scene, and distractors
    in front of it, have no id. A network on single frames cannot tell these from the others, so all
    are foreground to it.

    Args:
        batch: Clips of `simulation.stack_clips`.
        still: False: no id for the objects of a still image that is the scene of its clip, because
            they move only as the camera does.

    Returns:
        The same batch with other ``ids``.
    """
    # The shapes: ids B×L×256, a table from label to id for each layer; index B×L×T, the picture
    # that a layer shows in each frame, -1 for an unused layer.
    highest = batch["highest"]  # P, the number of labels in each of the P pictures
    ids = batch["ids"].clone()
    for clip_ids, pictures, source in zip(ids, batch["index"], batch["source"], strict=True):
        count = 0
        for layer, (table, shown) in enumerate(zip(clip_ids, pictures, strict=True)):
            # The clip has fewer layers than the others of its batch.
            if shown[0] < 0:
                continue
            labels = torch.arange(1, int(highest[shown].max()) + 1)
            if not still and source < 0 and shown[0] == pictures[0, 0]:
                table[labels] = NO_ID  # the scene, or a cut-out of the same still in front of it
                continue
            if layer > 0:  # labels of a cut-out's picture without an id are not part of the cut-out
                labels = labels[table[labels] != NO_ID]
            table[labels] = torch.arange(count + 1, count + 1 + len(labels), dtype=torch.uint8)
            # Ids go on from layer to layer, so that no two instances of a clip share one.
            count += len(labels)
    return {**batch, "ids": ids}
