"""Run a model over a benchmark, then score it: masks, quality, seconds per frame, peak memory."""

import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from rotomask import __version__
from rotomask.arrays import Frame
from rotomask.data.benchmarks.jumpcut import DISTANCES, transfers
from rotomask.data.benchmarks.label_files import Labels
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.errors import OptionError, OutputError
from rotomask.evaluation.benchmarks import get_benchmark, open_benchmark
from rotomask.evaluation.results import EvaluationResult
from rotomask.evaluation.running import evaluate_results
from rotomask.evaluation.submission import write_submission
from rotomask.files import complete_or_absent
from rotomask.masks import write_mask
from rotomask.segmenters.base import Segmenter
from rotomask.unsupervised.base import Discoverer

OnProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class SequenceTiming:
    """How long a model took over a sequence."""

    frames: int
    """Frames that were segmented: the given ones do not count."""
    seconds: float
    """From reading the first frame to the last mask on disk."""


def run_benchmark(
    name: str,
    root: str | Path,
    out: str | Path,
    segmenter: Segmenter | Discoverer,
    *,
    settings: dict[str, Any],
    objects: int = 1,
    split: str | None = None,
    sequences: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
) -> EvaluationResult:
    """Segment every sequence of a benchmark as its rules have it, and score the masks.

    Writes ``OUT/SEQUENCE/FRAME.png``, for JumpCut ``OUT/SEQUENCE/KEY/FRAME.png``, and
    ``OUT/run.json``; for YouTube-VOS also ``OUT/submission.zip``. A run that was stopped goes on
    after the sequences that were finished.

    Args:
        name: A benchmark: davis2016, davis2017, davis2017-unsupervised, youtube-vos, fbms ...
        root: Where the data set is.
        out: Folder to write to.
        segmenter: The model. A `Discoverer` is not given the benchmark's masks.
        settings: What the run depends on, for the record; the same folder takes no other settings.
        objects: Most objects a discoverer looks for in a sequence.
        split: Part of the data set; None: its validation split.
        sequences: Only these.
        on_progress: Called with the stage (``segment`` or ``score``), what is done, and how much
            there is.

    Returns:
        The scores, without figures where only first masks are public; its `run` holds seconds per
        frame, peak memory (MiB) and versions.

    Raises:
        OptionError: If the benchmark gives no masks to start from, and the model needs them.
        OutputError: If the folder cannot be written or holds a run with other settings.
    """
    dataset = open_benchmark(name, root, split)
    if sequences is not None:
        dataset = dataset.select(sequences)
    _check_runnable(dataset, segmenter)
    record = _Record(Path(out), settings)
    by_frame = get_benchmark(name).stored_by_frame
    work = {s.name: _passes(s, record.folder / s.name, by_frame=by_frame) for s in dataset}
    total, done = sum(len(one.frames) for passes in work.values() for one in passes), 0
    if on_progress is not None and isinstance(segmenter, Segmenter):
        report = on_progress
        segmenter.report_learning(lambda part: report("learn", round(100 * part), 100))
    for sequence in dataset:
        passes = work[sequence.name]
        if sequence.name in record.timings:
            done += sum(len(one.frames) for one in passes)
            continue
        began, segmented = time.perf_counter(), 0
        if isinstance(segmenter, Discoverer):
            steps = _discover(sequence, record.folder / sequence.name, segmenter, objects)
        else:
            steps = _segment(sequence, passes, segmenter)
        for count in steps:
            segmented, done = segmented + count, done + 1
            if on_progress is not None:
                on_progress("segment", done, total)
        seconds = time.perf_counter() - began
        record.finish(sequence.name, SequenceTiming(frames=segmented, seconds=seconds))
    run = record.summary([s.name for s in dataset])
    if name == "youtube-vos":
        run["submission"] = str(write_submission(dataset, record.folder))
    if not any(sequence.scored_frames() for sequence in dataset):
        return EvaluationResult(
            benchmark=name,
            split=dataset.split,
            results=record.folder.resolve().name,
            figures={},
            sequences=(),
            notes=("only first masks are public: nothing can be scored here",),
            run=run,
        )
    score_progress = None
    if on_progress is not None:

        def score_progress(scored: int, count: int) -> None:
            on_progress("score", scored, count)

    result = evaluate_results(dataset, record.folder, on_progress=score_progress)
    return replace(result, run=run)


