"""Run a model over a benchmark, then score it: masks, quality, seconds per frame, peak memory.

The masks are made by the code that makes those of `cut`: `jobs.following`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask
from rotomask.catalog import find_then_follow, needs_no_mask
from rotomask.data.benchmarks.jumpcut import DISTANCES, transfers
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, OptionError
from rotomask.evaluation.benchmarks import get_benchmark, open_benchmark
from rotomask.evaluation.reports import ReportFiles
from rotomask.evaluation.results import EvaluationResult
from rotomask.evaluation.scoring import evaluate_results
from rotomask.evaluation.submission import write_submission
from rotomask.jobs.earlier import EarlierRecord, began_earlier, refinements_text
from rotomask.jobs.fingerprints import (
    changed_refinements,
    used_precision,
    weights_fingerprints,
)
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.following import follow_pass, learning_report, write_discovery
from rotomask.jobs.job_options import FolderOptions
from rotomask.jobs.keywords import BenchmarkKeywords, takes_options, with_keywords
from rotomask.jobs.loading import load_discoverer, load_finder, load_model
from rotomask.jobs.manifest import read_manifest
from rotomask.jobs.model_settings import ModelSettings
from rotomask.jobs.progress import OnProgress
from rotomask.jobs.run_record import RECORD, RunRecord, SequenceTiming
from rotomask.masks import write_mask
from rotomask.pipeline import Stage
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, Pass, plan_passes
from rotomask.segmenters.refinements import Refinements
from rotomask.unsupervised.base import Discoverer
from rotomask.unsupervised.propagation import clearest_annotation

NOT_ENLARGED = ("enlarge", "never")
"""What version 0.1 did without a setting."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(ModelSettings, FolderOptions, ReportFiles):
    """Model, its settings, sequences and reports of a benchmark."""

    model: str = "stm-lite"
    """A name of the catalogue; FINDER+FOLLOWER, such as ``embedding+rgmp-lite``, takes no mask."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    refinements: Refinements = field(default_factory=Refinements)
    """Refinements of the model at test time."""
    split: str | None = None
    """Split of the data set; None: the one on which papers report results."""
    sequences: tuple[str, ...] | None = None
    """Names of the sequences to run; None: all of the split."""
    objects: int = 1
    """Maximum number of objects that a model without annotation finds in a sequence."""
    with_masks: bool = False
    """True to give the benchmark's masks also to a model that needs none (embedding)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {self.objects}")


