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
from rotomask.data.benchmarks.youtube_vos import ALL_FRAMES, SEEN_CATEGORIES, youtube_vos
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import OptionError
from rotomask.evaluation.measures.statistics import nan_mean
from rotomask.evaluation.protocols.davis2017_unsupervised import score_proposals
from rotomask.evaluation.protocols.fbms import score_regions, summarize_regions
from rotomask.evaluation.protocols.jumpcut import score_transfers, summarize_transfers
from rotomask.evaluation.protocols.predictions import ResultFolder
from rotomask.evaluation.protocols.tracks import (
    TrackProtocol,
    average_figures,
    score_tracks,
    with_j_and_f,
)
from rotomask.evaluation.results import Figures, SequenceScore


def mean_over_objects(sequences: Sequence[SequenceScore]) -> Figures:
    """Unweighted mean over all objects, not over sequences, as in DAVIS."""
    objects = [item.figures for sequence in sequences for item in sequence.objects]
    return with_j_and_f(average_figures(objects))


def youtube_vos_overall(sequences: Sequence[SequenceScore]) -> Figures:
    """Means of J and F over the objects of seen and unseen categories, and Overall, their mean.

    If there are no objects of one kind (the training videos have only seen categories), its two
    figures are NaN and Overall is the mean of the others.
    """
    figures: Figures = {}
    for measure in ("J", "F"):
        for kind in ("seen", "unseen"):
            figures[f"{measure}_{kind}"] = nan_mean(
                [
                    item.figures[f"{measure}_mean"]
                    for sequence in sequences
                    for item in sequence.objects
                    if (item.category in SEEN_CATEGORIES) == (kind == "seen")
                    and f"{measure}_mean" in item.figures
                ]
            )
    return {"Overall": nan_mean(list(figures.values()))} | figures


def no_note(split: str) -> str:
    """No note, whatever the split."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark: its data set and its scoring rules."""

    title: str
    open: Callable[[Path, str], VideoDataset]
    """Opens a split of the data set: (root, split) -> data set."""
    split: str
    """The default split, on which papers report results."""
    score: Callable[[VideoSequence, ResultFolder, TrackProtocol], SequenceScore] = score_tracks
    summarize: Callable[[Sequence[SequenceScore]], Figures] = mean_over_objects
    """Global figures from those of the sequences, the main one first."""
    measures: tuple[str, ...] = ("J", "F")
    """The default measures."""
    stored_by_frame: bool = True
    """True if results are stored as RESULTS/SEQUENCE/FRAME.png."""
    rescaled: bool = False
    """True to enlarge frames that are smaller than the processing size, as RGMP (Oh et al. 2018,
    sec. 4.1) does for videos of different resolutions."""
    lower_is_better: bool = False
    """True if the figures are errors."""
    objects_tabulated: bool = True
    """True if objects have the figures of sequences, so that they fit into one table."""
    has_server: bool = False
    """True if a run also writes the zip file for the benchmark's server."""
    note: Callable[[str], str] = no_note
    """Remark on the figures of a split for users; may be empty."""


def youtube_vos_note(split: str) -> str:
    """Note of the frames that methods see, as figures are higher with all of them."""
    frames = "all frames" if split.endswith(ALL_FRAMES) else "every fifth frame"
    return f"split {split}: methods see {frames}"


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
    """Open the data set of a benchmark.

    Args:
        name: Name of the benchmark, one of `BENCHMARKS`.
        root: Folder of the data set.
        split: By default the split on which papers report results.

    Raises:
        OptionError: If the benchmark or split is unknown.
        DatasetError: If the data set is missing or incomplete.
    """
    benchmark = get_benchmark(name)
    return benchmark.open(Path(root), split or benchmark.split)
