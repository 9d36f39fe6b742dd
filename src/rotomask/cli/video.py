"""Commands that make something of a video."""

from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.options import (
    Components,
    Crf,
    DetectorName,
    Device,
    EnsembleWith,
    Flip,
    LookFrom,
    LookTo,
    Model,
    OnlineSeconds,
    OnlineSteps,
    Out,
    Precision,
    Quiet,
    Scales,
    Size,
    Verbose,
    VideoPath,
    Weights,
    pair_masks,
    read_formats,
    read_refinements,
)
from rotomask.cli.terminal import interruptible, print_cut, progress, set_up_logging


def cut(
    video: VideoPath,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            "-m",
            help="Mask of a frame: an image in any common format, or a folder with one file an "
            "object. Give it again, each with its --at, for objects that come later and for "
            "corrections. Without any, what moves is found where it is clearest, and followed.",
        ),
    ] = None,
    at: Annotated[
        list[int] | None,
        typer.Option(help="Frame number, from 0, of the --mask in the same place."),
    ] = None,
    out: Out = None,
    model: Model = "stm-lite",
    weights: Weights = None,
    start: Annotated[int, typer.Option(help="First frame to cut.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last frame to cut.")] = None,
    objects: Annotated[
        int, typer.Option(help="Most objects to find where no --mask is given.")
    ] = 1,
    direction: Annotated[
        str,
        typer.Option(
            help="both: from the first annotated frame to the end and back to the start; forward; "
            "backward: from the last annotated frame to the start."
        ),
    ] = "both",
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="What to make beside the masks, with commas between: overlay, webm and prores "
            "(transparent), rgba, mattes, coco, youtube-vis, polygons, contact-sheet; or none.",
        ),
    ] = "overlay",
    size: Size = 480,
    flip: Flip = False,
    scales: Scales = None,
    ensemble_with: EnsembleWith = None,
    online_steps: OnlineSteps = 0,
    online_seconds: OnlineSeconds = None,
    detector: DetectorName = None,
    components: Components = False,
    crf: Crf = False,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew in a folder that holds another job.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cut objects out of a video, given their mask in one frame or more, or none at all.

    Writes OUT/masks/NAME.png, one indexed PNG a frame, and OUT/overlay.mp4. A job that was
    stopped is gone on with by the same command.
    """
    from rotomask.jobs.cut import CutOptions
    from rotomask.jobs.cut import cut as run

    set_up_logging(quiet=quiet, verbose=verbose)
    options = CutOptions(
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
        start=start,
        stop=None if end is None else end + 1,
        size=size or None,
        device=device,
        precision=precision,
        direction=direction,  # type: ignore[arg-type]
        formats=read_formats(output_format),
        overwrite=overwrite,
        objects=objects,
    )
    masks = pair_masks(mask or [], at, start)
    folder = out or Path(f"{video.resolve().stem}-cut")
    with interruptible(f"finished frames are in {folder}; the same command goes on from there"):
        with progress(quiet) as on_progress:
            result = run(video, masks, folder, options, on_progress=on_progress)
        if not quiet:
            print_cut(result)


def propose(
    video: VideoPath,
    out: Out = None,
    objects: Annotated[int, typer.Option(help="Most objects to propose.")] = 6,
    weights: Weights = None,
    start: LookFrom = 0,
    end: LookTo = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Find the objects of a video: a contact sheet, and a mask of each to give to cut.

    Writes OUT/proposals.png and OUT/proposal-N.png, the best first.
    """
    from rotomask.jobs.propose import propose as run

    set_up_logging(quiet=quiet, verbose=False)
    folder = out or Path(f"{video.resolve().stem}-proposals")
    with interruptible("nothing was written"):
        with progress(quiet) as on_progress:
            found = run(
                video,
                folder,
                objects=objects,
                weights=weights,
                start=start,
                stop=None if end is None else end + 1,
                device=device,
                precision=precision,
                on_progress=on_progress,
            )
        if not quiet:
            for file in found.files:
                print(
                    f"object {file.object_id}  score {file.score:.2f}  "
                    f"--mask {file.mask} --at {file.frame_index}"
                )
            print(f"{'sheet':14} {found.sheet}")


