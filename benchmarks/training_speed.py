"""Training throughput as its optimisations are added one by one, on generated clips.

Each line adds one optimisation to the line before. Then whole steps of the loop: with clips made in
the training process, then in a loader process. Last, clips per core second, everything counted: at
the settings of version 0.1, which had 4.7 on another machine, and by the stages of the campaign.

    python benchmarks/training_speed.py
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np
import torch
from torch import nn

from rotomask.data.training.synthetic import moving_shapes
from rotomask.networks.layers.efficientnet_lite import DepthwiseConv2d
from rotomask.training.campaign import STAGES
from rotomask.training.clip_data import Stage
from rotomask.training.hardware import Hardware, Precision, open_fabric
from rotomask.training.loop import Run, fit
from rotomask.training.recipes import STM_LITE
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Schedule

BATCH = 4
WARM_UP = 3
PARTS = ("reading and planning", "rendering", "forward", "backward")


class Options(TypedDict):
    """Settings of `network_alone`."""

    precision: Precision
    channels_last: bool
    frozen_stages: int
    float_depthwise: bool
    """Whether depthwise layers run in float32 under bfloat16, where the CPU is faster so."""


PLAIN: Options = {
    "precision": "32-true",
    "channels_last": False,
    "frozen_stages": 0,
    "float_depthwise": False,
}
NETWORK_ALONE: dict[str, Options] = {
    "float32": PLAIN,
    "+ channels_last": {**PLAIN, "channels_last": True},
    "+ bfloat16": {**PLAIN, "channels_last": True, "precision": "bf16-mixed"},
    "+ early encoder stages frozen": {
        **PLAIN,
        "channels_last": True,
        "precision": "bf16-mixed",
        "frozen_stages": 2,
    },
    "+ depthwise layers in float32": {
        "channels_last": True,
        "precision": "bf16-mixed",
        "frozen_stages": 2,
        "float_depthwise": True,
    },
}


@contextmanager
def plain_depthwise(active: bool) -> Iterator[None]:
    """Depthwise layers in PyTorch's own way while active."""
    own = DepthwiseConv2d.forward
    if active:
        setattr(DepthwiseConv2d, "forward", nn.Conv2d.forward)  # noqa: B010
    try:
        yield
    finally:
        setattr(DepthwiseConv2d, "forward", own)  # noqa: B010


def recipe(steps: int, frozen_stages: int = 2, **settings: Any) -> SpaceTimeRecipe:
    """A recipe with clips of three 256 px frames from stills, as in the first stage of stm-lite."""
    return SpaceTimeRecipe(
        name="speed",
        schedule=Schedule(validate_every=0),
        model=STM_LITE,
        stages=(Stage(steps=steps, batch=BATCH, real=0.0),),
        frozen_stages=frozen_stages,
        **settings,
    )


def network_alone(
    data: dict[str, Path],
    *,
    precision: Precision,
    channels_last: bool,
    frozen_stages: int,
    float_depthwise: bool,
) -> float:
    """Clips a second of forward and backward passes alone, on a batch made beforehand."""
    with tempfile.TemporaryDirectory() as folder, plain_depthwise(not float_depthwise):
        fabric = open_fabric(Hardware(accelerator="cpu", precision=precision), Path(folder))
        task = recipe(100, frozen_stages).task(data)
        run = Run(task, Path(folder), fabric)
        if not channels_last:
            run.network.to(memory_format=torch.contiguous_format)
        batch = task.prepare(task.batch(0, 0))
        times = []
        for _ in range(6):
            began = time.perf_counter()
            run.learn([batch])
            times.append(time.perf_counter() - began)
    return BATCH / float(np.median(times[2:]))


