"""The benchmarks by name: how each data set is read, scored and summed up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotomask.data.benchmarks.davis import davis2016, davis2017, davis2017_unsupervised
from rotomask.data.benchmarks.fbms import fbms
from rotomask.data.benchmarks.folder_pair import folder_pair
from rotomask.data.benchmarks.jumpcut import jumpcut
from rotomask.data.benchmarks.segtrack import segtrack_v2
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.data.benchmarks.youtube_vos import SEEN_CATEGORIES, youtube_vos
from rotomask.errors import OptionError
from rotomask.evaluation.measures.statistics import mean_of_known
from rotomask.evaluation.protocols.davis2017_unsupervised import score_proposals
from rotomask.evaluation.protocols.fbms import score_regions, summarize_regions
from rotomask.evaluation.protocols.jumpcut import score_transfers, summarize_transfers
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import (
    TrackProtocol,
    average_figures,
    score_tracks,
    with_mean_of_both,
)
from rotomask.evaluation.results import Figures, SequenceScore


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
    measures: tuple[str, ...] = ("J", "F")
    """What is measured unless the caller says otherwise."""
    stored_by_frame: bool = True
    """Whether results are RESULTS/SEQUENCE/FRAME.png."""
    rescaled: bool = False
    """Whether frames smaller than the processing size are enlarged to it, as RGMP (Oh et al. 2018,
    sec. 4.1) does where videos differ in resolution."""
    lower_is_better: bool = False
    """Whether the figures are errors."""


def mean_over_objects(sequences: Sequence[SequenceScore]) -> Figures:
    """Unweighted mean over all objects, as DAVIS has it: a sequence of five counts five times."""
    objects = [item.figures for sequence in sequences for item in sequence.objects]
    return with_mean_of_both(average_figures(objects))


def youtube_vos_overall(sequences: Sequence[SequenceScore]) -> Figures:
    """Overall, the mean of J and F over the objects of seen and of unseen categories.

    Where there is no object of one kind (the training videos have only seen categories), its two
    figures are NaN and Overall is the mean of the others.
    """
    figures: Figures = {}
    for measure in ("J", "F"):
        for kind in ("seen", "unseen"):
            figures[f"{measure}_{kind}"] = mean_of_known(
                [
                    item.figures[f"{measure}_mean"]
                    for sequence in sequences
                    for item in sequence.objects
                    if (item.category in SEEN_CATEGORIES) == (kind == "seen")
                    and f"{measure}_mean" in item.figures
                ]
            )
    return {"Overall": mean_of_known(list(figures.values()))} | figures


def _tracks(title: str, open_: Callable[[Path, str], VideoDataset], split: str) -> Benchmark:
    return Benchmark(
        title=title, open=open_, split=split, score=score_tracks, summarize=mean_over_objects
    )


BENCHMARKS: dict[str, Benchmark] = {
    "davis2016": _tracks("DAVIS-2016", davis2016, "val"),
    "davis2017": _tracks("DAVIS-2017 semi-supervised", davis2017, "val"),
    "davis2017-unsupervised": Benchmark(
        title="DAVIS-2017 unsupervised",
        open=davis2017_unsupervised,
        split="val",
        score=score_proposals,
        summarize=mean_over_objects,
    ),
    "youtube-vos": Benchmark(
        title="YouTube-VOS",
        open=youtube_vos,
        split="held-out",
        score=score_tracks,
        summarize=youtube_vos_overall,
    ),
    "fbms": Benchmark(
        title="FBMS-59",
        open=fbms,
        split="test",
        score=score_regions,
        summarize=summarize_regions,
    ),
    "segtrack-v2": Benchmark(
        title="SegTrack v2",
        open=segtrack_v2,
        split="objects",
        score=score_tracks,
        summarize=mean_over_objects,
        measures=("J",),
        rescaled=True,
    ),
    "jumpcut": Benchmark(
        title="JumpCut",
        open=jumpcut,
        split="all",
        score=score_transfers,
        summarize=summarize_transfers,
        stored_by_frame=False,
        rescaled=True,
        lower_is_better=True,
    ),
    "folders": _tracks("Folders of masks", folder_pair, "all"),
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
