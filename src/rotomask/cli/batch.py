"""The command `batch`: many videos, by processes of this machine or by a Ray cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from rotomask.cli.command import Command, grouped
from rotomask.cli.cut import Method
from rotomask.cli.extras import require
from rotomask.cli.options import Formats, Hardware, Messages, Refining
from rotomask.cli.terminal import job
from rotomask.cli.values import read_formats
from rotomask.errors import OptionError

if TYPE_CHECKING:
    from rotomask.jobs.batch.summary import BatchResult

EXIT_FAILURES = 2
RESUME = "run the same command again to resume"


@dataclass(frozen=True, kw_only=True)
class BatchOutput:
    """Where a batch writes, and in which formats."""

    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder of the videos' folders, or s3://BUCKET/PATH."
        ),
    ]
    formats: Formats = "overlay"
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Overwrite other jobs' output in the folders.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who cuts."""

    section: ClassVar = "Workers"
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes.  [default: a core each, as memory permits]"),
    ] = None
    threads: Annotated[int, typer.Option(metavar="N", help="Threads of each.")] = 1
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Use a Ray cluster in place of processes: HOST:PORT, auto (the one this machine "
            "belongs to) or local.",
        ),
    ] = None
    gpus: Annotated[
        float, typer.Option(metavar="N", help="GPUs of a worker on a Ray cluster; 0.25: a quarter.")
    ] = 0
    retries: Annotated[
        int,
        typer.Option(metavar="N", help="Tries after a worker was lost or remote storage failed."),
    ] = 3
    doubt: Annotated[
        float,
        typer.Option(metavar="P", help="List frames as doubtful below this confidence, 0 to 1."),
    ] = 0.7
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for work in progress where --out is remote.  [default: the temporary one]",
        ),
    ] = None


class BatchCommand(Command):
    """The help of `batch` describes directions and refinements, as that of `cut`."""

    described = ("Directions", "Refinements")


@grouped
def batch(
    videos: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST_OR_PATTERN",
            help="A .csv or .jsonl with a video a line; or a quoted pattern of videos, such as "
            "'clips/*.mp4', each with its mask beside it: CLIP.png, CLIP-mask.png or "
            "CLIP-prompts.json.",
        ),
    ],
    output: BatchOutput,
    who: Workers,
    method: Method,
    refining: Refining,
    hardware: Hardware,
    messages: Messages,
) -> None:
    """Cut many videos, here or on a Ray cluster.

    Writes DIR/NAME/, as `cut` does, for every video, and DIR/summary.html and summary.json: what
    failed, which frames need a look. Run the same command again to resume.
    """
    with job(lambda: f"what is done is in {output.out}; {RESUME}", messages) as on_progress:
        from rotomask.jobs.batch.driver import BatchOptions
        from rotomask.jobs.batch.driver import batch as run
        from rotomask.jobs.cut import CutOptions

        if who.ray is not None:
            require("ray")
        options = BatchOptions(
            cut=CutOptions(
                refinements=refining.refinements(method.quality),
                device=hardware.device,
                precision=hardware.precision,
                formats=read_formats(output.formats),
                overwrite=output.overwrite,
                **method.settings(),
            ),
            workers=who.workers,
            threads=who.threads,
            ray=who.ray,
            gpus=who.gpus,
            retries=who.retries,
            doubt=who.doubt,
            scratch=who.scratch,
        )
        try:
            result = run(videos, output.out, options, on_progress=on_progress)
        except ConnectionError as error:
            raise OptionError(f"no Ray cluster at {who.ray}: {error}") from error
    if not messages.quiet:
        _print_batch(result)
    if result.failures:
        _print_failures(result)
        raise typer.Exit(EXIT_FAILURES)


def _print_batch(result: "BatchResult") -> None:
    """Print what a batch did."""
    totals = result.totals()
    before = f", {totals['finished before']} finished before" if totals["finished before"] else ""
    doubts = f", {totals['doubtful']} with doubtful frames" if totals["doubtful"] else ""
    print(f"{totals['videos']} videos: {totals['finished']} finished{before}{doubts}")
    if totals["frames segmented"]:
        print(
            f"{totals['frames segmented']:,} frames segmented, {totals['frames a second']:.1f} "
            f"frames/s by {result.workers} workers"
        )
    print(f"{'videos':14} {result.folder}")
    for name, path in result.outputs.items():
        print(f"{name:14} {path}")


def _print_failures(result: "BatchResult") -> None:
    """Print how many videos failed, and why the first did, on stderr."""
    first = result.failures[0]
    print(
        f"rotomask: error: {len(result.failures)} of {result.videos} videos failed or are damaged; "
        f"{first.name}: {first.error}; all are in {result.outputs['html']}",
        file=sys.stderr,
    )
