"""One table of the benchmarks: how each data set is read, scored and summarized.

A new benchmark is a reader in `data/benchmarks` and an entry of `BENCHMARKS`; one with rules of its
own adds a file in `protocols`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotomask.data.benchmarks.davis import davis2016, davis2017, davis2017_unsupervised
from rotomask.data.benchmarks.fbms import fbms
from rotomask.data.benchmarks.folder_pair import folder_pair
from rotomask.data.benchmarks.jumpcut import jumpcut
from rotomask.data.benchmarks.segtrack import segtrack_v2
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.data.benchmarks.youtube_vos import ALL_FRAMES, SEEN_CATEGORIES, youtube_vos
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


def no_note(split: str) -> str:
    """No note, whatever the split."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark of the field."""

    title: str
    open: Callable[[Path, str], VideoDataset]
    """Reads the data set at a root, of a split."""
    split: str
    """The split that papers report."""
    score: Callable[[VideoSequence, ResultFolder, TrackProtocol], SequenceScore] = score_tracks
    summarize: Callable[[Sequence[SequenceScore]], Figures] = mean_over_objects
    """Global figures from those of the sequences, the headline first."""
    measures: tuple[str, ...] = ("J", "F")
    """Measures that are computed unless the caller names others."""
    stored_by_frame: bool = True
    """True if results are RESULTS/SEQUENCE/FRAME.png."""
    rescaled: bool = False
    """True if frames smaller than the processing size are enlarged to it, as RGMP (Oh et al. 2018,
    sec. 4.1) does where videos differ in resolution."""
    lower_is_better: bool = False
    """True if the figures are errors."""
    objects_tabulated: bool = True
    """True if objects have the figures of sequences, so that they fit into one table."""
    has_server: bool = False
    """True if a run also writes the zip file that the benchmark's server takes."""
    note: Callable[[str], str] = no_note
    """What to know about figures of a split; empty if there is nothing."""


def youtube_vos_note(split: str) -> str:
    """The frames that a method is given: figures are higher with all of them."""
    given = "all frames" if split.endswith(ALL_FRAMES) else "every fifth frame"
    return f"split {split}: a method is given {given}"


BENCHMARKS: dict[str, Benchmark] = {
    "davis2016": Benchmark(title="DAVIS-2016", open=davis2016, split="val"),
    "davis2017": Benchmark(title="DAVIS-2017 semi-supervised", open=davis2017, split="val"),
    "davis2017-unsupervised": Benchmark(
        title="DAVIS-2017 unsupervised",
        open=davis2017_unsupervised,
        split="val",
        score=score_proposals,
    ),
    "youtube-vos": Benchmark(
        title="YouTube-VOS",
        open=youtube_vos,
        split="held-out",
        summarize=youtube_vos_overall,
        has_server=True,
        note=youtube_vos_note,
    ),
    "fbms": Benchmark(
        title="FBMS-59",
        open=fbms,
        split="test",
        score=score_regions,
        summarize=summarize_regions,
        objects_tabulated=False,
    ),
    "segtrack-v2": Benchmark(
        title="SegTrack v2", open=segtrack_v2, split="objects", measures=("J",), rescaled=True
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
        objects_tabulated=False,
    ),
    "folders": Benchmark(title="Folders of masks", open=folder_pair, split="all"),
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        OptionError: If the name is unknown; the message lists the known ones.
    """
    if name not in BENCHMARKS:
        raise OptionError(f"unknown benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def open_benchmark(name: str, root: str | Path, split: str | None = None) -> VideoDataset:
    """The data set of a benchmark; by default the split that papers report.

    Raises:
        OptionError: If there is no such benchmark or split.
        DatasetError: If the data set is missing or incomplete.
    """
    benchmark = get_benchmark(name)
    return benchmark.open(Path(root), split or benchmark.split)