@takes_options(BenchmarkOptions)
def benchmark(
    name: str,
    root: str | Path,
    out: str | Path,
    options: BenchmarkOptions | None = None,
    *,
    segmenter: Segmenter | Discoverer | None = None,
    on_progress: OnProgress | None = None,
    **changes: Unpack[BenchmarkKeywords],
) -> EvaluationResult:
    """Segment every sequence of a benchmark by its rules, and score the masks.

    Writes ``OUT/SEQUENCE/FRAME.png``, for JumpCut ``OUT/SEQUENCE/KEY/FRAME.png``, and
    ``OUT/run.json``; for YouTube-VOS also ``OUT/submission.zip``. Run again with the same folder to
    resume after the sequences that are finished.

    Args:
        name: A benchmark: davis2016, davis2017, davis2017-unsupervised, youtube-vos, fbms ...
        root: Where the data set is.
        out: Folder to write to.
        options: Options; or give its fields as keywords.
        segmenter: A model to use in place of the one that the options name. A `Discoverer` is not
            given the benchmark's masks.
        on_progress: Receives the stages ``segment``, ``learn`` and ``score``.
        **changes: Options as keywords, as on the command line: `BenchmarkKeywords`.

    Returns:
        The scores, without figures where only first masks are public; its `run` holds seconds per
        frame, peak memory (MiB) and versions.

    Raises:
        OptionError: If an option is wrong, or the benchmark gives no masks and the model needs
            them.
        OutputError: If the folder cannot be written or holds a run with other settings.
        WeightsError: If the model's weights are missing or not its own.
    """
    options = with_keywords(options or BenchmarkOptions(), changes, "benchmark")
    if options.enlarge == "auto" and not options.overwrite and _began_earlier(name, Path(out)):
        # Version 0.1 did not enlarge: the masks of one run are made in one way.
        options = replace(options, enlarge="never")
    dataset = open_benchmark(name, root, options.split)
    if options.sequences is not None:
        dataset = dataset.select(options.sequences)
    model = _model(name, options) if segmenter is None else _Model.of(segmenter)
    _check_runnable(dataset, model)
    with claim(out, _request(dataset, options), overwrite=options.overwrite) as folder:
        record = RunRecord(
            folder,
            {
                **_settings(name, options),
                "model": f"{options.model}{options.refinements}",
                "weights": str(options.weights or "shipped"),
            },
        )
        _segment_all(dataset, model, options.objects, record, on_progress)
        run = record.summary([s.name for s in dataset])
        if get_benchmark(name).has_server:
            run["submission"] = str(write_submission(dataset, folder.root, folder.commit))
    if any(sequence.scored_frames() for sequence in dataset):
        report = None if on_progress is None else partial(on_progress, "score")
        result = replace(evaluate_results(dataset, folder.root, on_progress=report), run=run)
    else:
        result = EvaluationResult(
            benchmark=name,
            split=dataset.split,
            results=folder.root.resolve().name,
            figures={},
            sequences=(),
            notes=("only first masks are public: nothing can be scored here",),
            run=run,
        )
    options.save(result, dataset, folder.root)
    return result


def _began_earlier(name: str, root: Path) -> bool:
    """True if version 0.1 began the run of a folder, with frames of small videos as they are.

    Raises:
        OutputError: If the manifest is damaged.
    """
    if get_benchmark(name).rescaled:
        return False
    has_record = (root / RECORD).exists()
    return began_earlier(root) if read_manifest(root) is not None else has_record


def _request(dataset: VideoDataset, options: BenchmarkOptions) -> JobRequest:
    """What this run is and writes; its sequences are no setting, so that more may be added."""
    by_frame = get_benchmark(dataset.benchmark).stored_by_frame
    masks = [
        f"{one.folder}/{sequence.frame_names[index]}.png"
        for sequence in dataset
        for one in _passes(sequence, by_frame=by_frame)
        for index in one.frames.indices
    ]
    models = _models(options)
    plain = _settings(dataset.benchmark, options)
    ensemble = (text.partition(":")[2] for text in options.refinements.ensemble_with)
    files = [options.weights, *map(Path, filter(None, ensemble))]
    submission = ["submission.zip"] if get_benchmark(dataset.benchmark).has_server else []
    return JobRequest(
        command="benchmark",
        settings={
            "benchmark": dataset.benchmark,
            "split": dataset.split,
            **plain,
            "precision": used_precision(options.device, options.precision),
            "weights": weights_fingerprints(models, options.weights, options.refinements),
            "refinements": changed_refinements(options.refinements),
        },
        added=masks,
        replaced=[RECORD, *submission],
        inputs=[dataset.root, *(f for f in files if f is not None and f.is_file())],
        earlier=EarlierRecord(
            file=RECORD,
            under="settings",
            settings={
                **{key: value for key, value in plain.items() if (key, value) != NOT_ENLARGED},
                "model": f"{options.model}{refinements_text(options.refinements)}",
                "weights": str(options.weights or "shipped"),
            },
        ),
    )


def _models(options: BenchmarkOptions) -> tuple[str, ...]:
    """Names of the catalogue whose weights a run uses."""
    if options.with_masks or not needs_no_mask(options.model):
        return (options.model,)
    finder, follower = find_then_follow(options.model)
    return (finder,) if follower is None else (finder, follower)


