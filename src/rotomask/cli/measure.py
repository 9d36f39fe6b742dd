"""Commands that measure: benchmarks, scores of masks, comparisons."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotomask.cli.command import Command, grouped
from rotomask.cli.options import (
    BenchmarkData,
    FollowerOptions,
    Messages,
    Overwrite,
    Refining,
    Reports,
    Runtime,
)
from rotomask.cli.terminal import job, nothing_written, print_evaluation, print_outputs, resumable
from rotomask.cli.values import output_path
from rotomask.threads import without_collection

if TYPE_CHECKING:
    from rotomask.evaluation import EvaluationResult


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the masks go, and whether the model gets the given ones."""

    out: Annotated[
        Path,
        typer.Option(
            *("--out", "-o"),
            metavar="DIR",
            parser=output_path,
            help="Output folder for masks and run.json.",
        ),
    ]
    overwrite: Overwrite = False
    with_masks: Annotated[
        bool,
        typer.Option(
            "--with-masks", help="Give the masks also to a model that needs none (embedding)."
        ),
    ] = False


class BenchmarkCommand(Command):
    """The help of `benchmark` describes refinements."""

    described = ("Refinements",)


@grouped
def benchmark(
    data: BenchmarkData,
    run: Run,
    method: FollowerOptions,
    refining: Refining,
    reports: Reports,
    runtime: Runtime,
    messages: Messages,
) -> None:
    """Run a model over a benchmark: scores, speed and memory.

    Writes DIR/SEQUENCE/FRAME.png and DIR/run.json. Run the same command again to resume an
    interrupted run.
    """
    with job(resumable(run.out, "sequences"), messages) as on_progress:
        with without_collection():
            from rotomask.jobs.benchmark import BenchmarkOptions
            from rotomask.jobs.benchmark import benchmark as run_benchmark

        options = BenchmarkOptions(
            refinements=refining.refinements(method.quality),
            split=data.split,
            sequences=data.sequence_names,
            **method.settings(),
            with_masks=run.with_masks,
            **runtime.settings(),
            overwrite=run.overwrite,
            **reports.files(),
        )
        result = run_benchmark(data.benchmark, data.root, run.out, options, on_progress=on_progress)
    if not messages.quiet:
        _print_run(result, run.out)


@grouped
def evaluate(
    data: BenchmarkData,
    results: Annotated[
        Path, typer.Option(metavar="DIR", help="The masks: DIR/SEQUENCE/FRAME.png.")
    ],
    reports: Reports,
    messages: Messages,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count a missing mask as an empty one.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that share the work.  [default: the cores]"),
    ] = None,
    by_object: Annotated[
        bool, typer.Option("--by-object", help="Print a row per object, not per sequence.")
    ] = False,
    stability: Annotated[
        bool, typer.Option("--stability", help="Measure temporal stability T too; slow.")
    ] = False,
) -> None:
    """Score existing masks against the ground truth of a benchmark."""
    with job(nothing_written, messages, unit="sequences") as on_progress:
        from rotomask.jobs.evaluate import EvaluateOptions
        from rotomask.jobs.evaluate import evaluate as run

        options = EvaluateOptions(
            split=data.split,
            sequences=data.sequence_names,
            stability=stability,
            allow_missing=allow_missing,
            processes=processes,
            **reports.files(),
        )
        result = run(data.benchmark, data.root, results, options, on_progress=on_progress)
    if not messages.quiet:
        print_evaluation(result, by_object=by_object)


def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Scores written by evaluate or benchmark --json.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Others, of the same benchmark.")],
    figure: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Score to compare, such as J_mean.  [default: the main]"),
    ] = None,
) -> None:
    """Tell whether scores B differ from A by more than noise."""
    from rotomask.evaluation.comparison import compare as run

    comparison = run(a, b, figure=figure)
    print(comparison)
    for note in comparison.notes:
        print(f"note: {note}")


def _print_run(result: "EvaluationResult", out: Path) -> None:
    if result.figures:
        print_evaluation(result)
    else:
        print(f"{result.notes[0]}; the masks are in {out}")
    if "submission" in result.run:
        print_outputs({"submission": Path(result.run["submission"])})
    print(
        f"{result.run['seconds_per_frame']:.3f} s per frame "
        f"({result.run['frames_per_second']:.1f} frames/s), "
        f"peak memory {result.run['peak_memory_mib']:.0f} MiB"
    )
