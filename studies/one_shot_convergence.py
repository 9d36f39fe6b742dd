"""How fast the parent networks of one-shot segmentation learn what objects are (paper 4, table 2).

OSVOS with side features 16 deep and deep supervision, against the slim form with one channel and
one loss: the same VGG-16, clips, rates and seed. After every few steps the mean J of the parent
itself, without fine-tuning, on frames of the sequences kept out of training.

    python -m studies.one_shot_convergence --davis DAVIS-TRAIN --picture convergence.png --write

A run that was stopped goes on. --write renews the table in docs/results.md.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from rotomask.evaluation.measures.region import region_similarity
from rotomask.networks.osvos import SLIM, OSVOSConfig, preprocess
from rotomask.training.clip_data import Stage, open_clip_data
from rotomask.training.foreground import ForegroundRecipe, ForegroundTask
from rotomask.training.loop import Hardware
from rotomask.training.run import train
from rotomask.training.task import Data, Schedule, Task
from studies.results_page import markdown_table, write_block

FRAMES_EVERY = 8
SHORT_SIDE = 240
LEVELS = (0.1, 0.15, 0.2, 0.25)


class ParentTask(ForegroundTask):
    """Validated by what the parent itself takes for object."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean J over frames of the videos kept out."""
        similarities = []
        for video in self.held_out:
            for index in range(0, len(video), FRAMES_EVERY):
                frame, labels = video.read(index)
                found = foreground(network, frame)
                similarities.append(region_similarity(found, labels != 0))
        mean = float(np.mean(similarities))
        return {"score": mean, "J": mean}


@dataclass(frozen=True, kw_only=True)
class ParentRecipe(ForegroundRecipe):
    """A parent's recipe whose validation does not fine-tune."""

    def task(self, data: Data, initial: Path | None = None) -> Task:
        """The task on this data."""
        clips, videos = open_clip_data(data, held_out=self.held_out, needs=("videos",))
        return ParentTask(self, clips, videos, initial)


def foreground(network: nn.Module, frame: np.ndarray) -> np.ndarray:
    """Where a parent network sees an object, H×W bool."""
    height, width = frame.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    image = torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = network(preprocess(image)).fused[0, 0].float().numpy()
    return cv2.resize(logits, (width, height)) > 0


def recipes(steps: int, every: int) -> dict[str, ParentRecipe]:
    """The two forms, the same but for their sides."""
    published = ParentRecipe(
        name="convergence",
        schedule=Schedule(
            steps=steps,
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
    """Steps and J of a run."""
    with (folder / "validation.csv").open() as file:
        return [(int(row["step"]), float(row["J"])) for row in csv.DictReader(file)]


def steps_to(points: Sequence[tuple[int, float]], level: float) -> str:
    """The first measured step at which a level was reached."""
    return next((str(step) for step, j in points if j >= level), "-")


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """J over steps."""
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
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
    print(text)
    if arguments.picture:
        draw(curves, arguments.picture)
    if arguments.write:
        command = "python -m studies.one_shot_convergence --davis DAVIS-TRAIN --write"
        title = "## One-shot: how fast parents learn (paper 4, table 2)"
        write_block("one-shot-convergence", f"{title}\n\n    {command}\n\n{text}")


if __name__ == "__main__":
    main()
