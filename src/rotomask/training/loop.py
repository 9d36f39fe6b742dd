"""The training loop on Lightning Fabric: any task, one process or many, resumable to the bit.

A run lives in a folder: ``losses.csv``, ``validation.csv``, TensorBoard events, ``checkpoint.pt``
and the averaged weights of each validation under ``weights/``.
"""

import csv
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rotomask.errors import DatasetError, OutputError
from rotomask.files import complete_or_absent
from rotomask.memory import is_out_of_memory
from rotomask.networks.checkpoints import save_weights
from rotomask.training.hardware import Hardware, open_fabric
from rotomask.training.recycling import Recycler
from rotomask.training.task import Batch, Schedule, Task, learning_rate

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Progress:
    """Where a run is, told after every step."""

    step: int
    steps: int
    loss: float
    samples_per_second: float
    scores: dict[str, float] | None
    """Scores of the validation after this step; None: there was none."""


class Objective(nn.Module):
    """Network and loss as one module: what several processes keep in step (DDP)."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network

    def forward(self, batch: Batch, step: int) -> Tensor:
        """The loss of a prepared batch."""
        return self.task.loss(self.network, batch, step)


def _make_optimiser(
    rates: list[tuple[list[nn.Parameter], float]], schedule: Schedule
) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for params, factor in rates:
        for decay, is_kernel in ((schedule.weight_decay, True), (0.0, False)):
            group = [p for p in params if (p.ndim > 1) == is_kernel]
            if group:
                groups.append({"params": group, "factor": factor, "weight_decay": decay})
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9)
    kind = torch.optim.Adam if schedule.optimiser == "adam" else torch.optim.AdamW
    return kind(groups, lr=schedule.learning_rate)


class Run:
    """A task in training: network, optimiser and averaged weights, on their device."""

    def __init__(self, task: Task, folder: Path, fabric: "Fabric") -> None:
        self.task, self.folder, self.fabric = task, folder, fabric
        self.schedule = task.schedule
        _seed_everything(self.schedule.seed)
        network = task.build()
        network.to(memory_format=torch.channels_last)
        optimiser = _make_optimiser(task.rates(network), self.schedule)
        self.network = network
        self.objective, self.optimiser = fabric.setup(Objective(task, network), optimiser)
        layers = task.hidden_layers(network) if self.schedule.recycle else ()
        self.recycler = Recycler(network, layers, self.schedule.refresh_every)
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.step = 0
        self.best: dict[str, float] = {}
        self.awaits_validation = False
        """True from a step on whose validation is due until that is done."""
        self.loss = self.rate = 0.0
        """Of the last step, the rate in samples a second."""
        self._core_seconds_before = -_core_seconds()

    @property
    def core_seconds(self) -> float:
        """Processor time of the run, this process and its finished loaders, resumed parts too."""
        return self._core_seconds_before + _core_seconds()

    def learn(self, batches: list[Batch]) -> float:
        """One optimiser step on the accumulated batches; its mean loss."""
        rate = learning_rate(self.schedule, self.step, self.task.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.objective.train()
        self.recycler.before_step(self.step)
        total = 0.0
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            with self.fabric.no_backward_sync(self.objective, enabled=not last):
                loss = self.objective(batch, self.step) / len(batches)
                self.fabric.backward(loss)
            total += float(cast(Tensor, self.fabric.all_reduce(loss.detach())))
        if self.schedule.clip_norm is not None:
            most = self.schedule.clip_norm
            self.fabric.clip_gradients(self.objective, self.optimiser, max_norm=most)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        self._average_weights()
        self.recycler.after_step(self.step, self.fabric, self.optimiser, self.average)
        return total

    def averaged_network(self) -> nn.Module:
        """A network of its own with the averaged weights."""
        network: nn.Module = self.task.build()
        network.load_state_dict(self.average)
        return network

    def _average_weights(self) -> None:
        decay = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value.detach(), 1 - decay)
                else:
                    self.average[name].copy_(value)

    def save(self) -> None:
        """Write all that a resumed run needs; the file is complete or the old one."""
        if self.fabric.global_rank != 0:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "processes": self.fabric.world_size,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "task": self.task.state(),
            "best": self.best,
            "awaits_validation": self.awaits_validation,
            "last": [self.loss, self.rate],
            "random": torch.get_rng_state(),
            "core_seconds": self.core_seconds,
            "alive": self.recycler.state(),
        }
        with complete_or_absent(self.folder / "checkpoint.pt") as temporary:
            torch.save(state, temporary)

    def resume(self) -> None:
        """Go on from the checkpoint in the run's folder.

        Raises:
            OutputError: If it is damaged, or was made with another number of processes, which would
                see other batches.
        """
        path = self.folder / "checkpoint.pt"
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            processes = int(state["processes"])
        except Exception as error:  # torch raises anything for a damaged file
            # A machine that is short of memory is not a damaged file.
            if is_out_of_memory(error):
                raise
            raise _damaged(path) from error
        if processes != self.fabric.world_size:
            raise OutputError(
                f"{path} was made with {processes} processes, not {self.fabric.world_size}; resume "
                f"with --devices {processes}"
            )
        try:
            self._restore(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise _damaged(path) from error

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over what `save` stored."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        self.task.load_state(state["task"])
        self.step, self.best = int(state["step"]), dict(state["best"])
        self.awaits_validation = bool(state.get("awaits_validation", False))
        self.loss, self.rate = state.get("last", (0.0, 0.0))
        self.recycler.load_state(state.get("alive", self.recycler.state()))
        # Last: building the network drew numbers, too.
        torch.set_rng_state(state["random"])
        self._core_seconds_before = state.get("core_seconds", 0.0) - _core_seconds()

    def validate(self) -> dict[str, float]:
        """Scores of the averaged weights, which are kept as a file beside; the best are marked."""
        scores: dict[str, float] = {}
        if self.fabric.global_rank == 0:
            # Validation draws nothing from the run's own random numbers.
            with torch.random.fork_rng(devices=[]):
                scores = self.task.validate(self.averaged_network())
            self.export(self.folder / "weights" / f"{self.step:06d}.safetensors", scores)
            if scores and scores["score"] >= self.best.get("score", -1.0):
                self.best = {**scores, "step": float(self.step)}
                self.export(self.folder / "weights" / "best.safetensors", scores)
        self.fabric.barrier()
        return scores

    def export(self, path: Path, scores: dict[str, float]) -> None:
        """Write the averaged weights with what is to be known of them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {**self.task.description(), "steps": self.step, "validation": scores}
        save_weights(path, self.average, {**metadata, "torch": torch.__version__})


