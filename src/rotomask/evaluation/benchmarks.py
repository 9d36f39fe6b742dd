"""The benchmarks by name: how each data set is read, scored and summed up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotomask.data.davis import davis2016, davis2017
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import OptionError
from rotomask.evaluation.predictions import ResultFolder
from rotomask.evaluation.results import Figures, SequenceScore
from rotomask.evaluation.tracks import (
    TrackProtocol,
    average_figures,
    score_tracks,
    with_mean_of_both,
)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark of the field."""

    title: str
    open: Callable[[Path, str], VideoDataset]
    """Reads the data set at a root, of a split."""
    split: str
    """The split that papers report."""
    score: Callable[[VideoSequence, ResultFolder, TrackProtocol], SequenceScore]
    summarize: Callable[[Sequence[SequenceScore]], Figures]
    """The global figures, the headline first."""


def mean_over_objects(sequences: Sequence[SequenceScore]) -> Figures:
    """Unweighted mean over all objects, as DAVIS has it: a sequence of five counts five times."""
    objects = [item.figures for sequence in sequences for item in sequence.objects]
    return with_mean_of_both(average_figures(objects))


BENCHMARKS: dict[str, Benchmark] = {
    "davis2016": Benchmark(
        title="DAVIS-2016",
        open=davis2016,
        split="val",
        score=score_tracks,
        summarize=mean_over_objects,
    ),
    "davis2017": Benchmark(
        title="DAVIS-2017 semi-supervised",
        open=davis2017,
        split="val",
        score=score_tracks,
        summarize=mean_over_objects,
    ),
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        OptionError: If there is none; the message lists those there are.
    """
    if name not in BENCHMARKS:
        raise OptionError(f"there is no benchmark {name!r}; choose from {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def open_benchmark(name: str, root: str | Path, split: str | None = None) -> VideoDataset:
    """The data set of a benchmark, of the split that papers report unless another is named.

    Raises:
        OptionError: If there is no such benchmark or split.
        DatasetError: If the data set is missing or incomplete.
    """
    benchmark = get_benchmark(name)
    return benchmark.open(Path(root), split or benchmark.split)
