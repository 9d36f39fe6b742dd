"""What the driver of a batch asks of workers, wherever they run."""

from dataclasses import dataclass
from typing import Protocol

from rotomask.jobs.batch.item import Outcome, Task


@dataclass(frozen=True)
class Advanced:
    """A video has more frames."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Done:
    """A task has come to its end."""

    task: Task
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Lost:
    """A worker ended before its task did."""

    task: Task
    reason: str


Event = Advanced | Done | Lost


class Pool(Protocol):
    """Workers."""

    task_frames: int
    """Frames that a task holds, about: short videos share one; 0: each video is a task."""
    is_one_machine: bool
    """True if all workers see the driver's disk, so that a video can be split among them."""

    @property
    def capacity(self) -> int:
        """How many tasks the pool can hold now."""

    def submit(self, task: Task) -> None:
        """Give a task to a worker."""

    def wait(self, timeout_s: float) -> list[Event]:
        """What happened, as soon as something did; nothing after the timeout."""

    def close(self) -> None:
        """End the workers at once; what they were doing stays as a kill leaves it."""