def fit(
    task: Task,
    folder: Path,
    hardware: Hardware | None = None,
    *,
    resume: bool = False,
    save_every: int = 100,
    on_step: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Run:
    """Train a task to the end of its schedule.

    Args:
        task: What.
        folder: The run's; made if it is missing.
        hardware: On what.
        resume: Go on from the checkpoint there, if there is one.
        save_every: Steps between checkpoints.
        on_step: Told after every step, in the first process.
        stop: Asked after every step: True ends the run early, with a checkpoint.

    Returns:
        The run, finished unless it was stopped.

    Raises:
        OptionError: If the hardware asked for is not there.
        OutputError: If the checkpoint cannot be gone on from.
    """
    hardware = hardware or Hardware()
    folder.mkdir(parents=True, exist_ok=True)
    fabric = open_fabric(hardware, folder)
    run = Run(task, folder, fabric)
    if resume and (folder / "checkpoint.pt").is_file():
        run.resume()
    with ExitStack() as stack:
        logs = stack.enter_context(_Logs(run)) if fabric.global_rank == 0 else None

        def finish_step() -> None:
            scores = _validate_if_due(run)
            if logs is not None:
                logs.write_scores(scores)
                if on_step is not None:
                    on_step(Progress(run.step, run.task.steps, run.loss, run.rate, scores))

        if run.awaits_validation:  # ended in it before
            finish_step()
        began, done = time.perf_counter(), run.step
        for batches, samples in _batches(run, hardware):
            run.loss = run.learn(batches)
            run.rate = samples * (run.step - done) / (time.perf_counter() - began)
            if logs is not None:
                logs.write_step()
            _after_step(run, save_every)
            finish_step()
            if stop is not None and stop():
                run.save()
                break
    return run


def _after_step(run: Run, save_every: int) -> None:
    """Statistics and checkpoint, where they are due; takes note of a validation that is."""
    schedule = run.schedule
    last = run.step == run.task.steps
    if run.step % schedule.refresh_every == 0:
        # What the first process saw holds for all, so that they draw from the same data.
        run.task.load_state(run.fabric.broadcast(run.task.state()))
        run.task.refresh()
    validates = bool(schedule.validate_every) and run.step % schedule.validate_every == 0
    run.awaits_validation = last or validates
    # Before the validation, which may take an hour: the steps are not lost if the run ends in it.
    if run.awaits_validation or run.step % save_every == 0:
        run.save()


def _validate_if_due(run: Run) -> dict[str, float] | None:
    """The scores of a validation that is due, and a checkpoint that has them; None: none is."""
    if not run.awaits_validation:
        return None
    scores = run.validate()
    run.awaits_validation = False
    run.save()
    return scores


class _Parts(Dataset[Batch]):
    """Batch by number: the parts of all steps in a row, prepared already where that is the CPU."""

    def __init__(self, run: Run) -> None:
        self.task = run.task
        self.parts = run.schedule.accumulate * run.fabric.world_size
        self.prepares = run.fabric.device.type == "cpu"

    def __getitem__(self, index: int) -> Batch:
        # One picture library's threads per loader process would fight for the cores.
        torch.set_num_threads(1)
        batch = self.task.batch(*divmod(index, self.parts))
        return self.task.prepare(batch) if self.prepares else batch


def _batches(run: Run, hardware: Hardware) -> Iterator[tuple[list[Batch], int]]:
    """The batches of each remaining step of this process, and the samples of all processes.

    Loaders are begun anew at each refresh, so that they see what the task has learned of its data
    at the same step whether the run was stopped or not.
    """
    schedule, fabric = run.schedule, run.fabric
    dataset = _Parts(run)
    while run.step < run.task.steps:
        every = schedule.refresh_every
        end = min(run.task.steps, (run.step // every + 1) * every)
        # Batches are numbered step by step, then by accumulated part, then by process: every
        # process takes its own of each part, whatever their number.
        mine = [
            (step * schedule.accumulate + k) * fabric.world_size + fabric.global_rank
            for step in range(run.step, end)
            for k in range(schedule.accumulate)
        ]
        loader = DataLoader(
            dataset,
            batch_size=None,
            sampler=mine,
            num_workers=hardware.workers,
            pin_memory=fabric.device.type == "cuda",
        )
        step: list[Batch] = []
        for batch in _with_short_errors(loader):
            moved = {k: v.to(fabric.device, non_blocking=True) for k, v in batch.items()}
            step.append(moved if dataset.prepares else run.task.prepare(moved))
            if len(step) == schedule.accumulate:
                first = next(iter(step[0].values()))
                # Samples of all processes, for the rate that is logged.
                yield step, len(first) * schedule.accumulate * fabric.world_size
                step = []


def _with_short_errors(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; an error of a loader process has one line, without the process's traceback."""
    try:
        yield from batches
    except DatasetError as error:
        prefix = f"{DatasetError.__module__}.{DatasetError.__name__}: "
        raise DatasetError(str(error).strip().splitlines()[-1].removeprefix(prefix)) from None


class _Logs:
    """Losses and scores as CSV and TensorBoard events; rows after the checkpoint are dropped."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> "_Logs":
        folder, step = self.run.folder, self.run.step
        self._losses = _open_csv(
            folder / "losses.csv",
            ["step", "loss", "learning_rate", "samples_per_second", "core_hours"],
            step,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._losses.close()
        for logger in self.run.fabric.loggers:
            logger.finalize("success")

    def write_step(self) -> None:
        """The last step's row."""
        run = self.run
        lr = learning_rate(run.schedule, run.step - 1, run.task.steps)
        hours = f"{run.core_seconds / 3600:.4f}"
        csv.writer(self._losses).writerow(
            [run.step, f"{run.loss:.5f}", f"{lr:.3e}", f"{run.rate:.2f}", hours]
        )
        self._losses.flush()
        figures = {"loss": run.loss, "learning_rate": lr, "samples_per_second": run.rate}
        run.fabric.log_dict(figures, step=run.step)

    def write_scores(self, scores: dict[str, float] | None) -> None:
        """The row of the last step's validation, where there was one."""
        if not scores:
            return
        run = self.run
        with _open_csv(run.folder / "validation.csv", ["step", *scores], run.step - 1) as file:
            row = [run.step, *(f"{value:.4f}" for value in scores.values())]
            csv.writer(file).writerow(row)
        figures = {f"validation/{name}": value for name, value in scores.items()}
        run.fabric.log_dict(figures, step=run.step)


def _open_csv(path: Path, header: list[str], last_step: int) -> Any:
    """A CSV file to append to, with its header and no row after a step."""
    rows = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            # A killed run may have logged steps after its last checkpoint, and half a row: these
            # are made again.
            rows = [r for r in csv.reader(file) if r and r[0].isdigit() and int(r[0]) <= last_step]
    with complete_or_absent(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path.open("a", newline="")


def _damaged(path: Path) -> OutputError:
    return OutputError(
        f"{path} is damaged, or not of this run; restore it, or --overwrite to start over"
    )


def _core_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _seed_everything(seed: int) -> None:
    """What layers draw when they are made; batches have random numbers of their own."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may draw from it
    torch.manual_seed(seed)