def where_time_goes(data: dict[str, Path], steps: int = 4) -> dict[str, float]:
    """Median milliseconds a step of each of `PARTS`."""
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        fabric = open_fabric(Hardware(accelerator="cpu"), Path(folder))
        task = recipe(100).task(data)
        run = Run(task, Path(folder), fabric)
        for step in range(steps + 1):
            moments = [time.perf_counter()]
            planned = task.batch(step, 0)
            moments.append(time.perf_counter())
            batch = task.prepare(planned)
            moments.append(time.perf_counter())
            loss = run.objective(batch, step)
            moments.append(time.perf_counter())
            fabric.backward(loss)
            moments.append(time.perf_counter())
            run.optimiser.zero_grad()
            if step > 0:  # the first one warms up
                for name, took in zip(PARTS, np.diff(moments), strict=True):
                    spent.setdefault(name, []).append(took * 1000)
    return {name: float(np.median(times)) for name, times in spent.items()}


def whole_steps(data: dict[str, Path], hardware: Hardware, steps: int) -> float:
    """Clips a second of the whole loop, without its first three steps."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        fit(
            recipe(steps).task(data),
            Path(folder),
            hardware,
            on_step=lambda _: times.append(time.perf_counter()),
        )
    return BATCH * hardware.devices * (len(times) - 4) / (times[-1] - times[3])


def per_core_second(data: dict[str, Path], tried: SpaceTimeRecipe, steps: int) -> tuple[float, ...]:
    """Clips and megapixels a core second of whole steps, from file to new weights."""
    marks: list[float] = []
    stage = replace(tried.stages[0], steps=steps + WARM_UP, real=0.0)
    schedule = replace(tried.schedule, validate_every=0)
    short = replace(tried, schedule=schedule, stages=(stage,), composed_validation=False)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            short.task(data),
            Path(folder),
            Hardware(accelerator="cpu", workers=0),
            on_step=lambda _: marks.append(time.process_time()),
        )
    clips = steps * stage.batch / (marks[-2] - marks[WARM_UP - 2])
    return clips, clips * stage.frames * stage.size**2 / 1e6


def stills(folder: Path, count: int = 24) -> dict[str, Path]:
    """Write images with masks, of about the size of those of DUTS."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for i in range(count):
        frames, labels = moving_shapes(i, frames=1, size=(300, 400))
        cv2.imwrite(str(folder / "images" / f"{i}.jpg"), frames[0])
        cv2.imwrite(str(folder / "masks" / f"{i}.png"), labels[0] * 255)
    return {"stills": folder}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--steps", type=int, default=8, help="whole steps that are timed, 5 or more"
    )
    parser.add_argument(
        "--batch", type=int, help="most clips a step of the last table; default: the recipes'"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = stills(Path(folder))
        for name, options in NETWORK_ALONE.items():
            show(name, network_alone(data, **options))
        cpu = Hardware(accelerator="cpu", workers=0)
        print(f"\none step of {BATCH} clips:")
        for name, milliseconds in where_time_goes(data).items():
            print(f"    {name:34} {milliseconds:5.0f} ms", flush=True)
        print()
        show("whole steps, clips made in between", whole_steps(data, cpu, arguments.steps))
        show(
            "+ clips made in a loader process",
            whole_steps(data, replace(cpu, workers=1), arguments.steps),
        )
        show_core_seconds(data, arguments.steps, arguments.batch)


def show_core_seconds(data: dict[str, Path], steps: int, batch: int | None) -> None:
    """Clips a core second at equal settings, and by the stages of the campaign."""
    masks = Recurrence(own_masks=0.0)
    print(f"\n{'clips a core second':38} {'clips':>5} {'Mpx':>6}")
    for name, tried in (
        ("3 frames of 256 px, as in 0.1.0", recipe(1)),
        ("+ depthwise filters frozen", recipe(1, frozen_filters=True)),
        ("+ true masks, all frames at once", recipe(1, frozen_filters=True, recurrence=masks)),
        *((stage.name, stage) for stage in STAGES),
    ):
        stage = tried.stages[0]
        smaller = replace(stage, batch=min(stage.batch, batch or stage.batch))
        clips, pixels = per_core_second(data, replace(tried, stages=(smaller,)), steps)
        print(f"{name:38} {clips:5.2f} {pixels:6.2f}", flush=True)


def show(name: str, rate: float) -> None:
    """Print one line of the table."""
    print(f"{name:38} {rate:5.1f} clips/s", flush=True)


if __name__ == "__main__":
    main()