@dataclass(frozen=True, kw_only=True)
class _Model:
    """What runs over a sequence: a follower of given masks, a finder, or a finder and follower."""

    finder: Discoverer | None = None
    follower: Segmenter | None = None

    @classmethod
    def of(cls, model: Segmenter | Discoverer) -> "_Model":
        return cls(follower=model) if isinstance(model, Segmenter) else cls(finder=model)


def _model(name: str, options: BenchmarkOptions) -> _Model:
    """The model that the options name."""
    where: dict[str, Any] = options.where
    settings: dict[str, Any] = {**options.for_model(), **where}
    if options.size is not None and get_benchmark(name).rescaled:
        settings.setdefault("enlarge", True)
    load = partial(load_model, refinements=options.refinements, weights=options.weights)
    if options.with_masks or not needs_no_mask(options.model):
        return _Model(follower=load(options.model, **settings))
    finder, follower = find_then_follow(options.model)
    if follower is not None:
        return _Model(finder=load_finder(finder, **where), follower=load(follower, **settings))
    return _Model(
        finder=load_discoverer(finder, options.refinements, weights=options.weights, **where)
    )


def _settings(name: str, options: BenchmarkOptions) -> dict[str, Any]:
    """What the masks and their times depend on, without weights and refinements."""
    settings: dict[str, Any] = {
        "model": options.model,
        **options.recorded(),
        "device": options.device,
        "precision": options.precision,
        "objects": options.objects,
        "with_masks": options.with_masks,
    }
    if options.size is not None and get_benchmark(name).rescaled:
        settings.setdefault("enlarge", True)
    return settings


def _segment_all(
    dataset: VideoDataset,
    model: _Model,
    objects: int,
    record: RunRecord,
    on_progress: OnProgress | None,
) -> None:
    """Write the masks of every sequence that is not finished, and its timing."""
    by_frame = get_benchmark(dataset.benchmark).stored_by_frame
    work = {s.name: _passes(s, by_frame=by_frame) for s in dataset}
    total, done = sum(len(one.frames) for passes in work.values() for one in passes), 0
    if model.follower is not None:
        model.follower.report_learning(learning_report(on_progress))
    for sequence in dataset:
        passes = work[sequence.name]
        if sequence.name in record.timings and _is_complete(record.folder, sequence, passes):
            done += sum(len(one.frames) for one in passes)
            continue
        # A sequence at a time: one that was interrupted starts over, because its time would be
        # wrong.
        began, segmented = time.perf_counter(), 0
        with Stage("masks") as writer:
            if model.finder is not None:
                steps = _find(sequence, record.folder, model, writer, objects)
            else:
                assert model.follower is not None
                steps = _follow(sequence, passes, record.folder, model.follower, writer)
            for count in steps:
                segmented, done = segmented + count, done + 1
                if on_progress is not None:
                    on_progress("segment", done, total)
        seconds = time.perf_counter() - began
        record.finish(sequence.name, SequenceTiming(frames=segmented, seconds=seconds))


def _is_complete(
    folder: JobFolder, sequence: VideoSequence, passes: Sequence["_MarkedPass"]
) -> bool:
    """Whether no mask of a finished sequence was deleted."""
    return all(
        (folder.root / one.folder / f"{sequence.frame_names[index]}.png").is_file()
        for one in passes
        for index in one.frames.indices
    )


@dataclass(frozen=True, kw_only=True)
class _SequenceMasks:
    """A folder of a sequence's masks; an interrupted sequence starts over, as it is timed."""

    folder: JobFolder
    subfolder: str
    sequence: VideoSequence
    soft: bool = False

    def finished(self, index: int) -> Mask | None:
        """See `MaskStore`."""
        return None

    def write(self, index: int, labels: Mask, alpha: npt.NDArray[np.float32] | None) -> None:
        """See `MaskStore`."""
        # The data set's own frame names, so that official tools read the folder.
        name = f"{self.sequence.frame_names[index]}.png"
        write_mask(self.folder.root / self.subfolder / name, labels, self.folder.commit)


