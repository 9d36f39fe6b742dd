"""Tasks from videos: how many frames each has, about; what is split, and what is put together.

A video may be split where the result stays the same to the byte: at its first marked frame, from
which one pass runs forward and one backward, each from a fresh start. At later marked frames the
segmenter keeps what it remembers, so a split there would change the masks.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rotomask.jobs.batch.item import PARTS, Item, Task
from rotomask.jobs.batch.storage import is_remote, local_path, size_of
from rotomask.jobs.cut_pipeline import is_soft
from rotomask.video.counting import stated_frame_count

FRAME_BYTES = 12_000
"""Bytes of a compressed frame, about; for files whose frames cannot be counted beforehand."""
THREADS = 16
"""How many videos are looked at at a time."""
SPLIT_FRAMES = 300
"""Least frames on each side of the first marked frame for which a video is split: a pass opens the
video and loads what it needs, and joining renders by one worker."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Tasks in the order in which they are started, and what they make possible."""

    tasks: tuple[Task, ...]
    joins: dict[str, Task]
    """Name of a video that is split -> the task that joins its passes."""
    frames: dict[str, int]
    """Frames of each video, about."""


def plan(
    items: Sequence[Item], workers: int, *, task_frames: int = 0, split: int | None = SPLIT_FRAMES
) -> Plan:
    """Tasks, the longest first, so that the last ones to end are short.

    A video is split if it has more than its share of the frames: the others would wait for it.

    Args:
        items: The videos.
        workers: How many cut at the same time.
        task_frames: Short videos are put together until a task has so many frames, or a quarter of
            a worker's share; 0: every video is a task of its own.
        split: Least frames on each side of a split; None: nothing is split.
    """
    with ThreadPoolExecutor(THREADS) as threads:  # each waits for a disk or a server
        counts = threads.map(expected_frames, items)
        frames = {item.name: count for item, count in zip(items, counts, strict=True)}
    share = sum(frames.values()) / workers
    joins: dict[str, Task] = {}
    singles: list[Task] = []
    for item in items:
        count = frames[item.name]
        parts = [] if split is None or count <= share else _passes(item, count, split)
        if parts:
            names = tuple(part.name for part, _ in parts)
            joins[item.name] = Task(items=(replace(item, parts=names),), frames=0)
            singles += [Task(items=(part,), frames=number) for part, number in parts]
        else:
            singles.append(Task(items=(item,), frames=count))
    singles.sort(key=lambda task: -task.frames)
    tasks = _bundled(singles, min(task_frames, int(share / 4)))
    return Plan(tasks=tuple(tasks), joins=joins, frames=frames)


def expected_frames(item: Item) -> int:
    """How many frames of a video are cut, about, at least 1; nothing is downloaded."""
    count = item.frames
    if count is None and not is_remote(item.video):
        count = stated_frame_count(local_path(item.video))
    if count is None:
        count = size_of(item.video) // FRAME_BYTES
    stop = count if item.options.stop is None else min(count, item.options.stop)
    return max(1, stop - item.options.start)


def _bundled(tasks: Iterable[Task], least: int) -> Iterable[Task]:
    """Tasks of at least so many frames, made of short ones in their order."""
    waiting: list[Item] = []
    frames = 0
    for task in tasks:
        waiting += task.items
        frames += task.frames
        if frames >= least:
            yield Task(items=tuple(waiting), frames=frames)
            waiting, frames = [], 0
    if waiting:
        yield Task(items=tuple(waiting), frames=frames)


def _passes(item: Item, frames: int, least: int) -> list[tuple[Item, int]]:
    """The two passes of a video as videos of their own, with their frames; none if too short."""
    if not item.masks or item.options.direction != "both":
        return []
    start, first = item.options.start, item.masks[0][0]
    before, after = first - start, frames - (first - start)
    if before < least or after < least:
        return []
    formats = ("mattes",) if is_soft(item.options.formats) else ()
    forward = replace(item.options, start=first, formats=formats)
    backward = replace(item.options, stop=first + 1, formats=formats)
    return [
        (replace(item, name=f"{PARTS}{item.name}/forward", options=forward), after),
        (
            replace(
                item,
                name=f"{PARTS}{item.name}/backward",
                options=backward,
                masks=item.masks[:1],
            ),
            before + 1,
        ),
    ]
