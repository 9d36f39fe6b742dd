"""Scoring of a folder of results, with the sequences spread over processes."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from rotomask.data.benchmarks.folders import image_files
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError, RotomaskError
from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.protocols.predictions import OnMissing, ResultFolder
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import EvaluationResult, SequenceScore
from rotomask.threads import usable_cores

OnSequence = Callable[[int, int], None]
"""Called after each sequence with the number of sequences done and of all sequences."""

FEW_FRAMES = 2000
"""With fewer frames, starting processes (a second) takes longer than it saves."""
FEW_FRAMES_OF_STABILITY = 50
"""The same limit if T is measured, which takes a tenth of a second per frame."""


def evaluate_results(
    dataset: VideoDataset,
    results: str | Path,
    *,
    protocol: TrackProtocol | None = None,
    on_missing: OnMissing = "error",
    processes: int | None = None,
    on_progress: OnSequence | None = None,
) -> EvaluationResult:
    """Score a folder of result masks on the sequences of a data set.

    Args:
        dataset: A data set from `open_benchmark`; use `dataset.select(names)` to score some
            sequences only.
        results: Folder of the masks, ``RESULTS/SEQUENCE/FRAME.png``, of any image type.
        protocol: Measures and tolerance; by default the benchmark's.
        on_missing: "error" fails if a scored frame has no result; "empty" scores an empty mask.
        processes: Number of processes. By default one per core if there are many frames, else 1. If
            there are several, a script must guard its work by ``if __name__ == "__main__":``.
        on_progress: Called after each sequence.

    Raises:
        DatasetError: If results are missing, or the data set has no frame to score.
        MaskError: If a mask is damaged or differs in size from its annotation.
        OptionError: If `processes` is below 1.
    """
    benchmark = get_benchmark(dataset.benchmark)
    folder = ResultFolder(Path(results), on_missing, flat=_is_flat(Path(results), dataset))
    frames = sum(len(sequence.scored_frames()) for sequence in dataset)
    if not len(dataset) or not frames:
        raise DatasetError(
            f"{dataset.benchmark} {dataset.split} has no annotated frame to score; "
            "test splits have only the first masks"
        )
    if benchmark.stored_by_frame:
        folder.check(dataset)
    protocol = protocol or TrackProtocol(measures=benchmark.measures)
    few = FEW_FRAMES_OF_STABILITY if "T" in protocol.measures else FEW_FRAMES
    workers = min(_processes(processes, parallel=frames >= few), len(dataset))
    task = _Task(dataset.benchmark, folder, protocol)
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
    """True if the folder has the masks of the only sequence, and no folder of its name."""
    # A folder of the sequence's name always wins: images beside it may be anything.
    if len(dataset) != 1 or not results.is_dir() or (results / dataset.sequences[0].name).is_dir():
        return False
    return bool(image_files(results))


class _Task:
    """Scoring of one sequence; a class, since closures cannot be sent to other processes."""

    def __init__(self, benchmark: str, folder: ResultFolder, protocol: TrackProtocol) -> None:
        self.benchmark, self.folder, self.protocol = benchmark, folder, protocol

    def __call__(self, sequence: VideoSequence) -> SequenceScore:
        return get_benchmark(self.benchmark).score(sequence, self.folder, self.protocol)


def _scores(task: _Task, dataset: VideoDataset, workers: int) -> Iterator[SequenceScore]:
    """The scores of all sequences, in any order."""
    # The longest last would keep one process busy while the others have nothing left to do.
    longest_first = sorted(dataset, key=lambda s: len(s.scored_frames()), reverse=True)
    if workers == 1:
        yield from map(task, longest_first)
        return
    # Not fork: a lock that another thread holds at that moment (PyTorch has threads) would never be
    # released in the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        futures = [pool.submit(task, sequence) for sequence in longest_first]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise RotomaskError(
                "a scoring process died; put the script's work under "
                "`if __name__ == '__main__':`, or use processes=1"
            ) from error
        except BaseException:
            # After Ctrl-C or a failure the sequences that wait are dropped; those under way are
            # awaited.
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    # OpenCV starts as many threads as there are cores, in each of the processes.
    cv2.setNumThreads(1)


def _processes(processes: int | None, *, parallel: bool) -> int:
    """The number asked for; by default one per core if `parallel`, else 1."""
    if processes is not None and processes < 1:
        raise OptionError(f"processes must be at least 1, got {processes}")
    if processes is not None:
        return processes
    return usable_cores() if parallel else 1


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
    with_notes = [s.name for s in sequences if s.notes]
    if with_notes:
        notes.append(f"notes on {len(with_notes)} sequences: {', '.join(with_notes)}")
    return tuple(notes)