@dataclass(frozen=True, kw_only=True)
class _MarkedPass:
    """Frames of a sequence that are segmented in one go."""

    folder: str
    """Where their masks go, in the folder of the run."""
    frames: Pass
    key: int | None = None
    """The one annotated frame of a pass of JumpCut; None: those of the sequence."""


def _passes(sequence: VideoSequence, *, by_frame: bool) -> list[_MarkedPass]:
    """One, or for JumpCut one from every key frame to the end of its longest transfer."""
    if by_frame:
        return [_MarkedPass(folder=sequence.name, frames=Pass(0, len(sequence)))]
    ends: dict[int, int] = {}
    for distance in DISTANCES:
        ends |= dict(transfers(len(sequence), distance))
    return [
        _MarkedPass(
            folder=f"{sequence.name}/{sequence.frame_names[key]}",
            frames=Pass(key, end + 1),
            key=key,
        )
        for key, end in ends.items()
    ]


def _annotations(sequence: VideoSequence, one: _MarkedPass) -> dict[int, Annotation]:
    """The masks that are given in a pass."""
    if one.key is not None:
        labels = sequence.annotation(sequence.frame_names[one.key])
        return {one.key: Annotation(labels, sequence.object_ids)} if labels.any() else {}
    # An object of YouTube-VOS may be listed in a frame that shows no pixel of it.
    prompts = sequence.prompts().items()
    return {index: Annotation(*given) for index, given in prompts if given[0].any()}


def _follow(
    sequence: VideoSequence,
    passes: Sequence[_MarkedPass],
    folder: JobFolder,
    segmenter: Segmenter,
    writer: Stage,
) -> Iterator[int]:
    """Write a mask for every frame; gives 1 for each that was segmented, 0 for each other."""
    for one in passes:
        store = _SequenceMasks(folder=folder, subfolder=one.folder, sequence=sequence)
        given = _annotations(sequence, one)
        for followed in follow_pass(segmenter, sequence, one.frames, given, store, writer):
            yield int(followed.origin in ("segmented", "correction"))


def _find(
    sequence: VideoSequence, folder: JobFolder, model: _Model, writer: Stage, objects: int
) -> Iterator[int]:
    """Write a mask for every frame of a sequence that nobody marked; gives 1 for each."""
    assert model.finder is not None
    store = _SequenceMasks(folder=folder, subfolder=sequence.name, sequence=sequence)
    discovery = model.finder.discover(sequence, objects=objects)
    if model.follower is None:
        yield from write_discovery(discovery, store, writer)
        return
    index, labels = clearest_annotation(discovery)
    if not labels.any():
        for position, frame in enumerate(sequence.frames()):
            store.write(position, np.zeros(frame.shape[:2], np.int32), None)
            yield 1
        return
    annotations, seen = {index: Annotation(labels)}, set[int]()
    for frames in plan_passes(annotations, 0, len(sequence)):
        for followed in follow_pass(model.follower, sequence, frames, annotations, store, writer):
            if followed.index not in seen:  # both passes begin at the reference frame
                seen.add(followed.index)
                yield 1


def _check_runnable(dataset: VideoDataset, model: _Model) -> None:
    unseen = [sequence.name for sequence in dataset if not sequence.images]
    if unseen:
        raise DatasetError(
            f"the frames of {', '.join(unseen[:5])}{', ...' * (len(unseen) > 5)} are missing or "
            f"incomplete in {dataset.root}; only `rotomask evaluate` does without"
        )
    if model.finder is not None:
        if not get_benchmark(dataset.benchmark).stored_by_frame:
            raise OptionError(
                f"{dataset.benchmark} starts anew from every key frame, whose mask is given; "
                "choose a model that takes it"
            )
        return
    without = [s.name for s in dataset if not s.reference_frames]
    if without:
        raise OptionError(
            f"{dataset.benchmark} gives no mask to start from (sequence {without[0]}); it is for "
            "models without annotation: --model embedding, embedding+stm-lite or flow-saliency"
        )
