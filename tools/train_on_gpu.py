"""Train the stages of stm-lite within a given time, in calls of some minutes each.

    python tools/train_on_gpu.py --data PACKS --run RUN --out OUT --initial W --minutes 8

The same command again resumes, as long as the folder RUN is there. The stages
(`training/campaign.py`) share `--total` minutes as 9 : 4 : 9 : 4; the first half minute of each
stage measures how many steps that is. At the end of each call OUT holds the averaged weights in
float16, in files of 16 MiB at most, and what was measured. docs/guide/training.md says how to use
this on a machine that is lent for half an hour.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from rotomask.data.sequences import VideoSequence
from rotomask.training.campaign import STAGES, for_gpu, with_steps
from rotomask.training.clip_data import ClipData, OpenedClips, open_clip_data
from rotomask.training.hardware import Hardware
from rotomask.training.loop import Progress, Run, fit
from rotomask.training.space_time import SpaceTimeRecipe, SpaceTimeTask

SHARES = {"stm-lite-a": 9, "stm-lite-b": 4, "stm-lite-c": 9, "stm-lite-d": 4}
CALIBRATION_S = 30.0
WARM_UP_STEPS = 5
SHARD_BYTES = 15 * 2**20
STATE = "state.json"


@dataclass
class Clock:
    """When this call ends."""

    end: float

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a pack, or a folder of packs")
    parser.add_argument("--run", type=Path, required=True, help="kept from call to call")
    parser.add_argument("--out", type=Path, required=True, help="weights and figures")
    parser.add_argument("--initial", type=Path, help="weights to start the first stage from")
    parser.add_argument("--minutes", type=float, default=8.0, help="of this call")
    parser.add_argument("--total", type=float, default=20.0, help="minutes of all stages")
    parser.add_argument("--stages", default="abcd", help="their letters, such as cd")
    parser.add_argument("--workers", type=int, default=14, help="loader processes")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--small", action="store_true", help="tiny clips, to try it on a CPU")
    arguments = parser.parse_args()
    clock = Clock(time.monotonic() + 60 * arguments.minutes)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    arguments.run.mkdir(parents=True, exist_ok=True)
    chosen = [recipe for recipe in STAGES if recipe.name[-1] in arguments.stages]
    recipes = [small(r) if arguments.small else for_gpu(r) for r in chosen]
    shares = sum(SHARES[recipe.name] for recipe in recipes)
    clips, held_out = open_clip_data({"pack": arguments.data}, held_out=recipes[0].held_out)
    shared_gib = shutil.disk_usage("/dev/shm").free / 2**30
    print(f"data in memory, {clock.left():.0f} s left", clips.describe(), flush=True)
    print(f"torch {torch.__version__}, /dev/shm {shared_gib:.1f} GiB free", flush=True)
    hardware = Hardware(accelerator=arguments.accelerator, workers=arguments.workers)
    initial, run = arguments.initial, None
    for recipe in recipes:
        folder = arguments.run / recipe.name
        done = folder / "weights.safetensors"
        if not done.is_file():
            minutes = arguments.total * SHARES[recipe.name] / shares
            stage = Stage(recipe, clips, held_out, initial, folder, hardware)
            latest = stage.train(60 * minutes, clock)
            run = latest or run
            if latest is None or latest.step < latest.task.steps:
                break
            latest.export(done, {})
        initial = done
    if run is not None:
        write_out(arguments.out, run, arguments.run)


@dataclass
class Stage:
    """One recipe with its data, trained in a folder."""

    recipe: SpaceTimeRecipe
    clips: ClipData
    held_out: tuple[VideoSequence, ...]
    initial: Path | None
    folder: Path
    hardware: Hardware

    def train(self, seconds: float, clock: Clock) -> Run | None:
        """As far as the clock allows; None if it does not allow a beginning."""
        if clock.left() < CALIBRATION_S / 2:
            return None
        state = self.state()
        if "steps" not in state:
            end = time.monotonic() + min(CALIBRATION_S, 0.3 * seconds, clock.left() - 5)
            began = time.monotonic()
            # Twice a second is a guess, for the warm-up; what is done counts.
            run, rate = self.fit(max(100, int(2 * seconds)), lambda: time.monotonic() > end)
            used = time.monotonic() - began
            state["steps"] = run.step + max(1, int((seconds - used) * rate))
            self.write_state(state)
            print(f"{self.recipe.name}: {rate:.2f} steps/s, {state['steps']} steps", flush=True)
            if clock.left() < 15:
                return run
        run, _ = self.fit(state["steps"], lambda: clock.left() < 15)
        return run

    def fit(self, steps: int, stop: Any) -> tuple[Run, float]:
        """Train on, and the steps a second once the loaders are under way."""
        recipe = with_steps(self.recipe, steps)
        # Validation takes as long as many steps: only where the network is for use.
        validated = self.held_out if recipe.stages[0].frames > 4 else ()
        task = SpaceTimeTask(recipe, OpenedClips(self.clips, validated), self.initial)
        times: list[float] = []

        def on_step(progress: Progress) -> None:
            times.append(time.monotonic())
            if progress.step % 50 == 0 or progress.scores:
                print(progress.step, f"{progress.loss:.4f}", progress.scores or "", flush=True)

        run = fit(
            task,
            self.folder,
            self.hardware,
            resume=True,
            save_every=500,
            on_step=on_step,
            stop=stop,
        )
        timed = times[min(WARM_UP_STEPS, len(times) - 1) :]
        rate = (len(timed) - 1) / (timed[-1] - timed[0]) if len(timed) > 1 else 1.0
        self.write_state({**self.state(), "step": run.step, "steps_per_second": rate})
        return run, rate

    def state(self) -> dict[str, Any]:
        """What was planned and measured."""
        file = self.folder / STATE
        return json.loads(file.read_text()) if file.is_file() else {}

    def write_state(self, state: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / STATE).write_text(json.dumps(state))


def write_out(out: Path, run: Run, folder: Path) -> None:
    """The averaged weights in shards, and the state of every stage."""
    out.mkdir(parents=True, exist_ok=True)
    halves = {k: v.detach().cpu().half().contiguous() for k, v in run.average.items()}
    metadata = {"metadata": json.dumps({**run.task.description(), "steps": run.step}, default=str)}
    shards = split(halves, SHARD_BYTES)
    for number, shard in enumerate(shards, start=1):
        name = f"weights-{number}-of-{len(shards)}.safetensors"
        save_file(shard, out / name, metadata)
    states = {p.parent.name: json.loads(p.read_text()) for p in sorted(folder.glob(f"*/{STATE}"))}
    for stage in folder.iterdir():
        if (stage / "validation.csv").is_file():
            states[stage.name]["validation"] = (stage / "validation.csv").read_text()
    (out / "states.json").write_text(json.dumps(states, indent=1))
    print(json.dumps(states), flush=True)


def split(tensors: dict[str, Tensor], most: int) -> list[dict[str, Tensor]]:
    """Tensors in groups of at most so many bytes, in their order."""
    groups: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if groups[-1] and size + tensor.nbytes > most:
            groups.append({})
            size = 0
        groups[-1][name] = tensor
        size += tensor.nbytes
    return groups


def small(recipe: SpaceTimeRecipe) -> SpaceTimeRecipe:
    """A stage with clips that a CPU can make and learn from in seconds."""
    stage = replace(recipe.stages[0], batch=2, size=64, frames=min(5, recipe.stages[0].frames))
    return replace(recipe, stages=(stage,), composed_validation=False)


if __name__ == "__main__":
    main()
