"""Commands that make something of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.command import grouped
from rotomask.cli.options import (
    CutFolder,
    CutVideo,
    Device,
    Edges,
    Messages,
    Output,
    Range,
    Runtime,
    VideoPath,
    Weights,
)
from rotomask.cli.terminal import job, nothing_written, print_cut, print_outputs, resumable
from rotomask.cli.values import read_formats
from rotomask.threads import without_collection


@grouped
def propose(
    video: VideoPath,
    output: Output,
    frames: Range,
    runtime: Runtime,
    messages: Messages,
    objects: Annotated[int, typer.Option(metavar="N", help="Propose up to N objects.")] = 6,
    weights: Weights = None,
) -> None:
    """Propose objects of a video, each with a mask to give to cut.

    Writes DIR/proposals.png, a contact sheet, and DIR/proposal-N.png, the best first.
    """
    folder = output.folder(video, "proposals")
    with job(nothing_written, messages) as on_progress:
        with without_collection():
            from rotomask.jobs.propose import ProposeOptions
            from rotomask.jobs.propose import propose as run

        options = ProposeOptions(
            weights=weights,
            objects=objects,
            **frames.settings(),
            **runtime.settings(),
            overwrite=output.overwrite,
        )
        proposals = run(video, folder, options, on_progress=on_progress)
    if not messages.quiet:
        for file in proposals.files:
            print(
                f"object {file.object_id}  score {file.score:.2f}  "
                f"--mask {file.mask} --at {file.frame_index}"
            )
        print_outputs({"sheet": proposals.sheet})
        numbers = ",".join(str(file.object_id) for file in proposals.files[:2])
        print(f"rotomask cut {video} --proposals {folder} --pick {numbers}")


@grouped
def detect(
    video: VideoPath,
    output: Output,
    frames: Range,
    runtime: Runtime,
    messages: Messages,
    detector: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="{detectors}, a .onnx or .safetensors FILE, or torchvision:NAME."
        ),
    ] = "detector-lite",
    score: Annotated[
        float, typer.Option(metavar="SCORE", help="Leave out boxes with a lower score, 0 to 1.")
    ] = 0.3,
) -> None:
    """Detect the objects of a video as boxes, frame by frame.

    Writes DIR/boxes.json, COCO annotations, and DIR/boxes.jpg, some frames with their boxes.
    """
    folder = output.folder(video, "boxes")
    with job(nothing_written, messages) as on_progress:
        from rotomask.jobs.detect import DetectOptions
        from rotomask.jobs.detect import detect as run

        options = DetectOptions(
            model=detector,
            least_score=score,
            **frames.settings(),
            **runtime.settings(),
            overwrite=output.overwrite,
        )
        result = run(video, folder, options, on_progress=on_progress)
    if not messages.quiet:
        print(f"{result.count} boxes in {result.frames} frames, {result.tracks} tracks")
        print_outputs({"boxes": result.boxes, "sheet": result.sheet})


@grouped
def flow(
    video: VideoPath,
    output: Output,
    frames: Range,
    messages: Messages,
    estimator: Annotated[str, typer.Option(metavar="NAME", help="{estimators}.")] = "dis",
    weights: Weights = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="NAMES",
            help="flo (Middlebury files), png (colour pictures), or both.",
        ),
    ] = "flo,png",
    longest: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS",
            help="Motion shown at full colour.  [default: 99th percentile of each picture]",
        ),
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str,
        typer.Option(metavar="NAME", help="float32, bfloat16 (loses fractions of pixels) or auto."),
    ] = "float32",
) -> None:
    """Estimate the optical flow from each frame to the next.

    Writes DIR/flo/NAME.flo and DIR/png/NAME.png for every frame but the last. Run the same command
    again to resume an interrupted job.
    """
    folder = output.folder(video, "flow")
    with job(resumable(folder, "pairs"), messages, unit="pairs") as on_progress:
        from rotomask.jobs.flow import FlowOptions
        from rotomask.jobs.flow import flow as run

        options = FlowOptions(
            estimator=estimator,
            weights=weights,
            formats=read_formats(output_format),
            longest_px=longest,
            **frames.settings(),
            device=device,
            precision=precision,
            overwrite=output.overwrite,
        )
        result = run(video, folder, options, on_progress=on_progress)
    if not messages.quiet:
        print(f"{result.pairs} pairs of frames, {result.estimated} estimated now")
        print_outputs({"flow": result.folder})


@dataclass(frozen=True, kw_only=True)
class EdgeMethod:
    """The model that finds edges, and what is written of them."""

    model: Annotated[str, typer.Option(metavar="NAME", help="{edge_models}.")] = "edges-lite"
    weights: Weights = None
    motion: Annotated[
        bool, typer.Option("--motion", help="Also write edges of motion, and both merged.")
    ] = False
    thin: Annotated[bool, typer.Option("--thin", help="Keep only the ridges of the edges.")] = False
    bits: Annotated[int, typer.Option(metavar="N", help="Bit depth: 8 or 16.")] = 8
    estimator: Annotated[
        str, typer.Option(metavar="NAME", help="Optical flow for --motion: {estimators}.")
    ] = "dis"
    size: Annotated[
        int,
        typer.Option(
            metavar="PIXELS",
            help="Reduce frames whose short side is longer to this for processing; 0: never.",
        ),
    ] = 480


@grouped
def edges(
    video: VideoPath,
    output: Output,
    frames: Range,
    method: EdgeMethod,
    runtime: Runtime,
    messages: Messages,
) -> None:
    """Draw the outlines of objects in every frame, as grey pictures.

    Writes DIR/edges/NAME.png; with --motion also DIR/motion and DIR/merged. Run the same command
    again to resume an interrupted job.
    """
    folder = output.folder(video, "edges")
    with job(resumable(folder), messages) as on_progress:
        from rotomask.jobs.edges import EdgeOptions
        from rotomask.jobs.edges import edges as run

        options = EdgeOptions(
            model=method.model,
            weights=method.weights,
            motion=method.motion,
            thin=method.thin,
            bits=method.bits,
            estimator=method.estimator,
            size=method.size or None,
            **frames.settings(),
            **runtime.settings(),
            overwrite=output.overwrite,
        )
        result = run(video, folder, options, on_progress=on_progress)
    if not messages.quiet:
        print_outputs({path.name: path for path in result.folders})


@grouped
def export(
    video: CutVideo,
    folder: CutFolder,
    edges: Edges,
    messages: Messages,
    output_format: Annotated[
        str,
        typer.Option(
            "--format", "-f", metavar="NAMES", help="Formats, separated by commas: {formats}."
        ),
    ] = "overlay",
    start: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="First frame.  [default: the first that was cut]"),
    ] = None,
    end: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="Last frame.  [default: the last that was cut]"),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out frames without a mask.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Also overwrite what version 0.1 of rotomask rendered."),
    ] = False,
) -> None:
    """Make other formats of a finished cut.

    FOLDER may be any folder with masks/NAME.png, named as the video's frames.
    """
    with job(lambda: "no incomplete file was left", messages) as on_progress:
        from rotomask.jobs.export import ExportOptions
        from rotomask.jobs.export import export as run

        options = ExportOptions(
            formats=read_formats(output_format),
            start=start,
            stop=None if end is None else end + 1,
            partial=partial,
            edges=edges.controls(),
            overwrite=overwrite,
        )
        result = run(video, folder, options, on_progress=on_progress)
    if not messages.quiet:
        print_outputs(result.outputs)


@grouped
def refine(
    video: CutVideo,
    folder: CutFolder,
    output: Output,
    messages: Messages,
    field: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Solver of the random field: {fields}. stm-lite on DAVIS-2016 val gains 0.001 "
            "J&F by mean-field, nothing by graph-cut; thin parts may be lost.",
        ),
    ] = "mean-field",
    size: Annotated[
        int, typer.Option(metavar="PIXELS", help="Short side at which it is solved.")
    ] = 192,
    window: Annotated[int, typer.Option(metavar="FRAMES", help="Frames solved together.")] = 5,
) -> None:
    """Refine a finished cut by a random field over space and time.

    Writes DIR/masks and DIR/mattes, from which `rotomask export` makes other formats. A cut with
    `--format mattes` keeps probabilities, which help.
    """
    target = output.out or Path(f"{folder.resolve()}-refined")
    with job(resumable(target), messages) as on_progress:
        from rotomask.jobs.refine import RefineOptions
        from rotomask.jobs.refine import refine as run

        options = RefineOptions(solver=field, size=size, window=window, overwrite=output.overwrite)
        result = run(video, folder, target, options, on_progress=on_progress)
    if not messages.quiet:
        print(f"{result.frames} frames, {100 * result.changed:.2f} % of the pixels changed")
        print_outputs({"masks": result.folder / "masks"})


@grouped
def demo(output: Output, runtime: Runtime, messages: Messages) -> None:
    """Cut a shipped real clip and score it against the ground truth."""
    folder = output.out or Path("rotomask-demo")
    with job(resumable(folder), messages) as on_progress:
        with without_collection():
            from rotomask.jobs.demo import DemoOptions
            from rotomask.jobs.demo import demo as run

        options = DemoOptions(**runtime.settings(), overwrite=output.overwrite)
        result = run(folder, options, on_progress=on_progress)
    if not messages.quiet:
        print_cut(result.cut)
        print(f"{'region J':14} {result.region_similarity:.3f}")
        print(f"{'boundary F':14} {result.boundary_accuracy:.3f}")
