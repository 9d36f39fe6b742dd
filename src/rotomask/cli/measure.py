"""Commands that measure: benchmarks, scores of masks, comparisons."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.options import (
    Benchmark,
    Components,
    Crf,
    Csv,
    DetectorName,
    Device,
    EnsembleWith,
    Flip,
    Html,
    Json,
    Latex,
    Model,
    OnlineSeconds,
    OnlineSteps,
    Precision,
    Quiet,
    Root,
    Scales,
    Sequences,
    Size,
    Split,
    Weights,
    read_names,
    read_refinements,
)
from rotomask.cli.terminal import interruptible, print_evaluation, progress


def benchmark(
    name: Benchmark,
    root: Root,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks and run.json.")],
    model: Model = "stm-lite",
    weights: Weights = None,
    split: Split = None,
    sequences: Sequences = None,
    size: Size = 480,
    flip: Flip = False,
    scales: Scales = None,
    ensemble_with: EnsembleWith = None,
    online_steps: OnlineSteps = 0,
    online_seconds: OnlineSeconds = None,
    detector: DetectorName = None,
    components: Components = False,
    crf: Crf = False,
    objects: Annotated[
        int, typer.Option(help="Most objects a model without annotation looks for.")
    ] = 1,
    with_masks: Annotated[
        bool,
        typer.Option(
            "--with-masks",
            help="Give the benchmark's masks to a model that could do without (embedding).",
        ),
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    json_file: Json = None,
    html: Html = None,
    csv: Csv = None,
    latex: Latex = None,
    quiet: Quiet = False,
) -> None:
    """Run a model over a benchmark, then score it: J, F, seconds per frame, peak memory."""
    from rotomask.evaluation import open_benchmark
    from rotomask.evaluation.reports import save_reports
    from rotomask.jobs.benchmark import BenchmarkOptions
    from rotomask.jobs.benchmark import benchmark as run

    chosen = read_names(sequences)
    options = BenchmarkOptions(
        model=model,
        weights=weights,
        refinements=read_refinements(
            scales,
            flip=flip,
            ensemble_with=tuple(ensemble_with or ()),
            online_steps=online_steps,
            online_seconds=online_seconds,
            detector=detector,
            components=components,
            crf=crf,
        ),
        split=split,
        sequences=None if chosen is None else tuple(chosen),
        size=size or None,
        objects=objects,
        with_masks=with_masks,
        device=device,
        precision=precision,
    )
    with interruptible(f"finished sequences are in {out}; the same command goes on from there"):
        with progress(quiet) as on_progress:
            result = run(name, root, out, options, on_progress=on_progress)
        scored = bool(result.figures)
        save_reports(
            result,
            json=json_file,
            html=html if scored else None,
            csv=csv if scored else None,
            latex=latex if scored else None,
            dataset=open_benchmark(name, root, split) if html and scored else None,
            results=out,
        )
        if not quiet:
            if scored:
                print_evaluation(result)
            else:
                print(f"{result.notes[0]}; the masks are in {out}")
            if "submission" in result.run:
                print(f"{'submission':14} {result.run['submission']}")
            print(
                f"{result.run['seconds_per_frame']:.3f} s a frame "
                f"({result.run['frames_per_second']:.1f} frames/s), "
                f"peak memory {result.run['peak_memory_mib']:.0f} MiB"
            )


def evaluate(
    name: Benchmark,
    root: Root,
    results: Annotated[Path, typer.Option(help="Masks: RESULTS/SEQUENCE/FRAME.png.")],
    split: Split = None,
    sequences: Sequences = None,
    json_file: Json = None,
    html: Html = None,
    csv: Csv = None,
    latex: Latex = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count a missing mask as an empty one.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(help="Processes to share the work; default: the cores.")
    ] = None,
    by_object: Annotated[
        bool, typer.Option("--by-object", help="A row for each object, not each sequence.")
    ] = False,
    stability: Annotated[
        bool, typer.Option("--stability", help="Measure temporal stability T too; it is slow.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score masks that exist."""
    from rotomask.evaluation import TrackProtocol, evaluate_results, open_benchmark
    from rotomask.evaluation.reports import save_reports

    measures = ("J", "F", "T") if stability else ("J", "F")
    dataset = open_benchmark(name, root, split)
    if sequences is not None:
        dataset = dataset.select(read_names(sequences) or [])
    with interruptible("nothing was written"):
        with progress(quiet, unit="sequences") as on_progress:
            result = evaluate_results(
                dataset,
                results,
                protocol=TrackProtocol(measures=measures) if stability else None,
                on_missing="empty" if allow_missing else "error",
                processes=processes,
                on_progress=None if on_progress is None else partial(on_progress, "score"),
            )
        save_reports(
            result,
            json=json_file,
            html=html,
            csv=csv,
            latex=latex,
            dataset=dataset,
            results=results,
        )
        if not quiet:
            print_evaluation(result, by_object=by_object)


def compare(
    a: Annotated[Path, typer.Argument(help="Figures that evaluate or benchmark --json wrote.")],
    b: Annotated[Path, typer.Argument(help="Others, on the same benchmark.")],
    figure: Annotated[
        str | None, typer.Option(help="What to compare, such as J_mean; default: the headline.")
    ] = None,
) -> None:
    """Say whether result set B differs from A by more than noise."""
    from rotomask.evaluation.comparison import compare as run

    comparison = run(a, b, figure=figure)
    print(comparison)
    for note in comparison.notes:
        print(f"note: {note}")