class _Record:
    """``run.json``: settings, and the timing of every finished sequence."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.timings: dict[str, SequenceTiming] = {}
        self.peak_mib = 0.0
        self.file = folder / "run.json"
        if self.file.is_file():
            self._read()

    def _read(self) -> None:
        stored = json.loads(self.file.read_text())
        if stored["settings"] != json.loads(json.dumps(self.settings)):
            raise OutputError(
                f"{self.folder} holds a run with other settings ({stored['settings']}); "
                "choose another --out"
            )
        self.peak_mib = stored["peak_mib"]
        self.timings = {k: SequenceTiming(**v) for k, v in stored["timings"].items()}

    def finish(self, name: str, timing: SequenceTiming) -> None:
        """Note a finished sequence."""
        self.timings[name] = timing
        self.peak_mib = max(self.peak_mib, _peak_mib())
        content = {
            "settings": self.settings,
            "peak_mib": self.peak_mib,
            "timings": {k: vars(v) for k, v in self.timings.items()},
        }
        with complete_or_absent(self.file) as temporary:
            temporary.write_text(json.dumps(content, indent=1))

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """Of the sequences that were scored."""
        chosen = {name: self.timings[name] for name in names}
        frames = sum(t.frames for t in chosen.values())
        seconds = sum(t.seconds for t in chosen.values())
        return {
            **self.settings,
            "frames": frames,
            "seconds_per_frame": seconds / frames if frames else None,
            "frames_per_second": frames / seconds if seconds else None,
            "seconds_per_frame_by_sequence": {
                k: t.seconds / t.frames if t.frames else None for k, t in chosen.items()
            },
            "peak_memory_mib": self.peak_mib,
            "versions": _versions(),
        }


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """Frames of a sequence that are segmented in one go."""

    folder: Path
    """Where their masks go."""
    frames: range
    prompts: dict[int, tuple[Labels, tuple[int, ...]]]
    """As `VideoSequence.prompts`."""


def _passes(sequence: VideoSequence, folder: Path, *, by_frame: bool) -> list[_Pass]:
    """One, or for JumpCut one from every key frame to the end of its longest transfer."""
    if by_frame:
        # An object of YouTube-VOS may be listed in a frame that shows no pixel of it.
        prompts = {i: given for i, given in sequence.prompts().items() if given[0].any()}
        return [_Pass(folder=folder, frames=range(len(sequence)), prompts=prompts)]
    ends: dict[int, int] = {}
    for distance in DISTANCES:
        ends |= dict(transfers(len(sequence), distance))
    passes = []
    for key, end in ends.items():
        name = sequence.frame_names[key]
        labels = sequence.annotation(name)
        prompts = {key: (labels, sequence.object_ids)} if labels.any() else {}
        frames = range(key, end + 1)
        passes.append(_Pass(folder=folder / name, frames=frames, prompts=prompts))
    return passes


def _segment(sequence: VideoSequence, passes: list[_Pass], segmenter: Segmenter) -> Iterator[int]:
    """Write a mask for every frame; gives 1 for each that was segmented, 0 for each other."""
    for one in passes:
        started = False
        labels: Labels
        for index in one.frames:
            frame = sequence.frame(index)
            is_segmented = started
            if index not in one.prompts:
                labels = np.zeros(frame.shape[:2], np.int32)
                if started:
                    labels = segmenter.labels(segmenter.step(frame))
            else:
                labels, ids = one.prompts[index]
                if started:
                    labels = segmenter.labels(segmenter.add(frame, labels, ids))
                else:
                    segmenter.start(frame, labels)
                    started = True
            write_mask(one.folder / f"{sequence.frame_names[index]}.png", labels)
            yield int(is_segmented)


@dataclass(frozen=True)
class _SequenceFrames:
    """A sequence as the source that discoverers read."""

    sequence: VideoSequence

    def __len__(self) -> int:
        return len(self.sequence)

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """The frames start, start + 1, ... before stop, or the same backwards."""
        indices = range(len(self))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield self.sequence.frame(index)


def _discover(
    sequence: VideoSequence, folder: Path, discoverer: Discoverer, objects: int
) -> Iterator[int]:
    """Write a mask for every frame of a sequence that nobody marked; gives 1 for each."""
    found = discoverer.discover(_SequenceFrames(sequence), objects=objects)
    for name, probabilities in zip(sequence.frame_names, found.frames(), strict=True):
        write_mask(folder / f"{name}.png", found.labels(probabilities))
        yield 1


def _check_runnable(dataset: VideoDataset, model: Segmenter | Discoverer) -> None:
    if isinstance(model, Discoverer):
        if not get_benchmark(dataset.benchmark).stored_by_frame:
            raise OptionError(
                f"{dataset.benchmark} starts anew from every key frame, whose mask is given; "
                "choose a model that takes it"
            )
        return
    without = [s.name for s in dataset if not s.given]
    if without:
        raise OptionError(
            f"{dataset.benchmark} gives no mask to start from (sequence {without[0]}); it is for "
            "models without annotation: --model embedding, embedding+stm-lite or flow-saliency"
        )


def _peak_mib() -> float:
    """The process's largest resident memory so far; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "opencv-python-headless", "av")
    found = {name: metadata.version(name) for name in names}
    return {"rotomask": __version__, "python": platform.python_version(), **found}
