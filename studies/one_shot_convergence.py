"""Learning curves of the parent networks of one-shot segmentation (paper 4, table 2).

OSVOS with side features 16 deep and deep supervision, compared with the slim form with one channel
and one loss: the same VGG-16, clips, rates and seed. After every few steps the mean J of the parent
itself, without fine-tuning, is measured on frames of the held-out sequences.

    python -m studies.one_shot_convergence --davis DAVIS-TRAIN --picture convergence.png --write

The same command resumes an interrupted run. `--write` updates the table in docs/results.md.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rotomask.arrays import Frame
from rotomask.evaluation.measures.region import region_similarity
from rotomask.networks.osvos import SLIM, OSVOSConfig, preprocess
from rotomask.training.clip_data import Stage
from rotomask.training.foreground import ForegroundRecipe, ForegroundTask
from rotomask.training.hardware import Hardware
from rotomask.training.run import train
from rotomask.training.task import Data, Schedule, Task
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

FRAMES_EVERY = 8
SHORT_SIDE = 240
LEVELS = (0.1, 0.15, 0.2, 0.25)


class ParentTask(ForegroundTask):
    """A task that validates the parent itself, without fine-tuning."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean J over frames of the held-out videos."""
        similarities = []
        for video in self.held_out:
            for index in range(0, len(video), FRAMES_EVERY):
                frame, labels = video.read(index)
                mask = foreground(network, frame)
                similarities.append(region_similarity(mask, labels != 0))
        mean = float(np.mean(similarities))
        return {"score": mean, "J": mean}


@dataclass(frozen=True, kw_only=True)
class ParentRecipe(ForegroundRecipe):
    """A parent's recipe whose validation does not fine-tune."""

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data."""
        return ParentTask(self, data, initial)


def foreground(network: nn.Module, frame: Frame) -> npt.NDArray[np.bool_]:
    """The object mask of a parent network without fine-tuning, H×W."""
    height, width = frame.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    image = torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = network(preprocess(image)).fused[0, 0].float().numpy()
    return np.asarray(cv2.resize(logits, (width, height)) > 0)


def recipes(steps: int, every: int) -> dict[str, ParentRecipe]:
    """The two forms, the same but for their sides."""
    published = ParentRecipe(
        name="convergence",
        schedule=Schedule(
            learning_rate=4e-3,
            optimiser="sgd",
            weight_decay=2e-4,
            decay="constant",
            warmup=0,
            ema=0.9,
            clip_norm=10.0,
            validate_every=every,
        ),
        network="osvos",
        model=OSVOSConfig(),
        stage=Stage(steps=steps, batch=2, frames=2, size=192, real=1.0, objects=(1.0,)),
        side_weight=(1.0, 0.0),
        dice=0.0,
    )
    slim = replace(published, network="osvos-slim", model=SLIM, side_weight=(0.0, 0.0))
    return {"sides 16 deep, supervised": published, "slim: sides 1 deep, one loss": slim}


def curve(folder: Path) -> list[tuple[int, float]]:
    """(step, J) at every validation of a run."""
    with (folder / "validation.csv").open() as file:
        return [(int(row["step"]), float(row["J"])) for row in csv.DictReader(file)]


def steps_to(points: Sequence[tuple[int, float]], level: float) -> str:
    """The first measured step at which J reached a level."""
    return next((str(step) for step, j in points if j >= level), "-")


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Write a plot of J over steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.4), constrained_layout=True)
    for name, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker=".", label=name)
    axis.set(xlabel="steps", ylabel="J of the parent, held-out frames")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = script_parser(__doc__, threads=2)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    parser.add_argument("--picture", type=Path)
    add_write(parser)
    arguments = parse(parser)
    curves = {}
    for name, recipe in recipes(arguments.steps, arguments.every).items():
        folder = arguments.out / recipe.network
        train(
            recipe,
            {"davis": arguments.davis},
            folder,
            resume=folder.is_dir(),
            hardware=Hardware(accelerator="cpu"),
        )
        curves[name] = curve(folder)
    rows = [
        [name, *(steps_to(points, level) for level in LEVELS), f"{max(j for _, j in points):.3f}"]
        for name, points in curves.items()
    ]
    header = ["parent", *(f"J ≥ {level:g}" for level in LEVELS), "highest J"]
    text = (
        f"Steps (of {arguments.steps}, looked at every {arguments.every}) until the parent's own "
        "masks on frames of the four held-out sequences reach a J. Four 192 px frames a step, "
        "one seed. The paper: 50,000 iterations for OSVOS, 4,000 for the slim form, until J mean "
        f"is above 0.79.\n\n{markdown_table(header, rows)}\n\n"
        "![J over steps](images/one-shot-convergence.png)"
    )
    if arguments.picture:
        draw(curves, arguments.picture)
    title = "One-shot: how fast parents learn (paper 4, table 2)"
    command = "python -m studies.one_shot_convergence --davis DAVIS-TRAIN --write"
    publish(arguments, "one-shot-convergence", title, text, command=command)


if __name__ == "__main__":
    main()
