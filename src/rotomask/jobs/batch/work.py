"""One video of a batch: fetch, cut, publish, and write its receipt."""

import json
import os
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rotomask.catalog import find_then_follow
from rotomask.errors import (
    BusyError,
    InputError,
    RemoteError,
    RotomaskError,
    TruncatedVideoError,
)
from rotomask.jobs.batch.item import PARTS, Item, Outcome
from rotomask.jobs.batch.storage import Store, fetch, read_bytes
from rotomask.jobs.cut import CutOptions, cut, load_follower
from rotomask.jobs.manifest import PRIVATE
from rotomask.jobs.review import read_confidence, review
from rotomask.prompts.json_form import prompts_from_json
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import UNCERTAIN
from rotomask.threads import set_threads

MOST_DOUBTFUL = 5
"""Most frames that a receipt names."""

OnFrames = Callable[[str, int, int], None]
"""Called with a video's name, its frames that have a mask, and its frames in all."""


class _Clock:
    """Time since it was made."""

    def __init__(self) -> None:
        self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def spent(self) -> dict[str, Any]:
        """Seconds, and seconds of this process's cores, as fields of an outcome."""
        return {
            "seconds": round(time.perf_counter() - self.began, 3),
            "cpu_seconds": round(time.process_time() - self.cpu_began, 3),
        }


