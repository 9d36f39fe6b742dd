"""Scoring of a whole result set, its sequences spread over processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from rotomask.data.benchmarks.folders import image_files
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError, RotomaskError
from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.protocols.predictions import OnMissing, ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import EvaluationResult, SequenceScore

OnProgress = Callable[[int, int], None]
"""Told after each sequence: how many are done, of how many."""

FEW_FRAMES = 2000
"""Below this the start of processes (a second) costs more than it gains."""
FEW_FRAMES_OF_STABILITY = 50
"""The same where T is measured, which takes a tenth of a second a frame."""


def evaluate_results(
    dataset: VideoDataset,
    results: str | Path,
    *,
    protocol: TrackProtocol | None = None,
    on_missing: OnMissing = "error",
    processes: int | None = None,
    on_progress: OnProgress | None = None,
) -> EvaluationResult:
    """Score a folder of result masks on the sequences of a data set.

    Args:
        dataset: From `open_benchmark`; `dataset.select(names)` takes some sequences only.
        results: ``RESULTS/SEQUENCE/FRAME.png``, of any image type.
        protocol: Measures and tolerance; the benchmark's own by default.
        on_missing: A scored frame without a result is an "error", or counts as "empty".
        processes: 1 for this process alone; None for one a core, where that pays. Unless it is 1,
            a script needs the usual ``if __name__ == "__main__":``.
        on_progress: Called after each sequence.

    Raises:
        DatasetError: If results are missing, or the data set has nothing to score.
        MaskError: If a mask is damaged or of another size than its annotation.
    """
    benchmark = get_benchmark(dataset.benchmark)
    folder = ResultFolder(Path(results), on_missing, flat=_is_flat(Path(results), dataset))
    frames = sum(len(sequence.scored_frames()) for sequence in dataset)
    if not len(dataset) or not frames:
        raise DatasetError(
            f"{dataset.benchmark} {dataset.split} has no annotated frame to score; "
            "of a test split only the first masks are public"
        )
    if benchmark.stored_by_frame:
        folder.check(dataset)
    rules = protocol or TrackProtocol(measures=benchmark.measures)
    few = FEW_FRAMES_OF_STABILITY if "T" in rules.measures else FEW_FRAMES
    workers = min(_processes(processes, pays=frames >= few), len(dataset))
    task = _Task(dataset.benchmark, folder, rules)
    scores: dict[str, SequenceScore] = {}
    for score in _scores(task, dataset, workers):
        scores[score.name] = score
        if on_progress is not None:
            on_progress(len(scores), len(dataset))
    sequences = tuple(scores[sequence.name] for sequence in dataset)
    return EvaluationResult(
        benchmark=dataset.benchmark,
        split=dataset.split,
        results=folder.root.resolve().name,
        figures=benchmark.summarize(sequences),
        sequences=sequences,
        notes=_notes(dataset, sequences),
    )


def _is_flat(results: Path, dataset: VideoDataset) -> bool:
    """Whether the folder holds the masks of the only sequence without a folder of its name."""
    if len(dataset) != 1 or not results.is_dir() or (results / dataset.sequences[0].name).is_dir():
        return False
    return bool(image_files(results))


class _Task:
    """Scores one sequence; reaches other processes, where a closure could not."""

    def __init__(self, benchmark: str, folder: ResultFolder, protocol: TrackProtocol) -> None:
        self.benchmark, self.folder, self.protocol = benchmark, folder, protocol

    def __call__(self, sequence: VideoSequence) -> SequenceScore:
        return get_benchmark(self.benchmark).score(sequence, self.folder, self.protocol)


def _scores(task: _Task, dataset: VideoDataset, workers: int) -> Iterator[SequenceScore]:
    """Every sequence's score, in any order."""
    longest_first = sorted(dataset, key=lambda s: len(s.scored_frames()), reverse=True)
    if workers == 1:
        yield from map(task, longest_first)
        return
    # Not by fork: a thread that holds a lock meanwhile (PyTorch has some) would stop the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        futures = [pool.submit(task, sequence) for sequence in longest_first]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise RotomaskError(
                "a scoring process died; a script needs `if __name__ == '__main__':` around its "
                "work, or give processes=1"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _processes(asked: int | None, *, pays: bool) -> int:
    if asked is not None and asked < 1:
        raise OptionError(f"processes must be at least 1, got {asked}")
    if asked is not None:
        return asked
    if not pays:
        return 1
    # Not all systems know which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _notes(dataset: VideoDataset, sequences: tuple[SequenceScore, ...]) -> tuple[str, ...]:
    notes = []
    if dataset.official_count is not None and len(dataset) < dataset.official_count:
        notes.append(
            f"{len(dataset)} of the {dataset.official_count} sequences of {dataset.split}: "
            "not comparable with published figures"
        )
    note = get_benchmark(dataset.benchmark).note(dataset.split)
    if note:
        notes.append(note)
    odd = [s.name for s in sequences if s.notes]
    if odd:
        notes.append(f"notes on {len(odd)} sequences: {', '.join(odd)}")
    return tuple(notes)