def detect(
    video: VideoPath,
    out: Out = None,
    detector: Annotated[
        str, typer.Option(help="detector-lite (ours), FILE.onnx, or torchvision:NAME.")
    ] = "detector-lite",
    score: Annotated[float, typer.Option(help="Leave out boxes with a lower score.")] = 0.3,
    start: LookFrom = 0,
    end: LookTo = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Find the boxes of a video's objects, frame by frame.

    Writes OUT/boxes.json, as COCO has annotations, and OUT/boxes.jpg, some frames with their boxes.
    """
    from rotomask.jobs.detect import detect as run

    set_up_logging(quiet=quiet, verbose=False)
    with interruptible("nothing was written"):
        with progress(quiet) as on_progress:
            result = run(
                video,
                out or Path(f"{video.resolve().stem}-boxes"),
                model=detector,
                least_score=score,
                start=start,
                stop=None if end is None else end + 1,
                device=device,
                precision=precision,
                on_progress=on_progress,
            )
        if not quiet:
            print(f"{result.count} boxes in {result.frames} frames")
            print(f"{'boxes':14} {result.boxes}")
            print(f"{'sheet':14} {result.sheet}")


def flow(
    video: VideoPath,
    out: Out = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="dis (dense inverse search), flow-lite (a small network), dis+flow-lite."
        ),
    ] = "dis",
    weights: Weights = None,
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="flo (Middlebury files), png (colour pictures).")
    ] = "flo,png",
    longest: Annotated[
        float | None,
        typer.Option(help="Pixels of motion at full colour; default: each picture's own."),
    ] = None,
    start: Annotated[int, typer.Option(help="First frame.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last frame.")] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Estimate the optical flow from each frame to the next.

    Writes OUT/flo/NAME.flo and OUT/png/NAME.png for every frame but the last. What was stopped is
    gone on with by the same command.
    """
    from rotomask.jobs.flow import FlowOptions
    from rotomask.jobs.flow import flow as run

    options = FlowOptions(
        estimator=estimator,
        weights=weights,
        formats=read_formats(output_format),
        longest_px=longest,
        start=start,
        stop=None if end is None else end + 1,
        device=device,
    )
    folder = out or Path(f"{video.resolve().stem}-flow")
    with interruptible(f"finished pairs are in {folder}; the same command goes on from there"):
        with progress(quiet, unit="pairs") as on_progress:
            result = run(video, folder, options, on_progress=on_progress)
        if not quiet:
            print(f"{result.pairs} pairs of frames, {result.estimated} estimated now")
            print(f"{'flow':14} {result.folder}")


def edges(
    video: VideoPath,
    out: Out = None,
    model: Annotated[
        str, typer.Option(help="edges-lite, or edges-flow-lite, which sees optical flow too.")
    ] = "edges-lite",
    motion: Annotated[
        bool, typer.Option("--motion", help="Also edges of motion, and both kinds merged.")
    ] = False,
    thin: Annotated[bool, typer.Option("--thin", help="Only the ridges of the edges.")] = False,
    bits: Annotated[int, typer.Option(help="Of a pixel: 8 or 16.")] = 8,
    estimator: Annotated[
        str,
        typer.Option(help="Of the flow, as for `rotomask flow`: dis, flow-lite, dis+flow-lite."),
    ] = "dis",
    weights: Weights = None,
    size: Size = 480,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Write the outlines of the objects in every frame as grey pictures.

    Makes OUT/edges/NAME.png; with --motion also OUT/motion and OUT/merged. A job that was stopped
    is gone on with by the same command.
    """
    from rotomask.jobs.edges import EdgeOptions
    from rotomask.jobs.edges import edges as run

    options = EdgeOptions(
        model=model,
        weights=weights,
        motion=motion,
        thin=thin,
        bits=bits,
        estimator=estimator,
        size=size or None,
        device=device,
        precision=precision,
    )
    folder = out or Path(f"{video.resolve().stem}-edges")
    with interruptible(f"finished frames are in {folder}; the same command goes on from there"):
        with progress(quiet) as on_progress:
            result = run(video, folder, options, on_progress=on_progress)
        if not quiet:
            for path in result.folders:
                print(f"{path.name:14} {path}")


def export(
    video: Annotated[Path, typer.Argument(help="The video that was cut.")],
    folder: Annotated[Path, typer.Argument(help="The output folder of `rotomask cut`.")],
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="As for cut, with commas between.")
    ] = "overlay",
    quiet: Quiet = False,
) -> None:
    """Make other formats of a finished cut, or of any folder with masks/NAME.png."""
    from rotomask.jobs.export import export as run

    with interruptible("no half-written file was left"), progress(quiet) as on_progress:
        result = run(video, folder, formats=read_formats(output_format), on_progress=on_progress)
    if not quiet:
        for name, path in result.outputs.items():
            print(f"{name:14} {path}")


def refine(
    video: Annotated[Path, typer.Argument(help="The video that was cut.")],
    folder: Annotated[Path, typer.Argument(help="The output folder of `rotomask cut`.")],
    field: Annotated[
        str,
        typer.Option(help="How the random field is solved: graph-cut (hard) or mean-field (soft)."),
    ] = "mean-field",
    out: Out = None,
    size: Annotated[int, typer.Option(help="Short side at which it is solved, pixels.")] = 192,
    window: Annotated[int, typer.Option(help="Frames that are solved together.")] = 5,
    quiet: Quiet = False,
) -> None:
    """Refine a finished cut by a random field over space and time.

    Writes OUT/masks and OUT/mattes, from which `rotomask export` makes other formats. A cut with
    mattes (`--format mattes`) tells the field more than masks alone.
    """
    from rotomask.jobs.refine import RefineOptions
    from rotomask.jobs.refine import refine as run

    options = RefineOptions(solver=field, size=size, window=window)
    target = out or Path(f"{folder.resolve()}-refined")
    with interruptible(f"finished frames are in {target}"):
        with progress(quiet) as on_progress:
            result = run(video, folder, target, options, on_progress=on_progress)
        if not quiet:
            print(f"{result.frames} frames, {100 * result.changed:.2f} % of the pixels changed")
            print(f"{'masks':14} {result.folder / 'masks'}")


def demo(
    out: Out = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Cut the object out of a shipped real clip, and score it against the ground truth."""
    from rotomask.jobs.demo import demo as run

    folder = out or Path("rotomask-demo")
    with interruptible(f"finished frames are in {folder}"):
        with progress(quiet) as on_progress:
            result = run(folder, device=device, precision=precision, on_progress=on_progress)
        if not quiet:
            print_cut(result.cut)
            print(f"{'region J':14} {result.region_similarity:.3f}")
            print(f"{'boundary F':14} {result.boundary_accuracy:.3f}")