class Worker:
    """What cuts videos, one after the other; it loads every model once."""

    def __init__(self, store: Store, *, doubt: float = UNCERTAIN, threads: int = 1) -> None:
        """Set this process's number of threads.

        Args:
            store: Where the videos' folders are.
            doubt: Confidence below which a frame is doubtful.
            threads: How many the worker computes with.
        """
        set_threads(threads)
        self.store, self.doubt = store, doubt
        self.name = f"{platform.node()}:{os.getpid()}"
        self._segmenter: tuple[str, Segmenter] | None = None

    def run(self, item: Item, on_frames: OnFrames, attempt: int = 0) -> Outcome:
        """Cut a video, unless its receipt says that it is finished; never raises a plain error.

        Args:
            item: The video.
            on_frames: Told how far it is.
            attempt: How often it was tried before. Only the first overwrites another job.
        """
        # A retry must resume what the first attempt made, not delete it.
        if attempt > 0 and item.options.overwrite:
            item = replace(item, options=replace(item.options, overwrite=False))
        clock = _Clock()
        passing = True
        try:
            identity = item.identity()
            earlier = (
                None if item.options.overwrite else finished_before(self.store, item, identity)
            )
            if earlier is not None:
                on_frames(item.name, earlier.frames, earlier.frames)
                return earlier
            outcome = self._cut(item, on_frames)
            outcome = replace(outcome, **clock.spent(), worker=self.name, attempts=attempt + 1)
            # A damaged video has no receipt: the next run of the batch tries it again.
            if outcome.state == "finished" and not item.is_part:
                self.store.finish(item.name, {"identity": identity, **outcome.to_json()})
            return outcome
        except RotomaskError as error:
            passing, text = isinstance(error, BusyError | RemoteError), str(error)
        except Exception as error:  # a fault of one video must not end the batch
            text = " | ".join(traceback.format_exception(error)[-3:]).replace("\n", " ")
        self._segmenter = None
        return Outcome(
            name=item.name,
            state="failed",
            error=text,
            is_passing=passing,
            worker=self.name,
            attempts=attempt + 1,
            **clock.spent(),
        )

    def _cut(self, item: Item, on_frames: OnFrames) -> Outcome:
        """Cut a video and publish its folder."""
        private = self.store.root / PRIVATE
        inputs, folder = private / "inputs" / item.name, self.store.folder(item.name)
        damage: TruncatedVideoError | None = None
        frames = segmented = 0
        uncertain: tuple[str, ...] = ()

        def on_progress(stage: str, done: int, total: int | None) -> None:
            if stage == "cut":
                nonlocal frames
                frames = done
                on_frames(item.name, done, total or done)

        video = fetch(item.video, inputs)
        try:
            result = cut(
                video,
                _marks(item, inputs),
                folder,
                item.options,
                segmenter=self._segmenter_of(item),
                parts=[self.store.folder(part) for part in item.parts],
                on_progress=on_progress,
            )
            frames, segmented = result.frames, result.frames_segmented
            uncertain = tuple(map(str, result.uncertain))
        except TruncatedVideoError as error:  # what is before the damage is cut
            damage = error
        # Before it is published: the picture of doubtful frames goes along.
        confidence, doubtful = self._doubts(folder)
        if not item.is_part:
            if doubtful:
                review(video, folder, count=MOST_DOUBTFUL)
            self.store.publish(item.name)
            shutil.rmtree(inputs, ignore_errors=True)
            shutil.rmtree(self.store.folder(PARTS + item.name), ignore_errors=True)
        return Outcome(
            name=item.name,
            state="finished" if damage is None else "damaged",
            error=None if damage is None else str(damage),
            frames=frames,
            frames_segmented=segmented,
            confidence=confidence,
            doubtful=doubtful,
            uncertain=uncertain,
        )

    def _doubts(self, folder: Path) -> tuple[float | None, tuple[tuple[int, float], ...]]:
        """The mean confidence of the least sure tenth of a cut's frames, and the doubtful ones."""
        try:
            values = read_confidence(folder)
        except RotomaskError:  # every frame was marked, or found: there is no confidence
            return None, ()
        if not values:
            return None, ()
        # Ties by frame number, so that two runs name the same frames.
        rising = sorted(values.items(), key=lambda pair: (pair[1], pair[0]))
        tenth = [value for _, value in rising[: max(1, len(rising) // 10)]]
        doubtful = tuple(pair for pair in rising[:MOST_DOUBTFUL] if pair[1] < self.doubt)
        return round(sum(tenth) / len(tenth), 4), doubtful

    def _segmenter_of(self, item: Item) -> Segmenter | None:
        """The segmenter for a video, the one of the video before if it had the same model."""
        options, model = item.options, item.options.model
        if not item.masks and not item.prompts:
            follower = find_then_follow(model)[1]
            if follower is None:
                return None
            model = follower
        key = _model_key(options, model)
        if self._segmenter is None or self._segmenter[0] != key:
            # After any error: a segmenter whose video ended in the middle is not one to go on with.
            self._segmenter = None  # two models need not fit into memory
            self._segmenter = key, load_follower(options, model)
        return self._segmenter[1]


def finished_before(store: Store, item: Item, identity: str) -> Outcome | None:
    """What the receipt of a video says, if it was cut from the same inputs with the same options.

    Raises:
        RemoteError: If remote storage fails.
    """
    receipt = store.receipt(item.name)
    if receipt is None or receipt.get("identity") != identity:
        return None
    try:
        return replace(Outcome.from_json(receipt), state="before")
    except (TypeError, KeyError, ValueError):
        return None


def _marks(item: Item, inputs: Path) -> Any:
    """What marks the objects, as `cut` takes it; None: they are to be found."""
    if item.masks:
        return {frame: fetch(location, inputs) for frame, location in item.masks}
    if item.prompts is None:
        return None
    text: str | bytes = item.prompts
    if not item.prompts.startswith("{"):
        text = read_bytes(item.prompts)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the prompts of {item.name} are not JSON: {error}") from error
    return prompts_from_json(content)


def _model_key(options: CutOptions, model: str) -> str:
    """What tells one loaded model from another."""
    weights: Mapping[str, object] | None = None
    if options.weights is not None:
        try:
            status = options.weights.stat()
            weights = {"size": status.st_size, "time": status.st_mtime_ns}
        except OSError:
            weights = None  # loading it says what is wrong
    settings = (options.weights, weights, options.device, options.precision)
    return repr((model, options.refinements, settings, options.for_model()))
