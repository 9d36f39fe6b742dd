"""The training loop: setup, fit, save and resume."""

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from rotomask.models.layers.aggregation import aggregate
from rotomask.models.layers.efficientnet_lite import Pyramid
from rotomask.models.layers.memory import memory_read
from rotomask.models.stm_lite import FrameFeatures, STMLite
from rotomask.training.batches import ClipBatches
from rotomask.training.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.training.recipes import Recipe


def segment_clip(network: STMLite, frames: Tensor, first_masks: Tensor) -> Tensor:
    """Segment training clips as at test time: each frame from those before, masks kept soft.

    Gradients flow through the masks that the network gave itself (RGMP, sec. 3.2).

    Args:
        network: The network.
        frames: B×T×3×H×W, float 0..1.
        first_masks: Masks of the objects in the first frame, B×O×H×W, float.

    Returns:
        Probabilities of background and objects in frames 1..T-1, B×T-1×O+1×H×W, float32.
    """
    batch, count = frames.shape[:2]
    everything = network.encode_frame(
        frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    )

    def features(t: int) -> FrameFeatures:
        key, *levels = (
            x.unflatten(0, (batch, count))[:, t] for x in (everything.key, *everything.pyramid)
        )
        return FrameFeatures(key, Pyramid(*levels))

    masks, keys, values, outputs = first_masks, [], [], []
    for t in range(1, count):
        past, now = features(t - 1), features(t)
        key, value = network.encode_value(frames[:, t - 1], past, masks)
        keys.append(key.flatten(2))
        values.append(value.flatten(3).flatten(1, 2))
        read = memory_read(
            now.key.flatten(2),
            torch.cat(keys, 2),
            torch.cat(values, 2),
            similarity=network.similarity,
        )
        read = read.unflatten(1, value.shape[1:3]).unflatten(-1, key.shape[-2:])
        probabilities = aggregate(torch.sigmoid(network.decode(read, now, masks)))
        masks = probabilities[:, 1:]
        outputs.append(probabilities)
    return torch.stack(outputs, 1)


class Run:
    """A training run in a folder: its network, optimiser and averaged weights."""

    def __init__(self, recipe: Recipe, network: STMLite, folder: Path) -> None:
        self.recipe, self.network, self.folder = recipe, network, folder
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        frozen = [network.encoder.stem, *network.encoder.stages[: recipe.frozen_stages]]
        for module in frozen:
            module.requires_grad_(False)
        encoder = [p for p in network.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in network.encoder.parameters()}
        new = [p for p in network.parameters() if id(p) not in known]
        self.optimiser = torch.optim.AdamW(
            [{"params": new, "factor": 1.0}, {"params": encoder, "factor": recipe.encoder_factor}],
            weight_decay=recipe.weight_decay,
        )
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.step = 0

    def learn(self, frames: Tensor, labels: Tensor) -> float:
        """One optimiser step on a batch of clips; its loss."""
        recipe, progress = self.recipe, self.step / self.recipe.steps
        rate = _learning_rate(recipe, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        objects = int(labels.max())
        ids = torch.arange(1, objects + 1)[:, None, None]
        first = (labels[:, 0, None] == ids).float()
        with torch.autocast("cpu", torch.bfloat16):
            probabilities = segment_clip(self.network, frames.float() / 255, first)
        truth = labels[:, 1:].flatten(0, 1).long()
        hardest = recipe.hardest[0] + (recipe.hardest[1] - recipe.hardest[0]) * progress
        flat = probabilities.flatten(0, 1)
        loss = bootstrapped_cross_entropy(flat, truth, hardest) + 0.5 * dice_loss(flat, truth)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self.optimiser.step()
        self.step += 1
        self._average_weights()
        return float(loss.detach())

    def _average_weights(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def save(self) -> None:
        """Write all that a resumed run needs; the file is complete or the old one."""
        state: dict[str, Any] = {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        temporary = self.folder / "checkpoint.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pt")

    def resume(self) -> None:
        """Go on from the checkpoint in the run's folder."""
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step = state["average"], state["step"]


def fit(run: Run, batches: ClipBatches, *, save_every: int = 100) -> Iterator[tuple[int, float]]:
    """Train to the end of the recipe, giving each step's number and loss.

    Losses go to ``losses.csv`` in the run's folder; a checkpoint is written every `save_every`
    steps and at the end.
    """
    remaining = range(run.step, run.recipe.steps)
    loader = DataLoader(batches, batch_size=None, sampler=remaining, num_workers=1)
    with (run.folder / "losses.csv").open("a", newline="") as file:
        log = csv.writer(file)
        started = time.perf_counter()
        for frames, labels in loader:
            loss = run.learn(frames, labels)
            log.writerow([run.step, f"{loss:.5f}", f"{time.perf_counter() - started:.1f}"])
            file.flush()
            if run.step % save_every == 0 or run.step == run.recipe.steps:
                run.save()
            yield run.step, loss


def _learning_rate(recipe: Recipe, step: int) -> float:
    warm = min(1.0, (step + 1) / recipe.warmup)
    start = recipe.steps * (1 - recipe.decay)
    progress = max(0.0, (step - start) / max(1.0, recipe.steps - start))
    return recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
