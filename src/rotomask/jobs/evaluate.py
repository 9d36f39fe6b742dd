"""Score existing masks against the ground truth of a benchmark."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Unpack

from rotomask.evaluation.benchmarks import open_benchmark
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.reports import ReportFiles
from rotomask.evaluation.results import EvaluationResult
from rotomask.evaluation.scoring import evaluate_results
from rotomask.jobs.keywords import EvaluateKeywords, takes_options, with_keywords
from rotomask.jobs.progress import OnProgress


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ReportFiles):
    """Sequences, measures and reports of a score."""

    split: str | None = None
    """Split of the data set; None: the one on which papers report results."""
    sequences: tuple[str, ...] | None = None
    """Names of the sequences to score; None: all of the split."""
    stability: bool = False
    """True to measure the temporal stability T beside J and F; slow."""
    allow_missing: bool = False
    """True to score a missing mask as an empty one instead of failing."""
    processes: int | None = None
    """Number of processes; None: one per core if there are many frames, else 1."""


@takes_options(EvaluateOptions)
def evaluate(
    name: str,
    root: str | Path,
    results: str | Path,
    options: EvaluateOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: Unpack[EvaluateKeywords],
) -> EvaluationResult:
    """Score a folder of masks by the rules of a benchmark.

    With several processes, a script must guard its work by ``if __name__ == "__main__":``.

    Args:
        name: A benchmark: davis2016, davis2017, davis2017-unsupervised, youtube-vos, fbms ...
        root: Folder of the data set.
        results: Folder of the masks, ``RESULTS/SEQUENCE/FRAME.png``, of any image type.
        options: Options; or give its fields as keywords.
        on_progress: Receives the stage ``score``, in sequences.
        **changes: Options as keywords, as on the command line: `EvaluateKeywords`.

    Returns:
        The scores; the reports that the options name are written.

    Raises:
        DatasetError: If results are missing, or the data set is incomplete or has no frame to
            score.
        MaskError: If a mask is damaged or differs in size from its annotation.
        OptionError: If an option is unknown or wrong.
        OutputError: If a report cannot be written.
    """
    options = with_keywords(options or EvaluateOptions(), changes, "evaluate")
    dataset = open_benchmark(name, root, options.split)
    if options.sequences is not None:
        dataset = dataset.select(options.sequences)
    result = evaluate_results(
        dataset,
        results,
        protocol=TrackProtocol(measures=("J", "F", "T")) if options.stability else None,
        on_missing="empty" if options.allow_missing else "error",
        processes=options.processes,
        on_progress=None if on_progress is None else partial(on_progress, "score"),
    )
    options.save(result, dataset, results)
    return result
